#include "store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "store/descent.h"
#include "store/diff.h"
#include "store/links.h"
#include "store/whiteout.h"
#include "store/xattrs.h"

#define CHUNK (16U << 20)

static int failed(const char *name, struct err *err)
{
	return err_errno(err, errno, "cannot copy '%s'", name);
}

/* By /proc: O_PATH descriptors, and those of links and FIFOs, take no attributes themselves. */
static int copy_xattrs(int from_dir, int to_dir, const char *name, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct tar_xattr *v;
	size_t n;

	if (xattrs_read(a, from_dir, name, &v, &n) < 0)
		return failed(name, err);
	for (size_t i = 0; i < n; i++) {
		const char *path = arena_printf(a, "/proc/self/fd/%d/%s", to_dir, name);

		if (lsetxattr(path, v[i].name, v[i].value, v[i].size, 0) < 0)
			return failed(name, err);
	}
	return 0;
}

/* The owner first: chown(2) takes setuid bits and capabilities away.  The time last. */
static int put_attributes(int from_dir, int to_dir, const char *name, const struct stat *st,
			  struct err *err)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};

	if (fchownat(to_dir, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(name, err);
	if (copy_xattrs(from_dir, to_dir, name, err) < 0)
		return -1;
	if (!S_ISLNK(st->st_mode) && fchmodat(to_dir, name, st->st_mode & 07777, 0) < 0)
		return failed(name, err);
	if (utimensat(to_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(name, err);
	return 0;
}

int copy_attributes(int from_fd, int to_fd, const char *name, struct err *err)
{
	struct stat st;

	if (fstat(from_fd, &st) < 0)
		return failed(name, err);
	return put_attributes(from_fd, to_fd, ".", &st, err);
}

/* The bytes from `at` to `end`. */
static int copy_range(int from, int to, off_t at, off_t end)
{
	while (at < end) {
		off_t out = at;
		size_t n = end - at < (off_t)CHUNK ? (size_t)(end - at) : CHUNK;
		ssize_t got = copy_file_range(from, &at, to, &out, n, 0);

		if (got < 0)
			return -1;
		/* It became shorter meanwhile. */
		if (got == 0)
			return 0;
	}
	return 0;
}

static int copy_bytes(int from, int to, off_t size)
{
	off_t end = 0;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	if (ftruncate(to, size) < 0)
		return -1;
	/* From one piece of data to the next, over the holes. */
	for (off_t at; (at = lseek(from, end, SEEK_DATA)) >= 0 && at < size;) {
		end = lseek(from, at, SEEK_HOLE);
		if (end < 0 || copy_range(from, to, at, end < size ? end : size) < 0)
			return -1;
	}
	return 0;
}

static int copy_file(int from_dir, int to_dir, const char *name, const struct stat *st,
		     struct err *err)
{
	_cleanup_fd_ int from =
		openat(from_dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_fd_ int to = -1;

	if (from < 0)
		return failed(name, err);
	to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0 || copy_bytes(from, to, st->st_size) < 0)
		return failed(name, err);
	return 0;
}

static int copy_link(int from_dir, int to_dir, const char *name, struct err *err)
{
	char target[4096];
	ssize_t n = readlinkat(from_dir, name, target, sizeof(target) - 1);

	if (n < 0)
		return failed(name, err);
	target[n] = '\0';
	return symlinkat(target, to_dir, name) < 0 ? failed(name, err) : 0;
}

/* The thing itself, without attributes; 1 where there is none to be made. */
static int make_entry(int from_dir, int to_dir, const char *name, const struct stat *st,
		      struct err *err)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFREG:
		return copy_file(from_dir, to_dir, name, st, err);
	case S_IFLNK:
		return copy_link(from_dir, to_dir, name, err);
	case S_IFDIR:
		return mkdirat(to_dir, name, 0700) < 0 ? failed(name, err) : 0;
	case S_IFIFO:
		return mknodat(to_dir, name, S_IFIFO | 0600, 0) < 0 ? failed(name, err) : 0;
	case S_IFCHR:
		return st->st_rdev == 0 && whiteout_make(to_dir, name, err) < 0 ? -1 : 1;
	default:
		return 1;
	}
}

int copy_entry(int from_dir, int to_dir, const char *name, const struct stat *st, struct err *err)
{
	int r = make_entry(from_dir, to_dir, name, st, err);

	if (r)
		return r < 0 ? -1 : 0;
	return put_attributes(from_dir, to_dir, name, st, err);
}

/* Where an entry is, and where its copy comes to. */
struct walk {
	struct descent from, to;
	struct descent first; /* where the first name of a hard link is */
	struct links *links;
	struct err *err;
};

static int make_link(struct walk *w, const char *first, const char *name)
{
	if (descent_to_parent(&w->first, first) < 0 ||
	    linkat(w->first.fd, path_base(first), w->to.fd, name, 0) < 0)
		return failed(name, w->err);
	return 0;
}

/* 0 also where it has vanished. */
static int copy_listed(struct walk *w, const struct entry *e)
{
	const char *name = path_base(e->path);
	struct err why = {0};
	const char *first;
	struct stat st;

	if (e->verdict == ENTRY_DELETED)
		return whiteout_make(w->to.fd, name, w->err);
	if (fstatat(w->from.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(name, w->err);
	first = links_first(w->links, &st, e->path);
	if (first)
		return make_link(w, first, name);
	if (copy_entry(w->from.fd, w->to.fd, name, &st, &why) == 0)
		return 0;
	if (why.errnum == ENOENT)
		return 0;
	*w->err = why;
	return -1;
}

static int mark_opaque(struct walk *w, const struct entry *e)
{
	_cleanup_fd_ int fd = openat(w->to.fd, path_base(e->path),
				     O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : failed(e->path, w->err);
	return whiteout_make_opaque(fd, w->err);
}

/* A folder's time is that of the last change in it: set it again when all of it is there. */
static int put_time(struct walk *w, const struct entry *e)
{
	const char *name = path_base(e->path);
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};
	struct stat st;

	if (!S_ISDIR(e->st.st_mode) || e->verdict == ENTRY_DELETED)
		return 0;
	if (fstatat(w->from.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed(name, w->err);
	times[1] = st.st_mtim;
	if (utimensat(w->to.fd, name, times, AT_SYMLINK_NOFOLLOW) < 0 && errno != ENOENT)
		return failed(name, w->err);
	return 0;
}

/* Go to the folder above the entry; 1: it has vanished. */
static int go_above(struct walk *w, const char *path)
{
	if (descent_to_parent(&w->from, path) < 0 || descent_to_parent(&w->to, path) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 1 : failed(path, w->err);
	return 0;
}

static int each(struct walk *w, const struct entries *list,
		int (*fn)(struct walk *w, const struct entry *e))
{
	for (size_t i = 0; i < list->n; i++) {
		const struct entry *e = &list->v[i];
		int r = go_above(w, e->path);

		if (r < 0 || (r == 0 && fn(w, e) < 0))
			return -1;
	}
	return 0;
}

static int copy_one(struct walk *w, const struct entry *e)
{
	if (copy_listed(w, e) < 0)
		return -1;
	return e->opaque && e->verdict != ENTRY_DELETED ? mark_opaque(w, e) : 0;
}

int copy_entries(int from, int to, const struct entries *list, struct err *err)
{
	_cleanup_links_ struct links *links = links_new();
	struct err ignored = {0};
	struct walk w = {
		.from = DESCENT_EMPTY,
		.to = DESCENT_EMPTY,
		.first = DESCENT_EMPTY,
		.links = links,
		.err = err ? err : &ignored,
	};
	int r = 0;

	if (descent_begin(&w.from, from, O_RDONLY) < 0 || descent_begin(&w.to, to, O_RDONLY) < 0 ||
	    descent_begin(&w.first, to, O_RDONLY) < 0)
		r = failed("/", w.err);
	if (r == 0 && (each(&w, list, copy_one) < 0 || each(&w, list, put_time) < 0))
		r = -1;
	descent_done(&w.from);
	descent_done(&w.to);
	descent_done(&w.first);
	return r;
}
