#include "store/env_kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/num.h"
#include "store/copy.h"

#define LIST_LIMIT (256U << 20)

/* Seconds and nanoseconds, in an order of their own: "-12 500". */
static void kept_time_write(struct buf *b, const struct timespec *t)
{
	buf_printf(b, "%s%llu %lu", t->tv_sec < 0 ? "-" : "",
		   (unsigned long long)llabs((long long)t->tv_sec), (unsigned long)t->tv_nsec);
}

static int kept_time_read(const char *text, struct timespec *ret)
{
	_cleanup_free_ char *copy = xstrdup(text);
	char *blank = strchr(copy, ' ');
	bool before = copy[0] == '-';
	uint64_t sec;
	uint64_t nsec;

	if (!blank)
		return -1;
	*blank = '\0';
	if (num_u64(copy + before, 0, INT64_MAX, &sec, NULL) < 0 ||
	    num_u64(blank + 1, 0, 999999999, &nsec, NULL) < 0)
		return -1;
	ret->tv_sec = before ? -(time_t)sec : (time_t)sec;
	ret->tv_nsec = (long)nsec;
	return 0;
}

int env_kept_add(struct buf *list, const char *path, int parent_fd, struct err *err)
{
	struct stat st;

	if (fstat(parent_fd, &st) < 0)
		return err_errno(err, errno, "cannot keep '%s'", path);
	buf_add(list, path, strlen(path) + 1);
	kept_time_write(list, &st.st_mtim);
	buf_add(list, "", 1);
	return 0;
}

/* Two folders of the same path; the last two are the uppers themselves. */
struct pair {
	int from, to;
};

static void pair_done(struct pair *p)
{
	cleanup_fd(&p->from);
	cleanup_fd(&p->to);
}

/* From a pair to that of the folder `name` in it.  1: there is no such folder any more. */
static int pair_down(struct pair *p, const char *name, struct err *err)
{
	_cleanup_fd_ int from =
		openat(p->from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_fd_ int to = -1;
	bool made;

	if (from < 0)
		return errno == ENOENT ? 1 : err_errno(err, errno, "cannot open '%s'", name);
	made = mkdirat(p->to, name, 0700) == 0;
	if (!made && errno != EEXIST)
		return err_errno(err, errno, "cannot make the folder '%s'", name);
	to = openat(p->to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return err_errno(err, errno, "cannot open '%s'", name);
	/* Each time: a crash may have come between making it and this. */
	if (copy_attributes(from, to, name, err) < 0)
		return -1;
	pair_done(p);
	p->from = TAKE_FD(from);
	p->to = TAKE_FD(to);
	return 0;
}

/* The folder is a part of a layer: moving something out of it must not show. */
static int put_time(int fd, const char *time, const char *name, struct err *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};

	if (kept_time_read(time, &times[1]) < 0)
		return err_set(err, "cannot keep '%s': its time is damaged", name);
	if (futimens(fd, times) < 0)
		return err_errno(err, errno, "cannot keep '%s'", name);
	return 0;
}

static int move_one(int from, int to, char *path, const char *time, struct err *err)
{
	__attribute__((cleanup(pair_done))) struct pair p = {
		.from = fcntl(from, F_DUPFD_CLOEXEC, 3),
		.to = fcntl(to, F_DUPFD_CLOEXEC, 3),
	};
	char *name = path;

	if (p.from < 0 || p.to < 0)
		return err_errno(err, errno, "cannot open the upper folder");
	for (char *slash; (slash = strchr(name, '/')); name = slash + 1) {
		int r;

		*slash = '\0';
		r = pair_down(&p, name, err);
		if (r)
			return r < 0 ? -1 : 0;
	}
	/* Not there: it was moved before. */
	if (renameat(p.from, name, p.to, name) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot keep '%s'", name);
	return put_time(p.from, time, name, err);
}

int env_kept_move(int list_fd, const char *list, int from, int to, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct err why = {0};

	if (fs_read_at(list_fd, list, LIST_LIMIT, &b, &why) < 0) {
		if (why.errnum == ENOENT)
			return 0;
		if (err)
			*err = why;
		return -1;
	}
	for (size_t at = 0; at < b.len;) {
		_cleanup_free_ char *path = xstrdup(b.p + at);
		const char *time = b.p + at + strlen(path) + 1;

		if (time >= b.p + b.len)
			return err_errno(err, EBADMSG, "cannot read '%s'", list);
		if (move_one(from, to, path, time, err) < 0)
			return -1;
		at = (size_t)(time - b.p) + strlen(time) + 1;
	}
	return 0;
}
