#include "store/carry.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"

/* Each level takes descriptors, of which there are 1024 as a rule. */
#define DEPTH_MAX 200

#define BLOCK (256U << 10)

struct walk {
	struct carry *c;
	struct err *err;
	size_t depth;
};

/* One entry on its way. */
struct pair {
	int from_dir, to_dir;
	const char *from, *to;
	struct stat st;  /* of from */
	struct stat dir; /* of to_dir */
};

static int failed(const char *name, struct err *err)
{
	return err_errno(err, errno, "cannot copy '%s'", name);
}

/* To the end of it, however long it says that it is: a file of /proc says 0. */
static int copy_blocks(int from, int to)
{
	_cleanup_free_ char *block = xmalloc(BLOCK);
	ssize_t n;

	while ((n = read(from, block, BLOCK)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || fs_write_all(to, block, (size_t)n) < 0)
			return -1;
	}
	return 0;
}

static int copy_bytes(int from, int to)
{
	ssize_t n;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	/* In the kernel as far as it goes; what does not go there is left to the loop. */
	do
		n = copy_file_range(from, NULL, to, NULL, 1U << 30, 0);
	while (n > 0);
	if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO || errno == EFBIG))
		return -1;
	return copy_blocks(from, to);
}

/* The owner first: chown(2) takes bits away.  An owner that nobody is here stays the copier's. */
static int put_attributes(const struct walk *w, const struct pair *p, const char *name)
{
	const struct timespec times[2] = {p->st.st_atim, p->st.st_mtim};

	if (w->c->chown &&
	    fchownat(p->to_dir, name, p->dir.st_uid, p->dir.st_gid, AT_SYMLINK_NOFOLLOW) < 0 &&
	    errno != EINVAL && errno != EPERM)
		return failed(p->from, w->err);
	if (utimensat(p->to_dir, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(p->from, w->err);
	return 0;
}

static int put_owner_of(const struct walk *w, const struct pair *p, int fd)
{
	if (w->c->chown && fchown(fd, p->dir.st_uid, p->dir.st_gid) < 0 && errno != EINVAL &&
	    errno != EPERM)
		return failed(p->from, w->err);
	return 0;
}

/* The same of an open file or folder, and the mode: after the owner, for it would let others in. */
static int put_attributes_of(const struct walk *w, const struct pair *p, int fd)
{
	const struct timespec times[2] = {p->st.st_atim, p->st.st_mtim};

	if (put_owner_of(w, p, fd) < 0)
		return -1;
	if (fchmod(fd, p->st.st_mode & 01777) < 0 || futimens(fd, times) < 0)
		return failed(p->from, w->err);
	return 0;
}

static int make_file(const struct walk *w, const struct pair *p, const char *name)
{
	_cleanup_fd_ int from = openat(p->from_dir, p->from,
				       O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_cleanup_fd_ int to = -1;
	struct stat now;

	if (from < 0 || fstat(from, &now) < 0)
		return failed(p->from, w->err);
	if (!S_ISREG(now.st_mode))
		return err_set(w->err, "cannot copy '%s': it became something else", p->from);
	to = openat(p->to_dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (to < 0 || copy_bytes(from, to) < 0)
		return failed(p->from, w->err);
	return put_attributes_of(w, p, to);
}

static int make_link(const struct walk *w, const struct pair *p, const char *name)
{
	char target[4096];
	ssize_t n = readlinkat(p->from_dir, p->from, target, sizeof(target) - 1);

	if (n < 0)
		return failed(p->from, w->err);
	target[n] = '\0';
	if (symlinkat(target, p->to_dir, name) < 0)
		return failed(p->from, w->err);
	return put_attributes(w, p, name);
}

static int make_pipe(const struct walk *w, const struct pair *p, const char *name)
{
	if (mknodat(p->to_dir, name, S_IFIFO | (p->st.st_mode & 0777), 0) < 0)
		return failed(p->from, w->err);
	return put_attributes(w, p, name);
}

/*
 * Something is mounted there.  rename(2) refuses that in the caller's own mount namespace alone: of another one, it
 * would take the mount away, and with that of sbx.ini what keeps it read-only.
 */
static bool is_mounted(const struct pair *p)
{
	const struct open_how how = {.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
				     .resolve = RESOLVE_NO_XDEV};
	_cleanup_fd_ int fd = (int)syscall(SYS_openat2, p->to_dir, p->to, &how, sizeof(how));

	return fd < 0 && errno == EXDEV;
}

/* Beside its place, and then there. */
static int put_entry(const struct walk *w, const struct pair *p)
{
	char temp[64];
	int r;

	if (is_mounted(p))
		return err_set(w->err,
			       "cannot replace '%s': it is mounted there; copy it to a folder",
			       p->to);
	(void)snprintf(temp, sizeof(temp), ".sbx-cp-%ld", (long)getpid());
	(void)unlinkat(p->to_dir, temp, 0);
	if (S_ISREG(p->st.st_mode))
		r = make_file(w, p, temp);
	else if (S_ISLNK(p->st.st_mode))
		r = make_link(w, p, temp);
	else
		r = make_pipe(w, p, temp);
	if (r == 0 && renameat(p->to_dir, temp, p->to_dir, p->to) < 0)
		r = failed(p->from, w->err);
	if (r < 0)
		(void)unlinkat(p->to_dir, temp, 0);
	return r;
}

static int carry(struct walk *w, int from_dir, const char *from, int to_dir, const char *to);

static int open_folder(int dir, const char *name, int *ret_fd)
{
	_cleanup_fd_ int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -1;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int each_entry(struct walk *w, int from, int to)
{
	_cleanup_dir_ DIR *d = NULL;
	_cleanup_fd_ int own = -1;

	/* A position of its own: whoever handed it in may read it, too. */
	if (open_folder(from, ".", &own) < 0)
		return failed(".", w->err);
	d = fdopendir(own);
	if (!d)
		return failed(".", w->err);
	(void)TAKE_FD(own);
	for (;;) {
		const struct dirent *e;

		errno = 0;
		e = readdir(d);
		if (!e)
			return errno ? failed(".", w->err) : 0;
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (carry(w, from, e->d_name, to, e->d_name) < 0)
			return -1;
	}
}

static int carry_folder(struct walk *w, const struct pair *p)
{
	bool made = mkdirat(p->to_dir, p->to, 0700) == 0;
	_cleanup_fd_ int from = -1;
	_cleanup_fd_ int to = -1;
	struct stat st;

	if (!made && errno != EEXIST)
		return failed(p->from, w->err);
	if (open_folder(p->from_dir, p->from, &from) < 0 || fstat(from, &st) < 0)
		return failed(p->from, w->err);
	if (st.st_dev == w->c->into_dev && st.st_ino == w->c->into_ino)
		return err_set(w->err, "cannot copy '%s' into itself", p->from);
	if (open_folder(p->to_dir, p->to, &to) < 0)
		return failed(p->from, w->err);
	/* First, for what is put into it belongs to its owner. */
	if (made && put_owner_of(w, p, to) < 0)
		return -1;
	if (++w->depth > DEPTH_MAX)
		return err_set(w->err, "cannot copy '%s': more than %d folders deep", p->from,
			       DEPTH_MAX);
	if (each_entry(w, from, to) < 0)
		return err_prefix(w->err, "in '%s'", p->from);
	w->depth--;
	if (made)
		return put_attributes_of(w, p, to);

	const struct timespec times[2] = {p->st.st_atim, p->st.st_mtim};

	return futimens(to, times) < 0 ? failed(p->from, w->err) : 0;
}

static int carry(struct walk *w, int from_dir, const char *from, int to_dir, const char *to)
{
	struct pair p = {.from_dir = from_dir, .to_dir = to_dir, .from = from, .to = to};

	if (fstatat(from_dir, from, &p.st, AT_SYMLINK_NOFOLLOW) < 0 || fstat(to_dir, &p.dir) < 0)
		return failed(from, w->err);
	switch (p.st.st_mode & S_IFMT) {
	case S_IFDIR:
		return carry_folder(w, &p);
	case S_IFREG:
	case S_IFLNK:
	case S_IFIFO:
		return put_entry(w, &p);
	default:
		w->c->skipped++;
		return 0;
	}
}

static int begin(struct carry *c, int to, struct err *err)
{
	struct stat st;

	if (fstat(to, &st) < 0)
		return err_errno(err, errno, "cannot look at the folder");
	c->into_dev = st.st_dev;
	c->into_ino = st.st_ino;
	return 0;
}

int carry_entry(struct carry *c, int from_dir, const char *from_name, int to_dir,
		const char *to_name, struct err *err)
{
	struct walk w = {.c = c, .err = err};

	if (begin(c, to_dir, err) < 0)
		return -1;
	return carry(&w, from_dir, from_name, to_dir, to_name);
}

int carry_contents(struct carry *c, int from, int to, struct err *err)
{
	struct walk w = {.c = c, .err = err};
	struct stat st;

	if (begin(c, to, err) < 0)
		return -1;
	if (fstat(from, &st) == 0 && st.st_dev == c->into_dev && st.st_ino == c->into_ino)
		return err_set(err, "cannot copy a folder into itself");
	return each_entry(&w, from, to);
}
