#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/history.h"
#include "store/env_chain.h"
#include "store/layer.h"

struct values {
	struct where where;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{0},
};

/* Is there anything in the upper folder?  It need not be a change, so this only says "may". */
static bool may_have_changes(const struct env *e)
{
	_cleanup_fd_ int fd = openat(e->fd, e->upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d)
		return false;
	(void)TAKE_FD(fd);
	while ((entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			return true;
	}
	return false;
}

static int fork_env(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	__attribute__((cleanup(client_hold_done))) struct client_hold held = CLIENT_HOLD_NONE;
	const char *name = cli->args.v[0];
	_cleanup_fd_ int lock = -1;

	if (open_env_of(cli->a, &v->where, NULL, &w, err) < 0)
		return -1;
	/* It may run meanwhile: its layers stay what they are. */
	if (!env_is_settled(&w.env) && history_settle(cli->a, &w, err) < 0)
		return -1;
	if (client_hold_start(&w.env, &held, err) < 0 || history_read_anew(cli->a, &w, err) < 0 ||
	    layer_lock(&w.store, false, &lock, err) < 0)
		return -1;
	care_tidy(cli->a, &w.store);
	if (env_make_fork(cli->a, &w.store, &w.env, name, &w.env.chain, err) < 0)
		return -1;
	log_info("made the environment '%s' with %zu layer%s of '%s'; sbx enter -e %s", name,
		 w.env.chain.n, w.env.chain.n == 1 ? "" : "s", w.env_name, name);
	if (may_have_changes(&w.env))
		log_info("what '%s' has not committed is not in it", w.env_name);
	return 0;
}

const struct command *cmd_fork(void)
{
	static const struct command row = {
		.table =
			{.name = "fork",
			 .args = "NAME",
			 .summary = "make another environment on the same layers",
			 .details =
				 "Make the environment NAME of the same project, on the layers that this one has.\n"
				 "It shares them, and has a root folder for changes and a home of its own.",
			 .opts = opts,
			 .min_args = 1,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = fork_env,
	};

	return &row;
}
