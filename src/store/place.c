#include "store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "store/context.h"
#include "store/links.h"
#include "store/untar.h"

#define FOLDER_MODE 0755

struct place_time {
	const char *path;
	struct timespec mtime;
	struct place_time *next;
};

static const char *parent_of(struct arena *a, const char *path)
{
	const char *name = path_base(path);

	return arena_strndup(a, path, (size_t)(name - path));
}

/* New folders on the way are those of whom the copy is for. */
static int own_new(const struct place *p, const char *path, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_fd_ int fd = -1;
	struct err why = {0};

	if (!p->set_owner || p->one_id ||
	    fs_open_in_root(p->root, path, O_PATH | O_DIRECTORY, 0, &fd, &why) == 0)
		return 0;
	if (why.errnum != ENOENT)
		return 0;
	if (strcmp(path, "/") != 0 && own_new(p, path_clean(a, parent_of(a, path)), err) < 0)
		return -1;
	if (fs_mkdirs_in_root(p->root, path, FOLDER_MODE, &fd, err) < 0)
		return -1;
	if (fchownat(fd, "", p->uid, p->gid, AT_EMPTY_PATH) < 0)
		return err_errno(err, errno, "cannot give '%s' to %u:%u", path, (unsigned)p->uid,
				 (unsigned)p->gid);
	return 0;
}

static int open_folder(const struct place *p, const char *path, int *ret_fd, struct err *err)
{
	if (own_new(p, path, err) < 0)
		return -1;
	return fs_mkdirs_in_root(p->root, path, FOLDER_MODE, ret_fd, err);
}

int place_folder(const struct place *p, const char *path, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	return open_folder(p, path, &fd, err);
}

bool place_is_folder(const struct place *p, const char *path)
{
	_cleanup_fd_ int fd = -1;
	struct err why = {0};

	return fs_open_in_root(p->root, path, O_PATH | O_DIRECTORY, 0, &fd, &why) == 0;
}

static uid_t owner_of(const struct place *p, const struct context_item *item)
{
	return p->set_owner ? p->uid : p->keep_owners ? item->st.st_uid : 0;
}

static gid_t group_of(const struct place *p, const struct context_item *item)
{
	return p->set_owner ? p->gid : p->keep_owners ? item->st.st_gid : 0;
}

static mode_t mode_of(const struct place *p, const struct context_item *item)
{
	return p->set_mode ? p->mode : item->st.st_mode & 07777;
}

static int failed(const char *what, const char *path, struct err *err)
{
	return err_errno(err, errno, "cannot %s '%s'", what, path);
}

/* Owner before mode: a change of owner takes the set-user-id bit away. */
static int dress(const struct place *p, int fd, const struct context_item *item, const char *path,
		 struct err *err)
{
	if (!p->one_id && fchown(fd, owner_of(p, item), group_of(p, item)) < 0)
		return failed("own", path, err);
	if (fchmod(fd, mode_of(p, item)) < 0)
		return failed("set the mode of", path, err);
	return 0;
}

/* Attributes come along from another root alone: a context's are the user's own business. */
static int copy_xattrs(const struct place *p, const struct context_item *item, int fd,
		       const char *path, struct err *err)
{
	_cleanup_free_ char *names = NULL;
	_cleanup_free_ char *value = NULL;
	ssize_t len;

	if (!p->keep_owners)
		return 0;
	names = xmalloc(XATTR_LIST_MAX);
	value = xmalloc(XATTR_SIZE_MAX);
	len = flistxattr(item->fd, names, XATTR_LIST_MAX);
	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(names + i) + 1) {
		ssize_t n;

		if (!untar_keeps_xattr(names + i))
			continue;
		n = fgetxattr(item->fd, names + i, value, XATTR_SIZE_MAX);
		if (n >= 0 && fsetxattr(fd, names + i, value, (size_t)n, 0) < 0 && errno != ENOTSUP)
			return failed("set the attributes of", path, err);
	}
	return 0;
}

static int copy_bytes(int from, int to, const char *path, struct err *err)
{
	char piece[65536];
	ssize_t n;

	if (ioctl(to, FICLONE, from) == 0)
		return 0;
	for (off_t at = 0; (n = pread(from, piece, sizeof(piece), at)) != 0; at += n)
		if (n < 0 || fs_write_all(to, piece, (size_t)n) < 0)
			return failed("copy", path, err);
	return 0;
}

/* Make room for what is no folder. */
static int clear(int dir, const char *name, const char *path, struct err *err)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : failed("look at", path, err);
	if (S_ISDIR(st.st_mode))
		return err_set(err, "cannot copy a file over the folder '%s'", path);
	return unlinkat(dir, name, 0) < 0 ? failed("replace", path, err) : 0;
}

