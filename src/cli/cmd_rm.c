#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/history.h"
#include "cli/open.h"
#include "cli/out.h"
#include "plan/plan.h"
#include "run/client.h"
#include "run/launch.h"

#define REMOVE_TRIES 5

struct values {
	struct where where;
	bool force;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"force", 'f', NULL, offsetof(struct values, force), "do not ask"},
	{0},
};

/* Until the end of this process: nobody starts it while it is removed. */
static int hold(const struct workplace *w, struct client_hold *ret_hold, struct err *err)
{
	/* One that is only kept warm for the next command ends for this. */
	if (history_end_idle(w, "remove", err) == 0 && client_hold(&w->env, ret_hold, err) == 0)
		return 0;
	if (err->errnum != EBUSY)
		return -1;
	err_set(err, "cannot remove the environment '%s': it is running", w->env.id);
	return err_hint(err, "end it first: sbx stop");
}

static int confirm(struct arena *a, const struct workplace *w, struct err *err)
{
	if (!out_can_ask()) {
		err_set(err, "cannot ask whether to remove the environment '%s': no terminal",
			w->env.id);
		return err_hint(err, "to remove it unasked, run: sbx rm -f");
	}
	if (out_ask(arena_printf(
		    a,
		    "Remove the environment '%s' of '%s': all that was installed in it, and its home?",
		    w->env_name, w->project)))
		return 0;
	return err_set(err, "the environment '%s' was not removed", w->env.id);
}

/* Files of subordinate ids can be removed only in a user namespace that maps them. */
static int remove_tree(struct arena *a, struct workplace *w, const char *tmp, struct err *err)
{
	const struct plan *plan;

	if (w->env.rung != RUNG_SUBIDS)
		return fs_remove_tree_at(w->store.fd, tmp + strlen(w->store.dir) + 1, err);
	if (history_plan(a, w, &plan, err) < 0)
		return -1;
	return launch_remove_tree(plan, tmp, err);
}

/* A command that came too late may still have put a lock file into the folder just then. */
static int remove_whole(struct arena *a, struct workplace *w, const char *tmp, struct err *err)
{
	int r = -1;

	for (int i = 0; r < 0 && i < REMOVE_TRIES; i++) {
		*err = (struct err){0};
		r = remove_tree(a, w, tmp, err);
		if (r < 0 && err->errnum != ENOTEMPTY)
			break;
	}
	return r;
}

static int rm(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	__attribute__((cleanup(client_hold_done))) struct client_hold held = CLIENT_HOLD_NONE;
	const char *tmp;

	if (open_env_of(cli->a, &v->where, cli->args.v[0], &w, err) < 0)
		return -1;
	if (!v->force && confirm(cli->a, &w, err) < 0)
		return -1;
	if (hold(&w, &held, err) < 0 || history_read_anew(cli->a, &w, err) < 0)
		return -1;
	care_tidy(cli->a, &w.store);
	if (env_retire(cli->a, &w.store, &w.env, &tmp, err) < 0)
		return -1;
	if (remove_whole(cli->a, &w, tmp, err) < 0) {
		err_prefix(err, "the environment '%s' is gone, but its files in '%s' are not",
			   w.env.id, tmp);
		return -1;
	}
	log_info("removed the environment '%s' of '%s'", w.env_name, w.project);
	return 0;
}

const struct command *cmd_rm(void)
{
	static const struct command row = {
		.table =
			{.name = "rm",
			 .args = "[ID]",
			 .summary = "remove the project's environment",
			 .details =
				 "Remove the project's environment: what was installed in it, and its home.\n"
				 "The project's own folder is not touched.  One in which something runs is not removed;\n"
				 "one that is only kept warm is.  ID (see `sbx list`) names one from anywhere, also\n"
				 "when its project is gone.",
			 .opts = opts,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = rm,
	};

	return &row;
}
