#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/history.h"
#include "cli/out.h"
#include "cli/progress.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/squash.h"

struct values {
	struct where where;
	const char *message;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"message", 'm', "TEXT", offsetof(struct values, message), "what the layer is for"},
	{0},
};

struct job {
	struct commit_input in;
	struct progress progress;
	struct commit_result *result; /* shared with the child */
};

static int squash_inside(const struct view *v, void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct job *job = arg;
	int r;

	job->in.lower = v->lower;
	progress_begin(&job->progress, "squashing");
	r = squash(a, &job->in, job->result, err);
	progress_end(&job->progress);
	return r;
}

/* The message of the layer, where none was given: those of what it is made of. */
static const char *join_messages(struct arena *a, const struct chain *c, size_t from)
{
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = from; i < c->n; i++) {
		if (!c->v[i].message[0])
			continue;
		if (b.len > 0)
			buf_adds(&b, "; ");
		buf_adds(&b, c->v[i].message);
	}
	return arena_strdup(a, b.p ? b.p : "");
}

/* What the topmost layer lies on, after all. */
static int read_host(struct arena *a, const struct workplace *w, const char **ret, struct err *err)
{
	const struct chain *c = &w->env.chain;
	_cleanup_fd_ int fd = -1;
	struct layer_info info;

	if (layer_open(a, &w->store, c->v[c->n - 1].digest, &fd, &info, err) < 0)
		return -1;
	*ret = info.host;
	return 0;
}

static int make(struct arena *a, struct workplace *w, const char *message, struct err *err)
{
	struct job job = {.in = {.store = &w->store, .env = &w->env, .newest = INT64_MAX}};
	_cleanup_buf_ struct buf digest = {0};
	struct workplace bare = *w;
	const struct plan *plan;

	bare.env.chain.n = w->env.image.n;
	if (read_host(a, w, &job.in.host, err) < 0 || history_plan(a, &bare, &plan, err) < 0)
		return -1;
	job.in.owners = plan->rung == RUNG_SUBIDS;
	job.in.now = (int64_t)time(NULL);
	job.in.message = message ? message : join_messages(a, &w->env.chain, w->env.image.n);
	job.in.by = "sbx squash";
	job.in.progress = progress_tell;
	job.in.progress_ctx = &job.progress;
	job.result = care_shared(sizeof(*job.result));
	if (view_call(plan, &(struct view_job){.fn = squash_inside, .arg = &job}, err) < 0)
		return -1;
	log_info("made one layer of %zu", w->env.chain.n - w->env.image.n);
	buf_printf(&digest, "%s\n", job.result->digest);
	return out_write(&digest, err);
}

static int run(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	__attribute__((cleanup(client_hold_done))) struct client_hold held = CLIENT_HOLD_NONE;
	size_t n;

	if (history_open(cli->a, &v->where, false, &w, err) < 0 ||
	    care_sweep(cli->a, &w.store, NULL, NULL, err) < 0 ||
	    history_hold(cli->a, &w, "squash", &held, err) < 0)
		return -1;
	n = w.env.chain.n - w.env.image.n;
	if (n < 2) {
		log_info("nothing to squash: '%s' has %zu layer%s%s", w.env_name, n,
			 n == 1 ? "" : "s", w.env.image.ref ? " over its image" : "");
		return 0;
	}
	return make(cli->a, &w, v->message, err);
}

const struct command *cmd_squash(void)
{
	static const struct command row = {
		.table =
			{.name = "squash",
			 .summary = "make one layer of all",
			 .details =
				 "Make one layer of all that the environment has (over its image, where it stands\n"
				 "on one), and print its digest.  What the environment shows stays the same, to the\n"
				 "byte, and so does what is not committed.  The old layers stay as long as a tag or\n"
				 "another environment needs them; sbx gc removes the others.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = run,
	};

	return &row;
}
