#include "store/unpack_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "store/untar.h"
#include "store/whiteout.h"

/* Is the name a whiteout that an earlier entry made? */
static bool is_whiteout(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode);
}

static int open_folder(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Make or find the folder.  On a whiteout of its name, it hides what lies below. */
static int enter(int dir_fd, const char *path, bool *ret_new, int *ret_fd, struct err *err)
{
	const char *name = path_base(path);
	_cleanup_fd_ int fd = -1;
	bool opaque = false;
	bool fresh = mkdirat(dir_fd, name, 0700) == 0;

	if (!fresh && errno == EEXIST && is_whiteout(dir_fd, name)) {
		opaque = true;
		fresh = unlinkat(dir_fd, name, 0) == 0 && mkdirat(dir_fd, name, 0700) == 0;
	}
	if (!fresh && errno != EEXIST)
		return untar_failed(path, "cannot make the folder", errno, err);
	fd = open_folder(dir_fd, name);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return untar_refuse(path, "a file or a link of that name is there already", err);
	if (fd < 0)
		return untar_failed(path, "cannot open the folder", errno, err);
	if (opaque && whiteout_make_opaque(fd, err) < 0)
		return -1;
	*ret_new = fresh;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int unpack_walk_fd(const struct unpack_walk *w)
{
	return w->n > 0 ? w->v[w->n - 1].fd : w->tree;
}

/* The folder of `path`, which is below where the walk is; the descriptor is the walk's from now on. */
static void push(struct unpack_walk *w, const char *path, int fd)
{
	if (w->n == UNPACK_WALK_OPEN) {
		cleanup_fd(&w->v[0].fd);
		w->n--;
		memmove(w->v, w->v + 1, w->n * sizeof(w->v[0]));
	}
	w->path.len = 0;
	buf_adds(&w->path, path);
	w->v[w->n++] = (struct unpack_level){fd, w->path.len};
}

static void pop(struct unpack_walk *w)
{
	cleanup_fd(&w->v[w->n - 1].fd);
	w->n--;
}

/* Is the level's folder on the way to the first n bytes of `path`, or that folder itself? */
static bool on_way(const struct unpack_walk *w, const char *path, size_t n)
{
	size_t len = w->v[w->n - 1].len;

	return len <= n && memcmp(w->path.p, path, len) == 0 && (len == n || path[len] == '/');
}

/* One step down; `path` up to here. */
static int step(struct unpack_walk *w, const char *path, struct err *err)
{
	/* Mostly it is there. */
	_cleanup_fd_ int fd = open_folder(unpack_walk_fd(w), path_base(path));
	bool fresh = false;

	if (fd < 0 && enter(unpack_walk_fd(w), path, &fresh, &fd, err) < 0)
		return -1;
	if (fresh && w->made && w->made(w->ctx, path, fd, err) < 0)
		return -1;
	push(w, path, TAKE_FD(fd));
	return 0;
}

int unpack_walk_to(struct unpack_walk *w, const char *path, size_t n, struct err *err)
{
	_cleanup_free_ char *copy = NULL;
	size_t from = 0;

	while (w->n > 0 && !on_way(w, path, n))
		pop(w);
	if (w->n > 0)
		from = w->v[w->n - 1].len;
	if (from == n)
		return 0;
	from += from > 0;
	copy = xmalloc(n + 1);
	memcpy(copy, path, n);
	copy[n] = '\0';
	while (from < n) {
		char *end = strchr(copy + from, '/');

		if (end)
			*end = '\0';
		if (step(w, copy, err) < 0)
			return -1;
		if (!end)
			break;
		*end = '/';
		from = (size_t)(end - copy) + 1;
	}
	return 0;
}

int unpack_walk_enter(struct unpack_walk *w, const char *path, bool *ret_new, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (enter(unpack_walk_fd(w), path, ret_new, &fd, err) < 0)
		return -1;
	push(w, path, TAKE_FD(fd));
	return 0;
}

void unpack_walk_done(struct unpack_walk *w)
{
	while (w->n > 0)
		pop(w);
	buf_done(&w->path);
}
