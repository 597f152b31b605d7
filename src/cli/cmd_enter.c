#include <stdlib.h>

#include "base/err.h"
#include "base/path.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/shell.h"
#include "conf/profile.h"

struct values {
	struct where where;
	bool root;
	bool leave;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_CREATE(struct values),
	OPT_DIRECTORY(struct values),
	{"root", 0, NULL, offsetof(struct values, root), "be root inside"},
	{"leave", 0, NULL, offsetof(struct values, leave),
	 "end the shell when its folder is outside of the project"},
	{0},
};

static int enter(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	struct open_command command = {.as_root = v->root};
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const char *name;
	int status;

	if (open_project(cli->a, &v->where, &w, err) < 0 || open_profile(cli->a, &w, err) < 0)
		return -1;
	name = w.profile->name.s ? w.profile->name.s : path_base(w.project);
	command.env = shell_inside(cli->a, name, v->leave);
	command.argv = shell_inside_argv(cli->a, name, getenv("SHELL"));
	if (open_run(cli->a, &w, &command, &status, err) < 0)
		return -1;
	return status;
}

const struct command *cmd_enter(void)
{
	static const struct command row = {
		.table =
			{.name = "enter",
			 .summary = "open a shell in the project's sandbox",
			 .details =
				 "Open a shell in the project's sandbox, starting the sandbox where it does not run.\n"
				 "A second `sbx enter` joins the same sandbox.  The environment `default` is made where it\n"
				 "is missing, another one with --create.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = enter,
	};

	return &row;
}
