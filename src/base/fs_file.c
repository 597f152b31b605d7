/* Whole files: read, replaced, locked. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/fs_internal.h"
#include "base/path.h"
#include "base/str.h"

/* A path of our own from the current folder or absolute, or a name strictly below a folder. */
static int open_at(int dir_fd, const char *name, int flags, mode_t mode)
{
	if (dir_fd == AT_FDCWD)
		return openat(dir_fd, name, flags | O_CLOEXEC, mode);
	return fs_openat2(dir_fd, name, flags, mode, FS_BENEATH);
}

int fs_read_at(int dir_fd, const char *name, size_t limit, struct buf *ret, struct err *err)
{
	_cleanup_buf_ struct buf got = {0};
	_cleanup_fd_ int fd = -1;
	char block[16384];

	/* O_NONBLOCK: a named pipe in its place must not hang us. */
	fd = open_at(dir_fd, name, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
	if (fd < 0)
		return fs_open_failed(errno, "open", name, err);
	for (;;) {
		ssize_t n = read(fd, block, sizeof(block));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(err, errno, "cannot read '%s'", name);
		if (n == 0)
			break;
		if ((size_t)n > limit - got.len)
			return err_errno(err, EFBIG, "cannot read '%s': more than %zu bytes", name,
					 limit);
		buf_add(&got, block, (size_t)n);
	}
	buf_add(ret, got.p, got.len);
	return 0;
}

int fs_write_all(int fd, const void *p, size_t n)
{
	const char *s = p;

	while (n > 0) {
		ssize_t w = write(fd, s, n);
		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		s += w;
		n -= (size_t)w;
	}
	return 0;
}

int fs_write_knob(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	size_t n = strlen(text);
	ssize_t w;

	if (fd < 0)
		return -1;
	/* The kernel takes each write(2) as a whole value. */
	w = write(fd, text, n);
	if (w < 0)
		return -1;
	if ((size_t)w != n) {
		errno = EIO;
		return -1;
	}
	return 0;
}

/* The folder of `name` as an fd that can be synced (dir_fd may be O_PATH). */
static int open_parent(int dir_fd, const char *name)
{
	_cleanup_buf_ struct buf dir = {0};
	const char *base = path_base(name);

	buf_add(&dir, name, (size_t)(base - name));
	return open_at(dir_fd, dir.len ? dir.p : ".", O_RDONLY | O_DIRECTORY, 0);
}

/* A new file beside `base`; its name goes to `temp`. */
static int open_temp(int dir_fd, const char *base, struct buf *temp)
{
	for (int i = 0; i < 16; i++) {
		_cleanup_fd_ int fd = -1;
		uint64_t r = 0;

		if (getrandom(&r, sizeof(r), 0) < 0)
			return -1;
		temp->len = 0;
		/* Cut, so that a name as long as can be leaves room for the rest. */
		buf_printf(temp, ".%.200s.%016" PRIx64 ".tmp", base, r);
		fd = openat(dir_fd, temp->p, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0600);
		if (fd >= 0 || errno != EEXIST)
			return TAKE_FD(fd);
	}
	return -1;
}

/* Fill the file and put it in place.  -1 with errno. */
static int replace(int dir_fd, int fd, const char *temp, const char *base)
{
	if (fsync(fd) < 0 || renameat(dir_fd, temp, dir_fd, base) < 0)
		return -1;
	return fsync(dir_fd);
}

int fs_write_atomic(int dir_fd, const char *name, const void *p, size_t n, mode_t mode,
		    struct err *err)
{
	_cleanup_fd_ int parent = open_parent(dir_fd, name);
	_cleanup_buf_ struct buf temp = {0};
	_cleanup_fd_ int fd = -1;
	const char *base = path_base(name);

	if (parent < 0)
		return fs_open_failed(errno, "write", name, err);
	fd = open_temp(parent, base, &temp);
	if (fd < 0)
		return err_errno(err, errno, "cannot write '%s'", name);
	/* fchmod: the mode is meant, whatever the umask. */
	if (fs_write_all(fd, p, n) < 0 || fchmod(fd, mode) < 0 ||
	    replace(parent, fd, temp.p, base) < 0) {
		int errnum = errno;

		(void)unlinkat(parent, temp.p, 0);
		return err_errno(err, errnum, "cannot write '%s'", name);
	}
	return 0;
}

static int64_t now_ms(void)
{
	struct timespec ts = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/*
 * flock(2) has no time-out, and an alarm signal would be the whole process's
 * affair: try, with growing pauses.
 */
static int lock_until(int fd, int operation, int wait_ms)
{
	int64_t deadline = now_ms() + wait_ms;
	int pause = 1;

	for (;;) {
		int64_t left;

		if (flock(fd, operation | LOCK_NB) == 0)
			return 0;
		if (errno != EWOULDBLOCK && errno != EINTR)
			return -1;
		left = deadline - now_ms();
		if (left <= 0) {
			errno = EWOULDBLOCK;
			return -1;
		}
		(void)poll(NULL, 0, left < pause ? (int)left : pause);
		pause = pause < 10 ? pause * 2 : 20;
	}
}

static int lock_fd(int fd, int operation, int wait_ms)
{
	int r;

	if (wait_ms > 0)
		return lock_until(fd, operation, wait_ms);
	do {
		r = flock(fd, wait_ms == 0 ? operation | LOCK_NB : operation);
	} while (r < 0 && errno == EINTR);
	return r;
}

/* Is the locked file still the one that others would open? */
static bool is_current(int dir_fd, const char *name, int fd)
{
	struct stat ours;
	struct stat theirs;

	return fstat(fd, &ours) == 0 && fstatat(dir_fd, name, &theirs, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

static int lock_failed(int errnum, const char *name, struct err *err)
{
	if (errnum != EWOULDBLOCK)
		return err_errno(err, errnum, "cannot lock '%s'", name);
	/* strerror's "Resource temporarily unavailable" tells nobody what to wait for. */
	(void)err_set(err, "cannot lock '%s': another process holds it", name);
	if (err)
		err->errnum = errnum;
	return -1;
}

int fs_lock_at(int dir_fd, const char *name, bool exclusive, int wait_ms, int *ret_fd,
	       struct err *err)
{
	for (;;) {
		_cleanup_fd_ int fd = open_at(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);

		if (fd < 0)
			return fs_open_failed(errno, "open the lock", name, err);
		if (lock_fd(fd, exclusive ? LOCK_EX : LOCK_SH, wait_ms) < 0)
			return lock_failed(errno, name, err);
		/* While we waited, its owner may have removed it (fs_remove_tree_at): then our
		 * lock is on a file that nobody else will ever see. */
		if (is_current(dir_fd, name, fd)) {
			*ret_fd = TAKE_FD(fd);
			return 0;
		}
	}
}
