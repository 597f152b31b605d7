/* Paths to fds: openat2(2) and what is built on it. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/fs_internal.h"
#include "base/mem.h"
#include "base/str.h"

/* A rename anywhere may interrupt a walk over "..": EAGAIN, and it is for us to begin again. */
#define RACE_TRIES 256

/* As many as the kernel follows in one path (path_resolution(7)). */
#define LINKS_MAX 40

int fs_openat2(int dir_fd, const char *path, int flags, mode_t mode, unsigned resolve)
{
	struct open_how how = {0};
	long fd = -1;

	how.flags = (unsigned)(flags | O_CLOEXEC);
	/* The kernel refuses a mode that has no use. */
	if (flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE)
		how.mode = mode & 07777;
	how.resolve = resolve;
	for (int i = 0; i < RACE_TRIES; i++) {
		fd = syscall(SYS_openat2, dir_fd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
		(void)sched_yield();
	}
	return (int)fd;
}

/* Is it the system call itself that is missing or forbidden?  (Some filters say EPERM.) */
static bool openat2_is_missing(int errnum)
{
	_cleanup_fd_ int fd = -1;

	if (errnum == ENOSYS)
		return true;
	if (errnum != EPERM)
		return false;
	fd = fs_openat2(AT_FDCWD, "/", O_PATH, 0, 0);
	return fd < 0;
}

int fs_open_failed(int errnum, const char *action, const char *path, struct err *err)
{
	if (openat2_is_missing(errnum)) {
		(void)err_errno(err, errnum, "cannot %s '%s': openat2(2) is not to be had", action,
				path);
		return err_hint(err, "sbx needs Linux 5.6 or later; if this system is newer, a "
				     "system call filter around sbx (a container's seccomp "
				     "profile, systemd's SystemCallFilter=) has to allow openat2");
	}
	if (errnum == EXDEV) {
		/* strerror says "Invalid cross-device link", which is beside the point. */
		(void)err_set(err, "cannot %s '%s': the path leads out of its folder", action,
			      path);
		if (err)
			err->errnum = errnum;
		return -1;
	}
	return err_errno(err, errnum, "cannot %s '%s'", action, path);
}

static int open_resolved(int dir_fd, const char *path, const struct open_how *how, int *ret_fd,
			 struct err *err)
{
	int fd = fs_openat2(dir_fd, path, (int)how->flags, (mode_t)how->mode,
			    (unsigned)how->resolve);

	if (fd < 0)
		return fs_open_failed(errno, how->flags & O_CREAT ? "create" : "open", path, err);
	*ret_fd = fd;
	return 0;
}

int fs_open_in_root(int root_fd, const char *path, int flags, mode_t mode, int *ret_fd,
		    struct err *err)
{
	const struct open_how how = {.flags = (unsigned)flags, .mode = mode, .resolve = FS_IN_ROOT};

	return open_resolved(root_fd, path, &how, ret_fd, err);
}

int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
		    struct err *err)
{
	const struct open_how how = {.flags = (unsigned)flags, .mode = mode, .resolve = FS_BENEATH};

	return open_resolved(dir_fd, path, &how, ret_fd, err);
}

/* How far fs_mkdirs_in_root has come. */
struct walk {
	int root_fd;
	mode_t mode;
	int links;
	struct buf done; /* what is there, from the root; for the kernel to resolve again */
	struct buf todo; /* what is left */
};

static void walk_done(struct walk *w)
{
	buf_done(&w->done);
	buf_done(&w->todo);
}

/* Cut the first part off w->todo into name; false when nothing is left. */
static bool walk_next(struct walk *w, char name[static NAME_MAX + 2])
{
	size_t start = strspn(w->todo.p, "/");
	size_t len = strcspn(w->todo.p + start, "/");
	struct buf rest = {0};

	if (len == 0)
		return false;
	/* One byte too long is kept too long: the kernel then says ENAMETOOLONG. */
	memset(name, 0, NAME_MAX + 2);
	memcpy(name, w->todo.p + start, len > NAME_MAX ? NAME_MAX + 1 : len);
	buf_adds(&rest, w->todo.p + start + len);
	buf_done(&w->todo);
	w->todo = rest;
	return true;
}

