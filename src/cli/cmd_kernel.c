#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/inside.h"
#include "cli/kernel_exec.h"
#include "cli/kernelspec.h"
#include "cli/open.h"
#include "cli/out.h"
#include "conf/profile.h"

/* Jupyter puts the path of the connection file there. */
#define CONNECTION_FILE "{connection_file}"

struct values {
	struct where where;
	const char *name;
	const char *display_name;
	const char *language;
	const char *connection;
	bool json;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"name", 0, "KERNEL", offsetof(struct values, name), "what Jupyter calls it (install)"},
	{"display-name", 0, "TEXT", offsetof(struct values, display_name),
	 "what Jupyter shows (install)"},
	{"language", 0, "LANG", offsetof(struct values, language),
	 "the language of CMD's notebooks (install) [python]"},
	{"connection", 0, "FILE", offsetof(struct values, connection),
	 "the front end's connection file (exec)"},
	{"json", 0, NULL, offsetof(struct values, json), "as JSON (list)"},
	{0},
};

static int own_path(struct arena *a, const char **ret, struct err *err)
{
	char exe[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (n <= 0)
		return err_errno(err, errno, "cannot tell where sbx itself is");
	*ret = arena_strndup(a, exe, (size_t)n);
	return 0;
}

/* What Jupyter runs: sbx, in the project, with the kernel's own command behind "--". */
static const char *const *make_argv(struct arena *a, const char *sbx, const struct workplace *w,
				    const char *const *kernel)
{
	static const char *const python[] = {"python3",       "-m", "ipykernel_launcher", "-f",
					     CONNECTION_FILE, NULL};
	const char *const first[] = {
		sbx,         "kernel",       "exec",          "-C", w->project, "-e",
		w->env_name, "--connection", CONNECTION_FILE, "--"};
	struct strv v = {0};

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++)
		strv_push(a, &v, first[i]);
	for (const char *const *word = *kernel ? kernel : python; *word; word++)
		strv_push(a, &v, *word);
	return (const char *const *)v.v;
}

/* Not there is no failure: it may be installed later. */
static int warn_missing(struct arena *a, struct workplace *w, struct err *err)
{
	static const char *const argv[] = {"python3", "-c", "import ipykernel", NULL};
	bool there;

	if (inside_check(a, w, argv, &there, err) < 0)
		return -1;
	if (!there)
		log_warn("there is no ipykernel inside yet, which the kernel needs; on Debian: "
			 "sbx run -- sudo apt-get install python3-ipykernel");
	return 0;
}

static int check_command(const char *const *kernel, struct err *err)
{
	for (const char *const *word = kernel; *word; word++)
		if (str_eq(*word, CONNECTION_FILE))
			return 0;
	if (!*kernel)
		return 0;
	err_kind(err, ERR_USAGE, "the command '%s' gets no connection file", kernel[0]);
	return err_hint(err, "put " CONNECTION_FILE " where it takes the file");
}

static int install(const struct cli *cli, const struct values *v, struct err *err)
{
	const char *const *kernel = cli->args.v + 1;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct arena *a = cli->a;
	struct kernelspec spec = {.language = v->language ? v->language : "python"};
	const char *sbx = NULL;
	const char *title;
	const char *file;

	if (own_path(a, &sbx, err) < 0 || check_command(kernel, err) < 0 ||
	    open_project(a, &v->where, &w, err) < 0 || open_profile(a, &w, err) < 0)
		return -1;
	title = w.profile->name.s ? w.profile->name.s : path_base(w.project);
	if (!str_eq(w.env_name, "default"))
		title = arena_printf(a, "%s-%s", title, w.env_name);
	spec.name = v->name ? v->name : kernelspec_name_of(a, title);
	spec.display_name = v->display_name
				    ? v->display_name
				    : arena_printf(a, "%s (sbx)", v->name ? v->name : title);
	spec.project = w.project;
	spec.env = w.env_name;
	spec.argv = make_argv(a, sbx, &w, kernel);
	if (kernelspec_check_name(spec.name, err) < 0 ||
	    (!*kernel && warn_missing(a, &w, err) < 0) ||
	    kernelspec_write(a, &spec, &file, err) < 0)
		return -1;
	log_info("the kernel '%s' is in '%s'; Jupyter shows it as '%s'", spec.name, file,
		 spec.display_name);
	return 0;
}