/* The folder of `path`, in which nothing has its name any more. */
static int open_cleared(const struct place *p, const char *path, int *ret_fd, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_fd_ int dir = -1;

	if (open_folder(p, path_clean(a, parent_of(a, path)), &dir, err) < 0 ||
	    clear(dir, path_base(path), path, err) < 0)
		return -1;
	*ret_fd = TAKE_FD(dir);
	return 0;
}

int place_link(const struct place *p, const char *path, const char *first, struct err *err)
{
	_cleanup_fd_ int dir = -1;
	_cleanup_fd_ int old = -1;

	if (fs_open_in_root(p->root, first, O_PATH | O_NOFOLLOW, 0, &old, err) < 0 ||
	    open_cleared(p, path, &dir, err) < 0)
		return -1;
	if (linkat(old, "", dir, path_base(path), AT_EMPTY_PATH) < 0)
		return failed("link", path, err);
	return 0;
}

int place_file_begin(const struct place *p, const char *path, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int dir = -1;
	_cleanup_fd_ int fd = -1;

	if (open_cleared(p, path, &dir, err) < 0)
		return -1;
	fd = openat(dir, path_base(path), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (fd < 0)
		return failed("make", path, err);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int place_file_end(const struct place *p, const char *path, int fd, const struct context_item *item,
		   struct err *err)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, item->st.st_mtim};

	if (dress(p, fd, item, path, err) < 0 || copy_xattrs(p, item, fd, path, err) < 0)
		return -1;
	return futimens(fd, times) < 0 ? failed("set the time of", path, err) : 0;
}

static int put_file(const struct place *p, const char *path, const struct context_item *item,
		    struct err *err)
{
	const char *first = p->links ? links_first(p->links, &item->st, path) : NULL;
	_cleanup_fd_ int fd = -1;

	if (first)
		return place_link(p, path, first, err);
	if (place_file_begin(p, path, &fd, err) < 0 || copy_bytes(item->fd, fd, path, err) < 0)
		return -1;
	return place_file_end(p, path, fd, item, err);
}

static void remember_time(struct place *p, const char *path, const struct context_item *item)
{
	struct place_time *t = ARENA_NEW(p->a, struct place_time);

	t->path = arena_strdup(p->a, path);
	t->mtime = item->st.st_mtim;
	t->next = p->times;
	p->times = t;
}

static int put_folder(struct place *p, int dir, const char *path, const struct context_item *item,
		      struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (mkdirat(dir, path_base(path), 0700) < 0 && errno != EEXIST)
		return failed("make the folder", path, err);
	/* One that is there may be a link to one: it is gone into. */
	if (fs_open_in_root(p->root, path, O_RDONLY | O_DIRECTORY, 0, &fd, err) < 0) {
		if (err->errnum == ENOTDIR)
			return err_set(err, "cannot copy a folder over the file '%s'", path);
		return -1;
	}
	if (dress(p, fd, item, path, err) < 0 || copy_xattrs(p, item, fd, path, err) < 0)
		return -1;
	remember_time(p, path, item);
	return 0;
}

/* Neither has a mode or a descriptor of its own. */
static int put_other(const struct place *p, int dir, const char *path,
		     const struct context_item *item, struct err *err)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, item->st.st_mtim};
	const char *name = path_base(path);
	bool link = S_ISLNK(item->st.st_mode);

	if ((link ? symlinkat(item->link, dir, name)
		  : mknodat(dir, name, S_IFIFO | (mode_of(p, item) & 0777), 0)) < 0)
		return failed("make", path, err);
	if (!p->one_id &&
	    fchownat(dir, name, owner_of(p, item), group_of(p, item), AT_SYMLINK_NOFOLLOW) < 0)
		return failed("own", path, err);
	if (!link && fchmodat(dir, name, mode_of(p, item), 0) < 0)
		return failed("set the mode of", path, err);
	return utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0
		       ? failed("set the time of", path, err)
		       : 0;
}

int place_item(struct place *p, const char *path, const struct context_item *item, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_fd_ int dir = -1;

	if (S_ISREG(item->st.st_mode))
		return put_file(p, path, item, err);
	if (open_folder(p, path_clean(a, parent_of(a, path)), &dir, err) < 0)
		return -1;
	if (S_ISDIR(item->st.st_mode))
		return put_folder(p, dir, path, item, err);
	if (clear(dir, path_base(path), path, err) < 0)
		return -1;
	return put_other(p, dir, path, item, err);
}

int place_finish(struct place *p, struct err *err)
{
	for (const struct place_time *t = p->times; t; t = t->next) {
		const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, t->mtime};
		_cleanup_fd_ int fd = -1;

		if (fs_open_in_root(p->root, t->path, O_RDONLY | O_DIRECTORY, 0, &fd, err) < 0)
			return -1;
		if (futimens(fd, times) < 0)
			return failed("set the time of", t->path, err);
	}
	p->times = NULL;
	return 0;
}
