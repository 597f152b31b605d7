#include "store/descent.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"

void descent_done(struct descent *d)
{
	if (!d)
		return;
	cleanup_fd(&d->fd);
	buf_done(&d->path);
	cleanup_free(&d->steps);
	*d = (struct descent)DESCENT_EMPTY;
}

/* `name` is one part, or "." or "..". */
static int open_part(const struct descent *d, int dir_fd, const char *name)
{
	_cleanup_fd_ int fd = -1;

	do {
		fd = openat(dir_fd, name, d->flags | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return TAKE_FD(fd);
}

static int push(struct descent *d, int fd, size_t path_len)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -1;
	if (d->n + 1 > d->cap) {
		d->cap = d->cap ? d->cap * 2 : 16;
		d->steps = xrealloc(d->steps, d->cap * sizeof(*d->steps));
	}
	d->steps[d->n].dev = st.st_dev;
	d->steps[d->n].ino = st.st_ino;
	d->steps[d->n].path_len = path_len;
	return 0;
}

int descent_begin(struct descent *d, int root_fd, int flags)
{
	_cleanup_fd_ int fd = -1;

	descent_done(d);
	d->root = root_fd;
	d->flags = flags;
	fd = open_part(d, root_fd, ".");
	if (fd < 0 || push(d, fd, 0) < 0)
		return -1;
	buf_adds(&d->path, "");
	d->fd = TAKE_FD(fd);
	return 0;
}

int descent_down(struct descent *d, const char *name)
{
	_cleanup_fd_ int fd = open_part(d, d->fd, name);
	size_t len = d->path.len + (d->n ? 1 : 0) + strlen(name);

	if (fd < 0)
		return -1;
	d->n++;
	if (push(d, fd, len) < 0) {
		d->n--;
		return -1;
	}
	if (d->path.len)
		buf_adds(&d->path, "/");
	buf_adds(&d->path, name);
	cleanup_fd(&d->fd);
	d->fd = TAKE_FD(fd);
	return 0;
}

static int is_step(const struct descent *d, int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == d->steps[d->n].dev &&
	       st.st_ino == d->steps[d->n].ino;
}

/* The folder by its path from the root, part by part: the path may be longer than PATH_MAX. */
static int open_again(const struct descent *d)
{
	_cleanup_fd_ int fd = open_part(d, d->root, ".");
	char *part = d->path.p;

	while (fd >= 0 && *part) {
		size_t len = strcspn(part, "/");
		char end = part[len];
		_cleanup_fd_ int next = -1;

		part[len] = '\0';
		next = open_part(d, fd, part);
		part[len] = end;
		if (next < 0)
			return -1;
		cleanup_fd(&fd);
		fd = TAKE_FD(next);
		part += len + (end ? 1 : 0);
	}
	return TAKE_FD(fd);
}

int descent_up(struct descent *d)
{
	_cleanup_fd_ int fd = -1;

	d->n--;
	d->path.len = d->steps[d->n].path_len;
	d->path.p[d->path.len] = '\0';
	if (d->fd >= 0)
		fd = open_part(d, d->fd, "..");
	cleanup_fd(&d->fd);
	if (!is_step(d, fd)) {
		cleanup_fd(&fd);
		fd = open_again(d);
		if (fd < 0)
			return -1;
		/* Another folder has its place now: as good as gone. */
		if (!is_step(d, fd)) {
			errno = ENOENT;
			return -1;
		}
	}
	d->fd = TAKE_FD(fd);
	return 0;
}

/* Is the folder where it is on the way to the first `len` bytes of `path`? */
static bool is_above(const struct descent *d, const char *path, size_t len)
{
	size_t n = d->path.len;

	return n <= len && strncmp(d->path.p, path, n) == 0 &&
	       (n == 0 || n == len || path[n] == '/');
}

int descent_to_parent(struct descent *d, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	while (d->n > 0 && (d->fd < 0 || !is_above(d, path, len)))
		(void)descent_up(d);
	if (d->fd < 0)
		d->fd = open_part(d, d->root, ".");
	if (d->fd < 0)
		return -1;
	while (d->path.len < len) {
		const char *part = path + d->path.len + (d->path.len ? 1 : 0);
		_cleanup_free_ char *name = xasprintf("%.*s", (int)strcspn(part, "/"), part);

		if (descent_down(d, name) < 0)
			return -1;
	}
	return 0;
}
