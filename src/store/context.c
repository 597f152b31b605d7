#include "store/context.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "conf/dockerignore.h"

/* Each level holds a descriptor and some of the stack. */
#define DEPTH_MAX 256
#define FOUND_MAX 100000U

static int open_in(const struct context *c, const char *path, int flags, int *ret_fd,
		   struct err *err)
{
	struct err why = {0};
	int r;

	if (!*path)
		path = ".";
	if (c->root)
		return fs_open_in_root(c->fd, path, flags, 0, ret_fd, err);
	r = fs_open_beneath(c->fd, path, flags, 0, ret_fd, &why);
	if (r == 0)
		return 0;
	if (why.errnum == EXDEV) {
		err_set(&why, "cannot take '%s': a link leads out of the context", path);
		err_hint(&why, "copy what it leads to into the context");
	}
	if (err)
		*err = why;
	return -1;
}

static int names_compare(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

/* The names in a folder, sorted. */
static int names_of(struct arena *a, int fd, const char *path, struct strv *ret, struct err *err)
{
	_cleanup_fd_ int list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = list_fd < 0 ? NULL : fdopendir(list_fd);
	const struct dirent *entry;

	if (!d)
		return err_errno(err, errno, "cannot list '%s'", path);
	(void)TAKE_FD(list_fd);
	while ((errno = 0, entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strv_push(a, ret, entry->d_name);
	if (errno)
		return err_errno(err, errno, "cannot list '%s'", path);
	if (ret->n > 0)
		qsort(ret->v, ret->n, sizeof(*ret->v), names_compare);
	return 0;
}

static bool ignored(const struct context *c, const char *path)
{
	return c->ignore && *path && dockerignore_matches(c->ignore, path);
}

/* ---- patterns ---- */

static bool is_pattern(const char *s)
{
	return strpbrk(s, "*?[\\") != NULL;
}

/* The part of a pattern up to the next slash that is not in a class. */
static const char *first_part(struct arena *a, const char *pattern, const char **ret_rest)
{
	size_t n = 0;

	while (pattern[n] && pattern[n] != '/')
		n += pattern[n] == '\\' && pattern[n + 1] ? 2 : 1;
	*ret_rest = pattern + n + (pattern[n] == '/');
	return arena_strndup(a, pattern, n);
}

static int find_in(struct arena *a, const struct context *c, const char *dir, const char *pattern,
		   struct strv *ret, struct err *err);

/* `path` is there, or may be; `rest` of the pattern is left. */
static int found(struct arena *a, const struct context *c, const char *path, const char *rest,
		 struct strv *ret, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct err why = {0};

	if (*rest)
		return find_in(a, c, path, rest, ret, err);
	if (ignored(c, path) && !dockerignore_may_return(c->ignore))
		return 0;
	if (open_in(c, path, O_PATH, &fd, &why) < 0) {
		if (why.errnum == ENOENT || why.errnum == ENOTDIR)
			return 0;
		*err = why;
		return -1;
	}
	if (ret->n == FOUND_MAX)
		return err_set(err, "the pattern stands for more than %u files", FOUND_MAX);
	strv_push(a, ret, path);
	return 0;
}

static int find_in(struct arena *a, const struct context *c, const char *dir, const char *pattern,
		   struct strv *ret, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct strv names = {0};
	struct err why = {0};
	const char *rest;
	const char *part = first_part(a, pattern, &rest);

	if (!is_pattern(part))
		return found(a, c, path_join(a, dir, part), rest, ret, err);
	if (open_in(c, dir, O_RDONLY | O_DIRECTORY, &fd, &why) < 0) {
		if (why.errnum == ENOENT || why.errnum == ENOTDIR)
			return 0;
		*err = why;
		return -1;
	}
	if (names_of(a, fd, dir, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		if (dockerignore_glob(part, names.v[i], false) &&
		    found(a, c, path_join(a, dir, names.v[i]), rest, ret, err) < 0)
			return -1;
	return 0;
}

int context_find(struct arena *a, const struct context *c, const char *pattern, struct strv *ret,
		 struct err *err)
{
	/* ".." at the start stays where it is, as in a root. */
	const char *clean = path_clean(a, path_join(a, "/", pattern)) + 1;
	struct strv list = {0};

	if (!dockerignore_valid(clean))
		return err_set(err, "'%s' is not a pattern", pattern);
	if (!*clean) {
		strv_push(a, ret, "");
		return 0;
	}
	if (find_in(a, c, "", clean, &list, err) < 0)
		return -1;
	if (list.n == 0) {
		err_set(err, "there is no '%s' in the context%s", pattern,
			c->ignore && ignored(c, clean) ? ", for it is ignored" : "");
		err->errnum = ENOENT;
		return -1;
	}
	for (size_t i = 0; i < list.n; i++)
		strv_push(a, ret, list.v[i]);
	return 0;
}

/* ---- walking ---- */

struct walk {
	const struct context *c;
	context_fn fn;
	void *arg;
	int depth;
};

static int walk_folder(struct walk *w, int fd, const char *path, const char *to, struct err *err);

static int read_link(int dir_fd, const char *name, char *ret, struct err *err)
{
	ssize_t n = readlinkat(dir_fd, name, ret, PATH_MAX);

	if (n < 0 || n == PATH_MAX)
		return err_errno(err, n < 0 ? errno : ENAMETOOLONG, "cannot read the link '%s'",
				 name);
	ret[n] = '\0';
	return 0;
}

/* An open file or folder: that it is what was seen, and then fn. */
static int take_open(struct walk *w, int fd, struct context_item *item, bool skip, struct err *err)
{
	mode_t seen = item->st.st_mode & S_IFMT;

	if (fstat(fd, &item->st) < 0)
		return err_errno(err, errno, "cannot look at '%s'", item->path);
	if ((item->st.st_mode & S_IFMT) != seen)
		return err_set(err, "'%s' was changed just now", item->path);
	item->fd = fd;
	if (!skip && w->fn(w->arg, item, err) < 0)
		return -1;
	return S_ISDIR(item->st.st_mode) ? walk_folder(w, fd, item->path, item->to, err) : 0;
}

static int walk_name(struct walk *w, int dir_fd, const char *name, struct context_item *item,
		     struct err *err)
{
	bool skip = ignored(w->c, item->path);
	char link[PATH_MAX + 1];
	_cleanup_fd_ int fd = -1;

	if (fstatat(dir_fd, name, &item->st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, errno, "cannot look at '%s'", item->path);
	if (skip && !(S_ISDIR(item->st.st_mode) && dockerignore_may_return(w->c->ignore)))
		return 0;
	switch (item->st.st_mode & S_IFMT) {
	case S_IFLNK:
		if (read_link(dir_fd, name, link, err) < 0)
			return -1;
		item->link = link;
		return w->fn(w->arg, item, err);
	case S_IFIFO:
		return w->fn(w->arg, item, err);
	case S_IFREG:
	case S_IFDIR:
		fd = openat(dir_fd, name,
			    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0)
			return err_errno(err, errno, "cannot open '%s'", item->path);
		return take_open(w, fd, item, skip, err);
	default:
		return 0;
	}
}

static int walk_folder(struct walk *w, int fd, const char *path, const char *to, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct strv names = {0};

	if (w->depth == DEPTH_MAX)
		return err_set(err, "'%s' is more than %d folders deep", path, DEPTH_MAX);
	w->depth++;
	if (names_of(a, fd, path, &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		struct context_item item = {
			.path = path_join(a, path, names.v[i]),
			.to = path_join(a, to, names.v[i]),
			.fd = -1,
		};

		if (walk_name(w, fd, names.v[i], &item, err) < 0)
			return -1;
	}
	w->depth--;
	return 0;
}

int context_walk(const struct context *c, const char *path, context_fn fn, void *arg,
		 struct err *err)
{
	struct walk w = {.c = c, .fn = fn, .arg = arg};
	struct context_item item = {.path = path, .to = "", .fd = -1};
	_cleanup_fd_ int fd = -1;
	_cleanup_fd_ int seen = -1;

	/* What it is first: to open a FIFO or a device for reading may do anything. */
	if (open_in(c, path, O_PATH, &seen, err) < 0)
		return -1;
	if (fstat(seen, &item.st) < 0)
		return err_errno(err, errno, "cannot look at '%s'", path);
	if (!S_ISREG(item.st.st_mode) && !S_ISDIR(item.st.st_mode))
		return err_set(err, "cannot copy '%s': it is neither a file nor a folder", path);
	if (open_in(c, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, &fd, err) < 0)
		return -1;
	return take_open(&w, fd, &item, false, err);
}

/* ---- digest ---- */

static int digest_contents(struct digest *d, const struct context_item *item, struct err *err)
{
	char piece[65536];
	ssize_t n;

	for (off_t at = 0; (n = pread(item->fd, piece, sizeof(piece), at)) != 0; at += n) {
		if (n < 0)
			return err_errno(err, errno, "cannot read '%s'", item->path);
		digest_add(d, piece, (size_t)n);
	}
	return 0;
}

int context_digest(struct digest *d, const struct context_item *item, bool owners, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	buf_add(&b, item->to, strlen(item->to) + 1);
	buf_printf(&b, "%o %" PRIu64, (unsigned)item->st.st_mode,
		   S_ISREG(item->st.st_mode) ? (uint64_t)item->st.st_size : 0);
	if (owners)
		buf_printf(&b, " %u:%u", (unsigned)item->st.st_uid, (unsigned)item->st.st_gid);
	buf_add(&b, "", 1);
	if (item->link)
		buf_add(&b, item->link, strlen(item->link) + 1);
	digest_add(d, b.p, b.len);
	return S_ISREG(item->st.st_mode) ? digest_contents(d, item, err) : 0;
}
