#include "cli/shim.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/shell.h"
#include "run/client.h"
#include "store/env.h"

/* The kernel reads that much of a first line, execve(2); with room for the rest of it. */
#define LINE_MAX_SELF 200

#define TEXT_LIMIT 8192

static void add_mark(const char *name, struct buf *ret)
{
	buf_printf(ret, "\n# Made by `sbx shim`: runs %s in the sandbox of this project.\n", name);
}

void shim_text(const char *self, const char *name, struct buf *ret)
{
	if (!strpbrk(self, " \t'\"\\") && strlen(self) < LINE_MAX_SELF) {
		buf_printf(ret, "#!%s shim", self);
		add_mark(name, ret);
		return;
	}
	buf_adds(ret, "#!/bin/sh");
	add_mark(name, ret);
	buf_adds(ret, "exec ");
	str_shell_quote(ret, self);
	buf_adds(ret, " shim \"$0\" \"$@\"\n");
}

enum shim_state shim_judge(const char *self, const char *name, const struct buf *text)
{
	_cleanup_buf_ struct buf wanted = {0};
	_cleanup_buf_ struct buf mark = {0};

	shim_text(self, name, &wanted);
	if (text->len == wanted.len && memcmp(text->p, wanted.p, wanted.len) == 0)
		return SHIM_OK;
	add_mark(name, &mark);
	return text->len > 2 && strncmp(text->p, "#!", 2) == 0 && strstr(text->p, mark.p)
		       ? SHIM_STALE
		       : SHIM_FOREIGN;
}

