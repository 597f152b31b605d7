#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/base.h"
#include "cli/build_profile.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/history.h"
#include "cli/out.h"
#include "conf/profile.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/env_chain.h"
#include "store/layer.h"
#include "store/layer_tree.h"

struct values {
	struct where where;
	bool rebase;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"rebase", 0, NULL, offsetof(struct values, rebase),
	 "go over to the base that the profile names now"},
	{0},
};

struct job {
	const struct store *store;
	struct env *env;
	struct chain chain;
	bool rebase;
	const struct env_from *from; /* with rebase; NULL: no image */
};

static int reset_inside(void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct job *job = arg;

	if (job->rebase)
		return env_set_image(a, job->store, job->env, job->from, err);
	return env_set_chain(a, job->store, job->env, &job->chain, err);
}

/*
 * Each layer of the new chain has to have a tree for the map of this environment: one that came by a
 * tag may have been made with another.
 */
static int have_trees(struct arena *a, const struct workplace *w, const struct plan *plan,
		      struct chain *chain, struct err *err)
{
	struct commit *v = arena_alloc(a, (chain->n + 1) * sizeof(*v));

	for (size_t i = 0; i < chain->n; i++) {
		struct layer_tree t = {
			.store = &w->store,
			.digest = chain->v[i].digest,
			.map = env_map_name(&w->env),
			.owners = plan->rung == RUNG_SUBIDS,
		};
		bool there;

		v[i] = chain->v[i];
		if (layer_tree_find(a, &t, &v[i].tree, &there, err) < 0)
			return -1;
		if (!there && userns_call(plan, layer_tree_make, &t, err) < 0)
			return -1;
	}
	chain->v = v;
	return 0;
}

static void tell(const struct workplace *w, const struct chain *chain)
{
	const struct commit *top = chain->n > w->env.image.n ? &chain->v[chain->n - 1] : NULL;
	_cleanup_buf_ struct buf message = {0};

	if (!top) {
		log_info("'%s' is at its base", w->env_name);
		return;
	}
	/* In one line, whatever it has. */
	if (top->message[0]) {
		buf_adds(&message, " (");
		out_cell(&message, top->message, 0);
		buf_adds(&message, ")");
	}
	log_info("'%s' is at %.*s%s", w->env_name, HISTORY_SHORT, top->digest,
		 message.p ? message.p : "");
}

/* How many layers of the old chain are not in the new one. */
static size_t count_left(const struct chain *old, const struct chain *chain)
{
	size_t n = 0;

	while (n < old->n && n < chain->n && strcmp(old->v[n].digest, chain->v[n].digest) == 0)
		n++;
	return old->n - n;
}

static void tell_left(const struct chain *old, size_t n)
{
	if (n > 0)
		log_info("%zu layer%s left behind, the last %.*s; to go back there: sbx reset -", n,
			 n == 1 ? "" : "s", HISTORY_SHORT, old->v[old->n - 1].digest);
}

/* To the base that the profile names: what it is by now, and what its lock file pins. */
static int rebase(struct arena *a, struct workplace *w, struct err *err)
{
	struct job job = {.store = &w->store, .env = &w->env, .rebase = true};
	const size_t left = w->env.chain.n - w->env.image.n;
	struct base base = {0};
	const struct plan *plan;
	struct env_from from;
	int r;

	if (open_check_allowed(a, w, err) < 0 || history_plan(a, w, &plan, err) < 0)
		return -1;

	const struct base_for f = {&w->store, w->project, plan, w->allowed};

	if (build_base_of(a, &f, w->profile, &base, err) < 0)
		return -1;
	if (base.ref) {
		from = base_from(&base, plan);
		job.from = &from;
	}
	r = userns_call(plan, reset_inside, &job, err);
	base_done(&w->store, &base);
	if (r < 0)
		return -1;
	log_info("'%s' stands on '%s'%s now", w->env_name, profile_base(a, w->profile),
		 job.from && job.from->image.build[0] ? " and what [build] makes of it" : "");
	if (left > 0)
		log_info("%zu layer%s left behind, which lay on another base; a tag keeps its own",
			 left, left == 1 ? "" : "s");
	return 0;
}

static int reset(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	__attribute__((cleanup(client_hold_done))) struct client_hold held = CLIENT_HOLD_NONE;
	struct job job = {.store = &w.store, .env = &w.env};
	const char *word = cli->args.v[0];
	_cleanup_fd_ int lock = -1;
	const struct plan *plan;
	struct chain old;

	if (v->rebase && word)
		return err_kind(err, ERR_USAGE, "sbx reset --rebase takes no LAYER");
	if (history_open(cli->a, &v->where, v->rebase, &w, err) < 0 ||
	    history_hold(cli->a, &w, "reset", &held, err) < 0)
		return -1;
	care_tidy(cli->a, &w.store);
	if (v->rebase)
		return rebase(cli->a, &w, err);
	old = w.env.chain;
	job.chain = old;
	if (word && history_chain(cli->a, &w, word, &job.chain, err) < 0)
		return -1;
	/* Until env.json names them, gc may take away layers that only a tag had. */
	if (layer_lock(&w.store, false, &lock, err) < 0 ||
	    history_plan(cli->a, &w, &plan, err) < 0 ||
	    have_trees(cli->a, &w, plan, &job.chain, err) < 0 ||
	    userns_call(plan, reset_inside, &job, err) < 0)
		return -1;
	tell(&w, &job.chain);
	tell_left(&old, count_left(&old, &job.chain));
	return 0;
}

const struct command *cmd_reset(void)
{
	static const struct command row = {
		.table =
			{.name = "reset",
			 .args = "[LAYER]",
			 .summary = "undo what was not committed, or go back to a layer",
			 .details =
				 "Take away all changes of the environment's root since its last layer.  With LAYER,\n"
				 "go to that state: at least four digits of its digest, a tag, `base` for none at\n"
				 "all, or `-` for what the last reset went away from: its layers are kept until the\n"
				 "next such reset, or `sbx gc --all`.  On an image, `base` is the image.  --rebase\n"
				 "takes the base that the profile names by now, without any of the old layers.\n"
				 "Home and project are not touched.",
			 .opts = opts,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = reset,
	};

	return &row;
}