/* `name` in the folder is a link that leads to nothing yet: go on with where it points. */
static int walk_link(struct walk *w, int parent_fd, const char *name)
{
	char target[PATH_MAX];
	struct buf todo = {0};
	ssize_t n = readlinkat(parent_fd, name, target, sizeof(target) - 1);

	if (n < 0)
		return -1;
	if (++w->links > LINKS_MAX) {
		errno = ELOOP;
		return -1;
	}
	target[n] = '\0';
	if (target[0] == '/')
		buf_done(&w->done);
	buf_adds(&w->done, "");
	buf_printf(&todo, "%s/%s", target, w->todo.p);
	buf_done(&w->todo);
	w->todo = todo;
	return 0;
}

/* A folder by its path from the root. */
static int walk_open(const struct walk *w, const char *path)
{
	return fs_openat2(w->root_fd, *path ? path : "/", O_PATH | O_DIRECTORY, 0, FS_IN_ROOT);
}

/*
 * One part: there, made, or a link to what is missing.  The folder is resolved anew
 * from the root for each: whatever is renamed meanwhile, every single
 * resolution ends inside the root.  -1 with errno.
 */
static int walk_step(struct walk *w, const char *name, int *parent_fd)
{
	_cleanup_buf_ struct buf path = {0};
	_cleanup_fd_ int fd = -1;

	buf_printf(&path, "%s/%s", w->done.p, name);
	fd = walk_open(w, path.p);
	if (fd < 0 && errno == ENOENT) {
		if (mkdirat(*parent_fd, name, w->mode) == 0)
			fd = fs_openat2(*parent_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0,
					FS_BENEATH);
		else if (errno == EEXIST)
			fd = walk_open(w, path.p); /* somebody else made it just now? */
	}
	if (fd < 0 && errno == ENOENT && walk_link(w, *parent_fd, name) == 0) {
		path.len = 0;
		buf_adds(&path, w->done.p);
		fd = walk_open(w, path.p);
	}
	if (fd < 0)
		return -1;
	cleanup_fd(parent_fd);
	*parent_fd = TAKE_FD(fd);
	w->done.len = 0;
	buf_adds(&w->done, path.p);
	return 0;
}

int fs_mkdirs_in_root(int root_fd, const char *path, mode_t mode, int *ret_fd, struct err *err)
{
	__attribute__((cleanup(walk_done))) struct walk w = {.root_fd = root_fd, .mode = mode};
	_cleanup_fd_ int fd = -1;
	char name[NAME_MAX + 2];

	buf_adds(&w.todo, path);
	buf_adds(&w.done, "");
	fd = fs_openat2(root_fd, "/", O_PATH | O_DIRECTORY, 0, FS_IN_ROOT);
	if (fd < 0)
		return fs_open_failed(errno, "make the folder", path, err);
	while (walk_next(&w, name))
		if (walk_step(&w, name, &fd) < 0)
			return fs_open_failed(errno, "make the folder", path, err);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int fs_mkdirs(const char *path, mode_t mode, struct err *err)
{
	_cleanup_free_ char *copy = xstrdup(path);
	struct stat st;
	char *p = copy;

	/* Nearly always it is there. */
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	while (*p) {
		char c;

		p += strspn(p, "/");
		p += strcspn(p, "/");
		c = *p;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST)
			return err_errno(err, errno, "cannot make the folder '%s'", copy);
		*p = c;
	}
	if (stat(path, &st) < 0)
		return err_errno(err, errno, "cannot make the folder '%s'", path);
	if (!S_ISDIR(st.st_mode))
		return err_errno(err, ENOTDIR, "cannot make the folder '%s'", path);
	return 0;
}
