/* rm -rf by fds. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/fs_internal.h"
#include "base/path.h"
#include "base/str.h"

/* Each level costs an fd and some stack: what lies deeper is moved up first. */
#define DEPTH_MAX 64

#define RESOLVE_FLAGS (FS_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS)

struct removal {
	int top_fd;     /* where what lies too deep is moved to */
	unsigned moved; /* for its names there */
	const char *top_name;
	struct err *err;
	bool failed;
};

/* The first failure is the one to report; the others often follow from it. */
static int failed(struct removal *r, int errnum, const char *name)
{
	if (r->failed)
		return -1;
	r->failed = true;
	if (errnum == EXDEV || errnum == EBUSY) {
		(void)err_set(r->err, "cannot remove '%s' in '%s': something is mounted there",
			      name, r->top_name);
		if (r->err)
			r->err->errnum = errnum;
		return -1;
	}
	if (name == r->top_name)
		return err_errno(r->err, errnum, "cannot remove '%s'", name);
	return err_errno(r->err, errnum, "cannot remove '%s' in '%s'", name, r->top_name);
}

/* chmod(2) of a folder that cannot be opened, without following a link put in its place. */
static void make_readable(int dir_fd, const char *name)
{
	_cleanup_fd_ int fd =
		fs_openat2(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_FLAGS);
	char link[64];

	if (fd < 0)
		return;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	(void)chmod(link, 0700);
}

static int open_folder(int dir_fd, const char *name)
{
	static const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK;
	struct stat st;
	_cleanup_fd_ int fd = fs_openat2(dir_fd, name, flags, 0, RESOLVE_FLAGS);

	if (fd < 0 && errno == EACCES) {
		make_readable(dir_fd, name);
		fd = fs_openat2(dir_fd, name, flags, 0, RESOLVE_FLAGS);
	}
	/* Readable is not enough to remove what is in it. */
	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)fchmod(fd, 0700);
	return TAKE_FD(fd);
}

/* Move a folder that lies too deep to the top, where the next pass finds it.  -1 with errno. */
static int move_up(struct removal *r, int dir_fd, const char *name)
{
	for (int i = 0; i < 1000; i++) {
		char temp[64];

		(void)snprintf(temp, sizeof(temp), ".sbx-remove-%u", r->moved++);
		if (renameat2(dir_fd, name, r->top_fd, temp, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			return -1;
	}
	return -1;
}

static int remove_entry(struct removal *r, int dir_fd, const char *name, int depth);

/* Everything in a folder. */
static void empty_folder(struct removal *r, int fd, int depth)
{
	_cleanup_fd_ int own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	_cleanup_dir_ DIR *d = own >= 0 ? fdopendir(own) : NULL;
	struct dirent *e;

	if (!d) {
		(void)failed(r, errno, r->top_name);
		return;
	}
	(void)TAKE_FD(own);
	rewinddir(d);
	while ((e = readdir(d))) {
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			(void)remove_entry(r, fd, e->d_name, depth);
	}
}

/* A file, a link or a whole folder.  -1: something is left, and noted. */
static int remove_entry(struct removal *r, int dir_fd, const char *name, int depth)
{
	_cleanup_fd_ int fd = -1;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	/* A folder gives EISDIR (POSIX would have EPERM); a folder that is not ours to
	 * change gives EACCES either way. */
	if (errno != EISDIR)
		return failed(r, errno, name);
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
		return 0;

	fd = open_folder(dir_fd, name);
	if (fd < 0)
		return errno == ENOENT ? 0 : failed(r, errno, name);
	if (depth >= DEPTH_MAX)
		return move_up(r, dir_fd, name) < 0 ? failed(r, errno, name) : 0;
	empty_folder(r, fd, depth + 1);
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return failed(r, errno, name);
}

static int remove_tree(int dir_fd, const char *name, struct err *err)
{
	struct removal r = {.top_fd = -1, .top_name = name, .err = err};
	_cleanup_fd_ int top = -1;
	unsigned moved;

	if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return failed(&r, errno, name);
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
		return 0;

	top = open_folder(dir_fd, name);
	if (top < 0)
		return errno == ENOENT ? 0 : failed(&r, errno, name);
	r.top_fd = top;
	do {
		moved = r.moved;
		empty_folder(&r, top, 1);
	} while (!r.failed && r.moved != moved);
	if (r.failed)
		return -1;
	if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return failed(&r, errno, name);
	return 0;
}

int fs_remove_tree_at(int dir_fd, const char *name, struct err *err)
{
	_cleanup_buf_ struct buf parent = {0};
	_cleanup_fd_ int fd = -1;

	if (dir_fd != AT_FDCWD)
		return remove_tree(dir_fd, name, err);
	/* A path of our own: links and mounts on the way to its last part are fine. */
	buf_adds(&parent, "./");
	if (name[0] == '/')
		parent.len = 0;
	buf_add(&parent, name, (size_t)(path_base(name) - name));
	fd = open(parent.p, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		return err_errno(err, errno, "cannot remove '%s'", name);
	return remove_tree(fd, path_base(name), err);
}
