#include <errno.h>

#include "base/err.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/open.h"
#include "run/client.h"

struct values {
	struct where where;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{0},
};

/* What does not run is as stopped as it was asked to be: no failure. */
static int stop(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct err why = {0};

	if (open_env_of(cli->a, &v->where, cli->args.v[0], &w, &why) < 0 ||
	    client_stop(&w.env, &why) < 0) {
		/* No sbx.ini, or no such id: that is a mistake. */
		if (why.errnum != ENOENT || !w.project) {
			*err = why;
			return -1;
		}
		log_info("the sandbox of '%s' is not running", w.project);
		return 0;
	}
	log_info("stopped the sandbox of '%s'", w.project);
	return 0;
}

const struct command *cmd_stop(void)
{
	static const struct command row = {
		.table =
			{.name = "stop",
			 .args = "[ID]",
			 .summary = "end the project's sandbox and all that runs in it",
			 .details =
				 "End the project's sandbox and all that runs in it, and wait until nothing is left.\n"
				 "Its files stay; the next `sbx enter` finds them.  ID (see `sbx list`) names one\n"
				 "from anywhere.",
			 .opts = opts,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = stop,
	};

	return &row;
}
