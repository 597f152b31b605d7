#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/shim.h"
#include "store/project.h"

struct values {
	struct where where; /* its env is not used */
	bool list;
	bool remove;
	bool json;
};

static const struct opt opts[] = {
	OPT_DIRECTORY(struct values),
	{"list", 'l', NULL, offsetof(struct values, list), "list the launchers"},
	{"remove", 'r', NULL, offsetof(struct values, remove), "remove the launchers CMD ..."},
	{"json", 0, NULL, offsetof(struct values, json), "list as JSON"},
	{0},
};

static const char *const state_names[] = {
	[SHIM_OK] = "ok",
	[SHIM_STALE] = "stale",
	[SHIM_FOREIGN] = "not made by sbx",
};

static int list(const struct cli *cli, const struct workplace *w, bool json, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	json_t *root = json_array();
	struct shim *v;
	size_t n;

	if (shim_list(cli->a, w->project, &v, &n, err) < 0) {
		json_decref(root);
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		const char *state = state_names[v[i].state];

		json_array_append_new(root, json_pack("{s:o, s:s}", "name",
						      out_json_string(v[i].name), "state", state));
		out_cell(&b, v[i].name, 20);
		buf_printf(&b, " %s\n", state);
	}
	if (json)
		return out_json(root, err);
	json_decref(root);
	if (n == 0)
		log_info("no launcher yet; sbx shim CMD makes one");
	return out_write(&b, err);
}

static int make(const struct cli *cli, const struct workplace *w, struct err *err)
{
	struct shim *v;
	size_t n;

	if (shim_make(cli->a, &w->store, w->project, cli->args.v, err) < 0 ||
	    shim_list(cli->a, w->project, &v, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (v[i].state == SHIM_FOREIGN)
			log_warn("'%s/" SHIM_FOLDER "/%s' was not made by sbx: look at it before "
				 "you run it",
				 w->project, v[i].name);
	log_info("made %zu launcher%s in '%s/" SHIM_FOLDER "'", cli->args.n,
		 cli->args.n == 1 ? "" : "s", w->project);
	return 0;
}

/* As the kernel starts it: a launcher, and the arguments of its command. */
static int run(const struct cli *cli, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct open_command command = {0};
	const char *project = NULL;
	const char *name = NULL;
	struct strv argv = {0};
	int status;

	if (shim_of(cli->a, cli->args.v[0], &project, &name, err) < 0)
		return -1;
	strv_push(cli->a, &argv, name);
	for (size_t i = 1; i < cli->args.n; i++)
		strv_push(cli->a, &argv, cli->args.v[i]);
	command.argv = (const char *const *)argv.v;
	w.env_name = "default";
	if (open_cwd(cli->a, NULL, &w.cwd, err) < 0 ||
	    project_find(cli->a, project, &w.project, err) < 0 ||
	    store_open(cli->a, &w.store, err) < 0 || open_profile(cli->a, &w, err) < 0 ||
	    open_run(cli->a, &w, &command, &status, err) < 0)
		return -1;
	return status;
}

static int shim(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;

	if (cli->args.n > 0 && strchr(cli->args.v[0], '/') && !v->list && !v->remove)
		return run(cli, err);
	if (open_project(cli->a, &v->where, &w, err) < 0)
		return -1;
	if (v->list || (v->json && cli->args.n == 0))
		return list(cli, &w, v->json, err);
	if (cli->args.n == 0) {
		(void)err_kind(err, ERR_USAGE, "'sbx shim' needs the name of a command");
		return err_hint(err, "sbx shim python3, or sbx shim --list");
	}
	if (v->remove)
		return shim_remove(cli->a, w.project, cli->args.v, err);
	return make(cli, &w, err);
}

const struct command *cmd_shim(void)
{
	static const struct command row = {
		.table =
			{.name = "shim",
			 .args = "[CMD ...]",
			 .summary = "make launchers that run commands inside",
			 .details =
				 "Make a launcher in .sbx/bin for each CMD, for editors and scripts outside: it runs CMD\n"
				 "in the project's sandbox, in the same folder, with the same standard input and output,\n"
				 "signals and exit status.  A CMD with a slash is such a launcher, and is run.",
			 .opts = opts,
			 .max_args = OPT_ANY_ARGS,
			 .leading = true},
		.values_size = sizeof(struct values),
		.run = shim,
	};

	return &row;
}