int shim_check_name(const char *name, struct err *err)
{
	const char *why = NULL;

	if (name[0] == '\0' || strlen(name) > NAME_MAX)
		why = "it is empty, or too long";
	else if (strchr(name, '/'))
		why = "a launcher is found by its name, without a folder";
	else if (name[0] == '.' || name[0] == '-')
		why = "it begins with a dot or a dash";
	for (const char *c = name; !why && *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			why = "it has a control character";
	return why ? err_kind(err, ERR_USAGE, "cannot make a launcher '%s': %s", name, why) : 0;
}

/* A folder of the user's own, and no link: what is in it is run outside. */
static int open_folder(int dir, const char *name, bool make, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (make && mkdirat(dir, name, 0777) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make the folder '%s'", name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot open the folder '%s'", name);
	if (st.st_uid != geteuid())
		return err_set(err, "cannot use the folder '%s': it belongs to user %u", name,
			       (unsigned)st.st_uid);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int open_bin(const char *project, bool make, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int dir = open(project, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int own = -1;

	if (dir < 0)
		return err_errno(err, errno, "cannot open the project '%s'", project);
	if (open_folder(dir, ".sbx", make, &own, err) < 0 ||
	    open_folder(own, "bin", make, ret_fd, err) < 0)
		return err_prefix(err, "%s", project);
	return 0;
}

/* ENOENT in err->errnum where there is none; `bin` -1: no folder. */
static int judge_file(int bin, const char *self, const char *name, enum shim_state *ret,
		      struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	struct err why = {0};
	struct stat st;

	if (bin < 0 || fstatat(bin, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, bin < 0 ? ENOENT : errno, "there is no launcher '%s'", name);
	*ret = SHIM_FOREIGN;
	if (S_ISREG(st.st_mode) && fs_read_at(bin, name, TEXT_LIMIT, &text, &why) == 0)
		*ret = shim_judge(self, name, &text);
	return 0;
}

static int refuse_foreign(const char *name, struct err *err)
{
	(void)err_set(err, "cannot touch '" SHIM_FOLDER "/%s': sbx has not made it", name);
	return err_hint(err, "look at it, and remove it yourself");
}

static int make_one(int bin, const char *self, const char *name, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	enum shim_state state = SHIM_OK;
	struct err why = {0};

	if (judge_file(bin, self, name, &state, &why) < 0 && why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	if (state == SHIM_FOREIGN)
		return refuse_foreign(name, err);
	shim_text(self, name, &text);
	return fs_write_atomic(bin, name, text.p, text.len, 0755, err);
}

/*
 * Is .sbx as old as the sandbox that runs?  One that came later is writable inside until the next start, and what
 * is in it runs outside.
 */
static bool is_protected(const char *project, uint64_t uptime_ms)
{
	_cleanup_buf_ struct buf path = {0};
	struct timespec now;
	struct stat st;
	int64_t start;

	buf_printf(&path, "%s/.sbx", project);
	if (lstat(path.p, &st) < 0 || clock_gettime(CLOCK_REALTIME, &now) < 0)
		return false;
	start = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000 - (int64_t)uptime_ms;
	return (int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000 < start;
}

static int check_running(struct arena *a, const struct store *s, const char *project,
			 struct err *err)
{
	struct env *envs;
	size_t n;

	if (env_list(a, s, &envs, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct env env = {.fd = -1};
		struct client_info info = {0};
		_cleanup_fd_ int sock = -1;
		struct err why = {0};
		bool runs;

		if (!str_eq(envs[i].project, project) ||
		    env_open_id(a, s, envs[i].id, &env, &why) < 0)
			continue;
		runs = client_connect(&env, &sock, &why) == 0 &&
		       client_info(sock, &info, &why) == 0;
		env_done(&env);
		if (!runs || is_protected(project, info.uptime_ms))
			continue;
		(void)err_set(err,
			      "cannot make launchers in '%s': '.sbx' is writable in the sandbox "
			      "that runs, until its next start",
			      project);
		return err_hint(err, "sbx stop %s, and then once more", envs[i].id);
	}
	return 0;
}

int shim_make(struct arena *a, const struct store *s, const char *project, const char *const *names,
	      struct err *err)
{
	/* The path of a program of this machine: nothing for a repository. */
	static const char ignore[] = "*\n";
	const char *self = shell_self(a);
	_cleanup_fd_ int bin = -1;

	for (const char *const *n = names; *n; n++)
		if (shim_check_name(*n, err) < 0)
			return -1;
	if (!self)
		return err_set(err, "cannot tell where sbx itself lies");
	if (check_running(a, s, project, err) < 0 || open_bin(project, true, &bin, err) < 0)
		return -1;
	if (faccessat(bin, ".gitignore", F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	    fs_write_atomic(bin, ".gitignore", ignore, strlen(ignore), 0644, err) < 0)
		return -1;
	for (const char *const *n = names; *n; n++)
		if (make_one(bin, self, *n, err) < 0)
			return -1;
	return 0;
}

int shim_remove(struct arena *a, const char *project, const char *const *names, struct err *err)
{
	const char *self = shell_self(a);
	_cleanup_fd_ int bin = -1;
	struct err why = {0};

	/* Without a folder there is none of those names either. */
	if (open_bin(project, false, &bin, &why) < 0 && why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	for (const char *const *n = names; *n; n++) {
		enum shim_state state = SHIM_FOREIGN;

		if (shim_check_name(*n, err) < 0)
			return -1;
		if (judge_file(bin, self ? self : "", *n, &state, err) < 0)
			return err_hint(err, "sbx shim --list shows those that are there");
		if (state == SHIM_FOREIGN)
			return refuse_foreign(*n, err);
	}
	for (const char *const *n = names; *n; n++)
		if (unlinkat(bin, *n, 0) < 0)
			return err_errno(err, errno, "cannot remove '" SHIM_FOLDER "/%s'", *n);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct shim *)a)->name, ((const struct shim *)b)->name);
}

int shim_list(struct arena *a, const char *project, struct shim **ret, size_t *ret_n,
	      struct err *err)
{
	const char *self = shell_self(a);
	_cleanup_dir_ DIR *d = NULL;
	_cleanup_fd_ int bin = -1;
	struct strv names = {0};
	struct err why = {0};
	struct shim *v;

	if (open_bin(project, false, &bin, &why) < 0 && why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	if (bin >= 0) {
		d = fdopendir(fcntl(bin, F_DUPFD_CLOEXEC, 0));
		if (!d)
			return err_errno(err, errno, "cannot read '%s/" SHIM_FOLDER "'", project);
	}
	for (const struct dirent *e; d && (e = readdir(d));)
		if (e->d_name[0] != '.')
			strv_push(a, &names, e->d_name);
	v = arena_alloc(a, (names.n + 1) * sizeof(*v));
	for (size_t i = 0; i < names.n; i++) {
		v[i].name = names.v[i];
		v[i].state = SHIM_FOREIGN;
		(void)judge_file(bin, self ? self : "", names.v[i], &v[i].state, &why);
	}
	qsort(v, names.n, sizeof(*v), by_name);
	*ret = v;
	*ret_n = names.n;
	return 0;
}

int shim_of(struct arena *a, const char *file, const char **ret_project, const char **ret_name,
	    struct err *err)
{
	char path[PATH_MAX];
	char *slash;

	/* Without links: an editor may have its own way to it. */
	if (!realpath(file, path))
		return err_errno(err, errno, "cannot run the launcher '%s'", file);
	slash = strrchr(path, '/');
	*slash = '\0';
	if (!str_ends(path, "/" SHIM_FOLDER) || str_eq(path, "/" SHIM_FOLDER)) {
		(void)err_kind(err, ERR_USAGE, "'%s' is no launcher of a project", file);
		return err_hint(err, "sbx shim CMD makes one; it is in " SHIM_FOLDER);
	}
	if (shim_check_name(slash + 1, err) < 0)
		return -1;
	*ret_name = arena_strdup(a, slash + 1);
	*ret_project = arena_strndup(a, path, strlen(path) - strlen("/" SHIM_FOLDER));
	return 0;
}
