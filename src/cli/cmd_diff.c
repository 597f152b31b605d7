#include <errno.h>
#include <fcntl.h>
#include <signal.h>
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
#include "cli/diff_patch.h"
#include "cli/diff_print.h"
#include "cli/history.h"
#include "cli/open.h"
#include "cli/out.h"
#include "conf/profile.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/diff.h"
#include "store/env_chain.h"
#include "store/floating.h"

/* So many bytes are written at a time. */
#define FLUSH_AT 16384

struct values {
	struct where where;
	bool stat, names, patch, json, all;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"stat", 0, NULL, offsetof(struct values, stat), "with sizes, and the sums at the end"},
	{"name-only", 0, NULL, offsetof(struct values, names), "paths alone"},
	{"patch", 'p', NULL, offsetof(struct values, patch), "contents as a unified diff"},
	{"json", 0, NULL, offsetof(struct values, json), "as JSON"},
	{"all", 'a', NULL, offsetof(struct values, all),
	 "also what [commit] exclude of the profile leaves out"},
	{0},
};

struct task {
	const struct values *v;
	const struct workplace *w;
	const struct plan *plan;
	const char *const *paths; /* from the root, no leading slash; ends with NULL */
	const char *program;      /* diff(1), for --patch */
	struct arena *a;
};

/* What there is to show, and what not. */
struct shown {
	const struct entry **v;
	size_t n;
	size_t left_out; /* by the patterns */
};

/* Is the one at or below the other? */
static bool is_within(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

/* A path whose folder is gone, or is no folder any more, is gone with it. */
static bool takes_away(const struct entry *e)
{
	return e->verdict == ENTRY_DELETED || e->verdict == ENTRY_HIDDEN || e->what & CHANGE_TYPE;
}

static bool is_asked_for(const struct task *t, const struct entry *e)
{
	if (!t->paths[0])
		return true;
	for (size_t i = 0; t->paths[i]; i++) {
		if (is_within(e->path, t->paths[i]) ||
		    (takes_away(e) && is_within(t->paths[i], e->path)))
			return true;
	}
	return false;
}

/* It lives as long as who made it: no layer has it. */
static bool is_new_socket(const struct entry *e)
{
	return e->verdict == ENTRY_ADDED && S_ISSOCK(e->st.st_mode);
}

static bool is_missing(int root, const char *path)
{
	_cleanup_fd_ int fd = -1;
	struct err why = {0};

	return fs_open_in_root(root, path, O_PATH | O_NOFOLLOW, 0, &fd, &why) < 0 &&
	       (why.errnum == ENOENT || why.errnum == ENOTDIR);
}

/* A slip of the hand looks like a path in which nothing has changed. */
static void say_what_never_was(const struct task *t, const struct view *view)
{
	for (size_t i = 0; t->paths[i]; i++) {
		_cleanup_buf_ struct buf path = {0};

		if (!is_missing(view->upper, t->paths[i]) || !is_missing(view->lower, t->paths[i]))
			continue;
		str_escape(&path, t->paths[i], strlen(t->paths[i]));
		log_info("'/%s' is not in the environment, and was not in what lies below it",
			 path.p);
	}
}

static void choose(const struct task *t, const struct entries *all, struct shown *ret)
{
	ret->v = arena_alloc(t->a, (all->n + 1) * sizeof(const struct entry *));
	for (size_t i = 0; i < all->n; i++) {
		const struct entry *e = &all->v[i];

		if (!diff_is_change(e) || is_new_socket(e) || !is_asked_for(t, e))
			continue;
		if (e->excluded && !t->v->all)
			ret->left_out++;
		else
			ret->v[ret->n++] = e;
	}
}

/* The files that have the patterns. */
static void add_files(const struct profile *p, struct buf *ret)
{
	for (size_t i = 0; i < p->commit_exclude.n; i++) {
		const char *file = p->commit_exclude.v[i].at.file;
		bool seen = false;

		for (size_t k = 0; k < i && !seen; k++)
			seen = str_eq(p->commit_exclude.v[k].at.file, file);
		if (seen)
			continue;
		buf_adds(ret, ret->len ? ", " : "");
		str_escape(ret, file, strlen(file));
	}
}

static void add_left_out(const struct task *t, const struct shown *s, struct buf *ret)
{
	_cleanup_buf_ struct buf files = {0};

	add_files(t->w->profile, &files);
	buf_printf(ret, "%zu left out ([commit] exclude of %s): --all shows %s", s->left_out,
		   files.p, s->left_out == 1 ? "it" : "them");
}

/* To people, what an empty output means. */
static void say_what_is_missing(const struct task *t, const struct shown *s)
{
	_cleanup_buf_ struct buf b = {0};

	if (s->n == 0)
		log_info("nothing %shas changed%s", s->left_out ? "else " : "",
			 t->paths[0] ? " there" : "");
	if (s->left_out) {
		add_left_out(t, s, &b);
		log_info("%s", b.p);
	}
}

static int show_stat(const struct task *t, const struct shown *s, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct diff_sums sums = {0};

	for (size_t i = 0; i < s->n; i++) {
		diff_stat_line(s->v[i], &b);
		diff_add(&sums, s->v[i]);
	}
	diff_sums_line(&sums, &b);
	if (s->left_out) {
		add_left_out(t, s, &b);
		buf_adds(&b, "\n");
	}
	return out_write(&b, err);
}

static int show_json(const struct shown *s, struct err *err)
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->n; i++)
		json_array_append_new(list, diff_json(s->v[i]));
	return out_json(list, err);
}

