#include <errno.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/out.h"
#include "plan/plan.h"

struct values {
	struct where where;
	bool root;
	bool dry_run;
	const char *workdir;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_CREATE(struct values),
	OPT_DIRECTORY(struct values),
	{"root", 0, NULL, offsetof(struct values, root), "run it as root inside"},
	{"dry-run", 0, NULL, offsetof(struct values, dry_run),
	 "print what would be done, and do nothing"},
	{"workdir", 'w', "DIR", offsetof(struct values, workdir), "start in DIR inside"},
	{0},
};

/* Reading a plan needs no `sbx allow`: nothing of it is done. */
static int dry_run(struct arena *a, struct workplace *w, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	const struct plan *plan;
	struct err why = {0};

	/* An environment that is not there yet is planned for, not made. */
	if (open_env(a, w, &why) < 0 && why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	if (open_plan(a, w, &plan, err) < 0)
		return -1;
	plan_show(plan, &b);
	return out_write(&b, err);
}

static int run(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	const struct open_command command = {
		.argv = cli->args.v,
		.workdir = v->workdir,
		.as_root = v->root,
	};
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	int status;

	if (!v->dry_run && cli->args.n == 0) {
		err_kind(err, ERR_USAGE, "'sbx run' needs a command");
		return err_hint(err, "sbx run -- CMD, or sbx enter for a shell");
	}
	if (open_project(cli->a, &v->where, &w, err) < 0 || open_profile(cli->a, &w, err) < 0)
		return -1;
	if (v->dry_run)
		return dry_run(cli->a, &w, err);
	if (open_run(cli->a, &w, &command, &status, err) < 0)
		return -1;
	return status;
}

const struct command *cmd_run(void)
{
	static const struct command row = {
		.table =
			{.name = "run",
			 .args = "[--] CMD [ARG ...]",
			 .summary = "run a command in the project's sandbox",
			 .details =
				 "Run a command in the project's sandbox, starting the sandbox where it does not run.\n"
				 "The environment `default` is made where it is missing, another one with --create.\n"
				 "Options end at CMD.  The exit status is the command's own; 125: sbx failed,\n"
				 "126: CMD cannot be executed, 127: there is no CMD, 128+N: ended by signal N.",
			 .opts = opts,
			 .max_args = OPT_ANY_ARGS,
			 .leading = true},
		.values_size = sizeof(struct values),
		.run = run,
	};

	return &row;
}