static int list_json(const struct kernelspec *v, size_t n, struct err *err)
{
	json_t *root = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(root, json_pack("{s:o, s:o, s:o, s:o}", "name",
						      out_json_string(v[i].name), "display_name",
						      out_json_string(v[i].display_name), "project",
						      out_json_string(v[i].project), "environment",
						      out_json_string(v[i].env)));
	return out_json(root, err);
}

static int list(struct arena *a, bool json, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct kernelspec *v;
	size_t n;

	if (kernelspec_list(a, &v, &n, err) < 0)
		return -1;
	if (json)
		return list_json(v, n, err);
	if (n == 0) {
		log_info("no kernel yet; sbx kernel install makes one of this project");
		return 0;
	}
	buf_printf(&b, "%-20s %-15s %s\n", "KERNEL", "ENVIRONMENT", "PROJECT");
	for (size_t i = 0; i < n; i++) {
		out_cell(&b, v[i].name, 20);
		buf_adds(&b, " ");
		out_cell(&b, v[i].env ? v[i].env : "?", 15);
		buf_adds(&b, " ");
		out_cell(&b, v[i].project ? v[i].project : "?", 0);
		buf_adds(&b, "\n");
	}
	return out_write(&b, err);
}

static int remove_kernel(const struct cli *cli, struct err *err)
{
	if (cli->args.n < 2) {
		(void)err_kind(err, ERR_USAGE, "'sbx kernel %s' needs the name of a kernel",
			       cli->args.v[0]);
		return err_hint(err, "sbx kernel list shows them");
	}
	for (size_t i = 1; i < cli->args.n; i++) {
		if (kernelspec_remove(cli->a, cli->args.v[i], err) < 0)
			return -1;
		log_info("removed the kernel '%s'", cli->args.v[i]);
	}
	return 0;
}

/* What the kernelspec has Jupyter run; it starts where the notebook is, if that is in the project. */
static int exec(const struct cli *cli, const struct values *v, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	const char *connection = v->connection;
	const char *cwd;
	int status;

	if (!connection || cli->args.n < 2) {
		err_kind(err, ERR_USAGE, "sbx kernel exec needs a connection file and a command");
		return err_hint(err, "it is what Jupyter runs: sbx kernel install");
	}
	if (open_cwd(cli->a, NULL, &cwd, err) < 0)
		return -1;
	if (connection[0] != '/')
		connection = path_join(cli->a, cwd, connection);
	if (open_project(cli->a, &v->where, &w, err) < 0 || open_profile(cli->a, &w, err) < 0)
		return -1;
	if (path_is_under(cwd, w.project))
		w.cwd = cwd;
	if (kernel_exec(cli->a, &w, connection, cli->args.v + 1, &status, err) < 0)
		return -1;
	return status;
}

static int kernel(const struct cli *cli, const void *values, struct err *err)
{
	/* The last two are what `sbx port` calls them. */
	static const char *const words[] = {"install", "list", "remove", "exec", "add", "rm", NULL};
	const struct values *v = values;
	const char *word = cli->args.v[0];

	if (opt_word("kernel", word, words, err) < 0)
		return -1;
	if (str_eq(word, "install") || str_eq(word, "add"))
		return install(cli, v, err);
	if (str_eq(word, "remove") || str_eq(word, "rm"))
		return remove_kernel(cli, err);
	if (str_eq(word, "exec"))
		return exec(cli, v, err);
	if (cli->args.n > 1)
		return err_kind(err, ERR_USAGE,
				"'sbx kernel list' has no use for the argument '%s'",
				cli->args.v[1]);
	return list(cli->a, v->json, err);
}

const struct command *cmd_kernel(void)
{
	static const struct command row = {
		.table =
			{.name = "kernel",
			 .args = "install [-- CMD ...] | list | remove KERNEL ... | exec -- CMD ...",
			 .summary = "offer the environment as a kernel to the Jupyter outside",
			 .details =
				 "install: write a kernelspec, by which every Jupyter of yours runs notebooks in the\n"
				 "project's sandbox, whatever its network is; with CMD (and {connection_file} in it)\n"
				 "another kernel than Python's.  list: those that sbx made.  remove: some of them.\n"
				 "exec: what the kernelspec has Jupyter run.  add and rm are install and remove.",
			 .opts = opts,
			 .min_args = 1,
			 .max_args = OPT_ANY_ARGS},
		.values_size = sizeof(struct values),
		.run = kernel,
	};

	return &row;
}
