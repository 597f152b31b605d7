#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/open.h"
#include "cli/out.h"
#include "cli/shell.h"
#include "cli/trusted.h"
#include "conf/profile.h"
#include "run/client.h"
#include "store/dirs.h"
#include "store/project.h"

#define PATH_LIMIT 4096

struct values {
	struct where where;
	bool notice;
	bool left;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"notice", 0, NULL, offsetof(struct values, notice),
	 "say what is in this folder (what the scripts call)"},
	{"left", 0, NULL, offsetof(struct values, left),
	 "print where `sbx enter --leave` left to (what the scripts call)"},
	{0},
};

/* What the profile asks for and was not allowed yet, in one line; NULL: nothing. */
static const char *asked(struct arena *a, const struct workplace *w)
{
	_cleanup_buf_ struct buf b = {0};
	struct trusted t;
	struct err why = {0};

	if (trusted_look(a, w, &t, &why) < 0 || t.n_asked == 0 || t.allowed)
		return NULL;
	buf_adds(&b, t.v[0].what);
	if (t.n_asked > 1)
		buf_printf(&b, ", and %zu more", t.n_asked - 1);
	return arena_strdup(a, b.p);
}

/* "ready", "new" or "ask"; what there is to say goes to standard error. */
static const char *tell(struct arena *a, struct workplace *w, const char *name)
{
	const char *base = profile_base(a, w->profile);
	const char *wants = asked(a, w);
	_cleanup_fd_ int sock = -1;
	struct err why = {0};
	bool made = open_env(a, w, &why) == 0;
	const char *state = "no environment yet: sbx enter makes it";

	if (made)
		state = client_connect(&w->env, &sock, &why) == 0 ? "running" : "stopped";
	log_info("%s on %s, %s", name, base, state);
	if (!wants)
		return made ? "ready" : "new";
	log_info("%s asks for more than its own folder (%s): sbx allow", name, wants);
	return "ask";
}

static int notice(struct arena *a, const struct where *where, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	_cleanup_buf_ struct buf b = {0};
	const char *state = "broken";
	struct err why = {0};
	const char *name;

	if (open_project(a, where, &w, err) < 0)
		return -1;
	name = path_base(w.project);
	if (open_profile(a, &w, &why) < 0) {
		log_warn("%s", why.msg);
	} else {
		name = w.profile->name.s ? w.profile->name.s : name;
		state = tell(a, &w, name);
	}
	buf_printf(&b, "%s %s\n", state, shell_name(a, name));
	return out_write(&b, err);
}

/* What a shell inside wrote is anybody's: an absolute path outside of the project, and no line more. */
static bool is_folder(const struct workplace *w, const char *path)
{
	for (const char *p = path; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return false;
	return path[0] == '/' && !path_is_under(path, w->project);
}

static int left(struct arena *a, const struct where *where, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	_cleanup_buf_ struct buf text = {0};
	_cleanup_buf_ struct buf b = {0};
	_cleanup_fd_ int home = -1;
	const char *path;

	if (open_project(a, where, &w, err) < 0 || open_env(a, &w, err) < 0 ||
	    fs_open_beneath(w.env.fd, "home", O_RDONLY | O_DIRECTORY, 0, &home, err) < 0)
		return -1;
	if (fs_read_at(home, SHELL_LEFT, PATH_LIMIT, &text, NULL) < 0)
		return 0;
	(void)unlinkat(home, SHELL_LEFT, 0);
	buf_adds(&text, "");
	path = path_clean(a, text.p);
	if (path && is_folder(&w, path))
		buf_printf(&b, "%s\n", path);
	return out_write(&b, err);
}

static int hook(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_buf_ struct buf b = {0};

	if (v->notice)
		return notice(cli->a, &v->where, err);
	if (v->left)
		return left(cli->a, &v->where, err);
	if (cli->args.n == 0) {
		(void)err_kind(err, ERR_USAGE, "'sbx hook' needs the name of a shell");
		return err_hint(err, "sbx hook bash, zsh or fish");
	}
	if (shell_script(cli->a, "hook", cli->args.v[0], &b, err) < 0)
		return -1;
	return out_write(&b, err);
}

const struct command *cmd_hook(void)
{
	static const struct command row = {
		.table =
			{.name = "hook",
			 .args = "bash|zsh|fish",
			 .summary = "print a script that shows sbx in the prompt",
			 .details =
				 "Print a script with which the prompt shows the project that you are in, and a line says\n"
				 "what is there when you come into one.  For bash: eval \"$(sbx hook bash)\"",
			 .opts = opts,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = hook,
	};

	return &row;
}