/* A file's bytes are for a patch as they are, but not for a terminal. */
static int show_patch(const struct task *t, const struct view *view, const struct shown *s,
		      struct err *err)
{
	bool terminal = isatty(STDOUT_FILENO);

	for (size_t i = 0; i < s->n; i++) {
		_cleanup_buf_ struct buf b = {0};
		_cleanup_buf_ struct buf safe = {0};

		if (diff_patch(t->program, view->lower, view->upper, s->v[i], &b, err) < 0)
			return -1;
		if (terminal && b.len)
			str_escape_text(&safe, b.p, b.len);
		if (out_write(terminal ? &safe : &b, err) < 0)
			return -1;
	}
	say_what_is_missing(t, s);
	return 0;
}

static int show_lines(const struct task *t, const struct shown *s, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = 0; i < s->n; i++) {
		if (b.len > FLUSH_AT) {
			if (out_write(&b, err) < 0)
				return -1;
			b.len = 0;
		}
		if (t->v->names) {
			diff_path("", s->v[i], &b);
			buf_adds(&b, "\n");
		} else {
			diff_line(s->v[i], &b);
		}
	}
	if (out_write(&b, err) < 0)
		return -1;
	say_what_is_missing(t, s);
	return 0;
}

/* The one path that is asked for; NULL where there are several, or none. */
static const char *under(const struct task *t)
{
	return t->paths[0] && !t->paths[1] ? t->paths[0] : NULL;
}

/* In the child that sees the files; it also prints. */
static int look(const struct view *view, void *arg, struct err *err)
{
	const struct task *t = arg;
	const struct diff_input in = {
		.lower = view->lower,
		.upper = view->upper,
		.dialect = t->w->env.fuse ? WHITEOUT_FUSE : WHITEOUT_KERNEL,
		.owners = t->plan->rung == RUNG_SUBIDS,
		.exclude = history_excluded(t->a, t->w),
		.under = under(t),
		.ahead = view->ahead,
	};
	struct entries all = {0};
	struct shown s = {0};

	/* The parent is the one to end by it: it would not know why we did. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (floating_diff(t->a, &t->w->store, &t->w->env, &in, &all, err) < 0)
		return -1;
	choose(t, &all, &s);
	say_what_never_was(t, view);
	if (t->v->json)
		return show_json(&s, err);
	if (t->v->patch)
		return show_patch(t, view, &s, err);
	return t->v->stat ? show_stat(t, &s, err) : show_lines(t, &s, err);
}

/* From the words of the command line to paths from the root; none of them where one is the root. */
static int read_paths(struct arena *a, const struct cli *cli, const char *cwd,
		      const char *const **ret, struct err *err)
{
	const char **paths = arena_alloc(a, (cli->args.n + 1) * sizeof(const char *));
	size_t n = 0;

	for (size_t i = 0; i < cli->args.n; i++) {
		const char *arg = cli->args.v[i];
		const char *path =
			arg[0] == '/' ? path_clean(a, arg) : path_clean(a, path_join(a, cwd, arg));

		if (!*arg || !path)
			return err_kind(err, ERR_USAGE,
					"cannot show the changes of '%s': not a path", arg);
		if (str_eq(path, "/")) {
			n = 0;
			break;
		}
		paths[n++] = path + 1;
	}
	paths[n] = NULL;
	*ret = paths;
	return 0;
}

/* At most one of the forms. */
static int check_options(const struct values *v, struct err *err)
{
	if ((int)v->stat + (int)v->names + (int)v->patch + (int)v->json > 1)
		return err_kind(err, ERR_USAGE,
				"only one of --stat, --name-only, --patch and --json can be given");
	return 0;
}

/* There is no environment: nothing has changed in it. */
static int nothing_yet(const struct values *v, const struct workplace *w, struct err *err)
{
	log_info("there is no environment '%s' yet: nothing has changed", w->env_name);
	return v->json ? out_json(json_array(), err) : 0;
}

static int diff(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	_cleanup_free_ char *program = NULL;
	struct task t = {.v = v, .w = &w, .a = cli->a};
	struct err why = {0};

	if (check_options(v, err) < 0 || open_project(cli->a, &v->where, &w, err) < 0 ||
	    read_paths(cli->a, cli, w.cwd, &t.paths, err) < 0)
		return -1;
	open_profile_rest(cli->a, &w);
	if (open_env(cli->a, &w, &why) < 0) {
		if (why.errnum == ENOENT)
			return nothing_yet(v, &w, err);
		*err = why;
		return -1;
	}
	if (v->patch && diff_patch_program(&program, err) < 0)
		return -1;
	t.program = program;
	if (!env_is_settled(&w.env) && history_settle(cli->a, &w, err) < 0)
		return -1;
	if (history_plan(cli->a, &w, &t.plan, err) < 0)
		return -1;
	/* To one path alone there is not much to walk over. */
	if (view_call(t.plan, &(struct view_job){.fn = look, .arg = &t, .walks = !under(&t)},
		      err) == 0)
		return 0;
	/* `| head`: end as any program does. */
	if (err->errnum == EPIPE)
		(void)raise(SIGPIPE);
	return -1;
}

const struct command *cmd_diff(void)
{
	static const struct command row = {
		.table =
			{.name = "diff",
			 .args = "[PATH ...]",
			 .summary = "show what has changed since the last commit",
			 .details =
				 "Show what has changed in the environment since its last commit, or against its base\n"
				 "where there is none: A added, M modified, D deleted.  With PATHs (absolute, or from the\n"
				 "current folder) only these and what is in them.  It may run meanwhile.",
			 .opts = opts,
			 .max_args = OPT_ANY_ARGS},
		.values_size = sizeof(struct values),
		.run = diff,
	};

	return &row;
}
