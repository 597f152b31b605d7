#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/jupyter.h"
#include "cli/open.h"

struct values {
	struct where where;
	const char *port;
	bool no_browser;
	bool yes;
	bool new_token;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"port", 'p', "PORT", offsetof(struct values, port),
	 "the port of 127.0.0.1 [8888, or the next that is free]"},
	{"no-browser", 0, NULL, offsetof(struct values, no_browser), "do not open a browser"},
	{"yes", 'y', NULL, offsetof(struct values, yes), "install what is missing without asking"},
	{"new-token", 0, NULL, offsetof(struct values, new_token),
	 "make another token: addresses with the old one end"},
	{0},
};

/* The first word, where it is one of the two; the others are Jupyter's own. */
static int read_args(const struct cli *cli, struct jupyter *j, struct err *err)
{
	static const char *const kinds[] = {"lab", "notebook", NULL};
	const char *word = cli->args.n > 0 ? cli->args.v[0] : NULL;

	j->args = cli->args.v;
	if (!word || word[0] == '-')
		return 0;
	if (opt_word("jupyter", word, kinds, err) < 0)
		return -1;
	j->kind = word;
	j->args++;
	return 0;
}

static int jupyter(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct jupyter j = {.browser = !v->no_browser, .yes = v->yes, .new_token = v->new_token};
	uint64_t port = 0;
	bool other = false;
	int status;

	if (v->port && num_u64(v->port, 1, UINT16_MAX, &port, err) < 0) {
		(void)err_prefix(err, "cannot use '%s' as the port", v->port);
		err->kind = ERR_USAGE;
		return -1;
	}
	j.port = (uint16_t)port;
	if (read_args(cli, &j, err) < 0 || open_project(cli->a, &v->where, &w, err) < 0 ||
	    open_profile(cli->a, &w, err) < 0 || jupyter_other(cli->a, &w, &j, &other, err) < 0)
		return -1;
	if (other)
		return 0;
	if (jupyter_install(cli->a, &w, &j, err) < 0 ||
	    jupyter_run(cli->a, &w, &j, &status, err) < 0)
		return -1;
	return status;
}

const struct command *cmd_jupyter(void)
{
	static const struct command row = {
		.table =
			{.name = "jupyter",
			 .args = "[lab|notebook] [-- ARG ...]",
			 .summary = "run Jupyter in the sandbox, and open it",
			 .details =
				 "Run Jupyter in the project's sandbox, print its address, and open it in a browser where\n"
				 "there is a display.  What is missing of it is installed inside at the first time.  ARGs\n"
				 "are Jupyter's own.  Ctrl-C ends it.  Where one runs already, its address is printed.",
			 .opts = opts,
			 .max_args = OPT_ANY_ARGS},
		.values_size = sizeof(struct values),
		.run = jupyter,
	};

	return &row;
}
