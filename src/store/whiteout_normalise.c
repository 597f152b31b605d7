/* An upper of fuse-overlayfs becomes one of the kernel's. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/descent.h"
#include "store/whiteout.h"
#include "store/whiteout_internal.h"

struct names {
	struct arena *a;
	struct strv all;
	size_t next;
};

struct normalise {
	struct descent at;
	struct names *levels;
	size_t cap;
	struct err *err;
};

static int failed(const struct normalise *n, const char *action, const char *name)
{
	return err_errno(n->err, errno, "cannot %s '%s%s%s' of the upper", action,
			 n->at.path.p ? n->at.path.p : "", n->at.path.len ? "/" : "", name);
}

static int list(const struct normalise *n, struct names *ret)
{
	_cleanup_fd_ int fd = openat(n->at.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!d)
		return failed(n, "list", "");
	(void)TAKE_FD(fd);
	*ret = (struct names){.a = arena_new()};
	for (errno = 0; (e = readdir(d)); errno = 0) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			strv_push(ret->a, &ret->all, e->d_name);
	}
	return errno ? failed(n, "list", "") : 0;
}

/*
 * `mark` says that `name` is deleted.  Whatever has the name itself is hidden by it, so it can go
 * first; the mark goes last.
 */
static int to_device(const struct normalise *n, const char *mark, const char *name)
{
	struct stat st;
	bool there = fstatat(n->at.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	const char *unused;

	if (!there && errno != ENOENT)
		return failed(n, "look at", name);
	if (there && whiteout_entry(WHITEOUT_KERNEL, name, &st, &unused) == WHITEOUT_NONE) {
		if (fs_remove_tree_at(n->at.fd, name, n->err) < 0)
			return -1;
		there = false;
	}
	if (!there && whiteout_make(n->at.fd, name, n->err) < 0)
		return -1;
	return fs_remove_tree_at(n->at.fd, mark, n->err);
}

/* user.* attributes can only be had by files and folders. */
static int drop_xattr(const struct normalise *n, const char *name, const char *xattr)
{
	char path[64 + NAME_MAX];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", n->at.fd, name);
	if (lremovexattr(path, xattr) == 0 || errno == ENODATA || errno == ENOTSUP)
		return 0;
	/* trusted.*: not ours to see, so it is not there. */
	return errno == EPERM && str_starts(xattr, "trusted.") ? 0 : failed(n, "clean", name);
}

/* The store's mark comes first and the others go after it. */
static int to_xattr(const struct normalise *n)
{
	bool opaque;

	if (whiteout_opaque(WHITEOUT_FUSE, n->at.fd, &opaque, n->err) < 0)
		return -1;
	if (opaque && whiteout_make_opaque(n->at.fd, n->err) < 0)
		return -1;
	if (unlinkat(n->at.fd, WHITEOUT_FUSE_MARK, 0) < 0 && errno != ENOENT)
		return failed(n, "remove", WHITEOUT_FUSE_MARK);
	if (drop_xattr(n, ".", WHITEOUT_FUSE_OPAQUE) < 0)
		return -1;
	return drop_xattr(n, ".", WHITEOUT_ROOT_OPAQUE);
}

static int enter(struct normalise *n)
{
	if (n->at.n + 1 > n->cap) {
		n->cap = n->cap ? n->cap * 2 : 16;
		n->levels = xrealloc(n->levels, n->cap * sizeof(*n->levels));
	}
	n->levels[n->at.n] = (struct names){0};
	return to_xattr(n) < 0 ? -1 : list(n, &n->levels[n->at.n]);
}

/* One name.  Into a folder: *ret_down. */
static int visit(struct normalise *n, const char *name, bool *ret_down)
{
	const char *deleted;
	struct stat st;

	/* Gone: as a name that the mark of a moment ago has hidden. */
	if (fstatat(n->at.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(n, "look at", name);
	switch (whiteout_entry(WHITEOUT_FUSE, name, &st, &deleted)) {
	case WHITEOUT_MARK:
		return fs_remove_tree_at(n->at.fd, name, n->err);
	case WHITEOUT_DELETE:
		return deleted == name ? 0 : to_device(n, name, deleted);
	case WHITEOUT_NONE:
		break;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	if (drop_xattr(n, name, WHITEOUT_FUSE_ORIGIN) < 0)
		return -1;
	*ret_down = S_ISDIR(st.st_mode);
	return 0;
}

static int walk(struct normalise *n)
{
	for (;;) {
		struct names *level = &n->levels[n->at.n];
		bool down = false;

		if (level->next == level->all.n) {
			if (n->at.n == 0)
				return 0;
			arena_cleanup(&level->a);
			if (descent_up(&n->at) < 0)
				return failed(n, "go back to", "");
			continue;
		}

		const char *name = level->all.v[level->next++];

		if (visit(n, name, &down) < 0)
			return -1;
		if (!down)
			continue;
		if (descent_down(&n->at, name) < 0)
			return failed(n, "open", name);
		if (enter(n) < 0)
			return -1;
	}
}

static void normalise_done(struct normalise *n)
{
	for (size_t i = 0; n->levels && i <= n->at.n; i++)
		arena_free(n->levels[i].a);
	free(n->levels);
	descent_done(&n->at);
}

int whiteout_normalise(int upper_fd, struct err *err)
{
	__attribute__((cleanup(normalise_done))) struct normalise n = {.at = DESCENT_EMPTY,
								       .err = err};

	if (descent_begin(&n.at, upper_fd, O_RDONLY) < 0)
		return failed(&n, "open", "");
	return enter(&n) < 0 ? -1 : walk(&n);
}
