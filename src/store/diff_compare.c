/* Is what the upper has what was there before? */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "store/diff_internal.h"
#include "store/xattrs.h"

/* What the comparison of one thing gives. */
enum outcome { OUTCOME_SAME, OUTCOME_DIFFERENT, OUTCOME_VANISHED, OUTCOME_FAILED };

static enum outcome failed(const struct diff_walk *w, int errnum, const char *name)
{
	if (diff_vanished(errnum))
		return OUTCOME_VANISHED;
	(void)err_errno(w->err, errnum, "cannot compare '/%s%s%s' with what was there before",
			w->upper.path.p, w->upper.path.len ? "/" : "", name);
	return OUTCOME_FAILED;
}

/* A file's contents are looked at only where the sizes are equal. */
static int open_file(int dir_fd, const char *name)
{
	_cleanup_fd_ int fd = -1;

	do {
		fd = openat(dir_fd, name,
			    O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	} while (fd < 0 && errno == EINTR);
	return TAKE_FD(fd);
}

/* As many bytes as there are, up to DIFF_BUFFER. */
static ssize_t read_block(int fd, char *p)
{
	size_t got = 0;

	while (got < DIFF_BUFFER) {
		ssize_t n = read(fd, p + got, DIFF_BUFFER - got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static enum outcome compare_bytes(const struct diff_walk *w, const char *name)
{
	_cleanup_fd_ int upper = open_file(w->upper.fd, name);
	_cleanup_fd_ int lower = -1;
	ssize_t n;

	if (upper < 0)
		return failed(w, errno, name);
	lower = open_file(w->lower.fd, name);
	/* What nobody here may read was not copied up from there. */
	if (lower < 0)
		return errno == EACCES ? OUTCOME_DIFFERENT : failed(w, errno, name);
	do {
		n = read_block(upper, w->buffers[0]);
		if (n < 0)
			return failed(w, errno, name);

		ssize_t m = read_block(lower, w->buffers[1]);

		if (m < 0)
			return failed(w, errno, name);
		if (n != m || memcmp(w->buffers[0], w->buffers[1], (size_t)n) != 0)
			return OUTCOME_DIFFERENT;
	} while (n == DIFF_BUFFER);
	return OUTCOME_SAME;
}

static enum outcome compare_links(const struct diff_walk *w, const char *name)
{
	char target[2][PATH_MAX];
	ssize_t n = readlinkat(w->upper.fd, name, target[0], PATH_MAX);
	ssize_t m = n < 0 ? -1 : readlinkat(w->lower.fd, name, target[1], PATH_MAX);

	if (n < 0 || m < 0)
		return failed(w, errno, name);
	return n == m && memcmp(target[0], target[1], (size_t)n) == 0 ? OUTCOME_SAME
								      : OUTCOME_DIFFERENT;
}

static enum outcome compare_contents(const struct diff_walk *w, const char *name,
				     const struct stat *u, const struct stat *l)
{
	switch (u->st_mode & S_IFMT) {
	case S_IFREG:
		if (u->st_size != l->st_size)
			return OUTCOME_DIFFERENT;
		return u->st_size == 0 ? OUTCOME_SAME : compare_bytes(w, name);
	case S_IFLNK:
		return compare_links(w, name);
	case S_IFCHR:
	case S_IFBLK:
		return u->st_rdev == l->st_rdev ? OUTCOME_SAME : OUTCOME_DIFFERENT;
	default:
		return OUTCOME_SAME;
	}
}

static enum outcome compare_xattrs(const struct diff_walk *w, const char *name)
{
	int r = xattrs_same(w->upper.fd, w->lower.fd, name);

	if (r < 0)
		return failed(w, errno, name);
	return r ? OUTCOME_SAME : OUTCOME_DIFFERENT;
}

static bool same_time(const struct stat *u, const struct stat *l)
{
	return u->st_mtim.tv_sec == l->st_mtim.tv_sec && u->st_mtim.tv_nsec == l->st_mtim.tv_nsec;
}

static unsigned compare_stat(const struct diff_walk *w, const struct stat *u, const struct stat *l)
{
	unsigned what = 0;

	/* A link's mode has no meaning, and not every filesystem gives it the same. */
	if (!S_ISLNK(u->st_mode) && ((u->st_mode ^ l->st_mode) & 07777))
		what |= CHANGE_MODE;
	if (w->in->owners && (u->st_uid != l->st_uid || u->st_gid != l->st_gid))
		what |= CHANGE_OWNER;
	return what;
}

/* Of the same type in both places. */
static int compare_all(const struct diff_walk *w, const char *name, const struct stat *l,
		       struct entry *e)
{
	unsigned what = compare_stat(w, &e->st, l);
	enum outcome xattrs = compare_xattrs(w, name);
	enum outcome contents = OUTCOME_SAME;

	if (xattrs == OUTCOME_SAME || xattrs == OUTCOME_DIFFERENT)
		contents = compare_contents(w, name, &e->st, l);
	if (xattrs == OUTCOME_FAILED || contents == OUTCOME_FAILED)
		return -1;
	if (xattrs == OUTCOME_VANISHED || contents == OUTCOME_VANISHED)
		return 0;
	what |= xattrs == OUTCOME_DIFFERENT ? CHANGE_XATTR : 0;
	what |= contents == OUTCOME_DIFFERENT ? CHANGE_CONTENT : 0;
	e->what = what;
	if (what)
		e->verdict = ENTRY_MODIFIED;
	else
		e->verdict = same_time(&e->st, l) ? ENTRY_SAME : ENTRY_TIME;
	return 1;
}

int diff_compare(const struct diff_walk *w, const char *name, struct entry *e, struct stat *ret_was)
{
	struct stat l;

	e->verdict = ENTRY_ADDED;
	*ret_was = (struct stat){0};
	if (!diff_has_lower(w))
		return 1;
	if (fstatat(w->lower.fd, name, &l, AT_SYMLINK_NOFOLLOW) < 0) {
		if (diff_vanished(errno))
			return 1;
		(void)failed(w, errno, name);
		return -1;
	}
	*ret_was = l;
	if ((e->st.st_mode & S_IFMT) != (l.st_mode & S_IFMT)) {
		e->verdict = ENTRY_MODIFIED;
		e->what = CHANGE_TYPE;
		return 1;
	}
	return compare_all(w, name, &l, e);
}
