#include "store/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "store/unpack_walk.h"
#include "store/whiteout.h"

/* The least piece of zeros that is worth a hole. */
#define HOLE 4096U

/* A folder's mode and time are set at the end: until then it must be open to us, and it changes. */
struct folder {
	const char *path;
	size_t order;
	mode_t mode;
	int64_t mtime;
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
};

struct unpack {
	struct untar *u;
	struct arena *a;
	bool owners;
	struct unpack_walk walk;
	struct folder *folders;
	size_t n, cap;
};

static const struct tar_xattr *copy_xattrs(struct arena *a, const struct untar_entry *e)
{
	struct tar_xattr *v = arena_alloc(a, (e->n_xattrs + 1) * sizeof(*v));

	for (size_t i = 0; i < e->n_xattrs; i++) {
		const struct tar_xattr *x = &e->xattrs[i];
		void *value = arena_alloc(a, x->size + 1);

		memcpy(value, x->value, x->size);
		v[i] = (struct tar_xattr){arena_strdup(a, x->name), value, x->size};
	}
	return v;
}

/* Attributes wait too: a default access control list would be inherited. */
static void remember(struct unpack *x, const struct untar_entry *e)
{
	if (x->n == x->cap) {
		x->cap = x->cap ? x->cap * 2 : 64;
		x->folders = xrealloc(x->folders, x->cap * sizeof(*x->folders));
	}
	x->folders[x->n] = (struct folder){.path = arena_strdup(x->a, e->path),
					   .order = x->n,
					   .mode = e->mode,
					   .mtime = e->mtime,
					   .xattrs = copy_xattrs(x->a, e),
					   .n_xattrs = e->n_xattrs};
	x->n++;
}

static int open_folder(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* A folder on the way to an entry, which none has named so far. */
static int made_folder(void *ctx, const char *path, int fd, struct err *err)
{
	const struct untar_entry e = {.path = path, .mode = UNPACK_PARENT_MODE};
	struct unpack *x = ctx;

	if (x->owners && fchown(fd, 0, 0) < 0)
		return untar_failed(path, "cannot set its owner", errno, err);
	remember(x, &e);
	return 0;
}

static int set_xattrs(struct unpack *x, const struct untar_entry *e, int dir_fd, const char *name,
		      struct err *err)
{
	_cleanup_free_ char *link = NULL;

	if (e->n_xattrs > 0)
		link = xasprintf("/proc/self/fd/%d/%s", dir_fd, name);
	for (size_t i = 0; i < e->n_xattrs; i++) {
		const struct tar_xattr *a = &e->xattrs[i];

		if (!x->owners && str_eq(a->name, "security.capability"))
			continue;
		if (lsetxattr(link, a->name, a->value, a->size, 0) < 0) {
			(void)untar_failed(e->path, "cannot set an attribute", errno, err);
			return err_prefix(err, "%s", a->name);
		}
	}
	return 0;
}

static int owner_failed(const struct untar_entry *e, struct err *err)
{
	(void)untar_failed(e->path, "cannot set its owner", errno, err);
	return err_hint(err,
			"the layer has the owner %u:%u; more subordinate ids for you in "
			"/etc/subuid and /etc/subgid may help",
			(unsigned)e->uid, (unsigned)e->gid);
}

/* Owner first: a change of it clears set-id bits and capabilities. */
static int set_meta(struct unpack *x, const struct untar_entry *e, int dir_fd, const char *name,
		    struct err *err)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = e->mtime}};

	if (x->owners && fchownat(dir_fd, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return owner_failed(e, err);
	if (set_xattrs(x, e, dir_fd, name, err) < 0)
		return -1;
	if (e->kind != UNTAR_SYMLINK && fchmodat(dir_fd, name, e->mode, 0) < 0)
		return untar_failed(e->path, "cannot set its mode", errno, err);
	if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return untar_failed(e->path, "cannot set its time", errno, err);
	return 0;
}

/* The same of a file that is open: looking is cheaper than changing, and most are root's and have the usual modes. */
static int set_file_meta(struct unpack *x, const struct untar_entry *e, int dir_fd,
			 const char *name, int fd, struct err *err)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = e->mtime}};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return untar_failed(e->path, "cannot look at it", errno, err);
	if (x->owners && (st.st_uid != e->uid || st.st_gid != e->gid) &&
	    fchown(fd, e->uid, e->gid) < 0)
		return owner_failed(e, err);
	if (set_xattrs(x, e, dir_fd, name, err) < 0)
		return -1;
	/* An access control list has changed it meanwhile. */
	if ((e->n_xattrs > 0 || (st.st_mode & 07777) != e->mode) && fchmod(fd, e->mode) < 0)
		return untar_failed(e->path, "cannot set its mode", errno, err);
	if (futimens(fd, times) < 0)
		return untar_failed(e->path, "cannot set its time", errno, err);
	return 0;
}

static bool is_zero(const char *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

/* How much of it, from `offset` on, lies in blocks that are not all zero; or, `zero`, that are. */
static size_t run_of(const char *p, size_t n, uint64_t offset, bool zero)
{
	size_t at = 0;

	while (at < n) {
		size_t part = HOLE - (size_t)((offset + at) % HOLE);

		part = part < n - at ? part : n - at;
		if (is_zero(p + at, part) != zero)
			break;
		at += part;
	}
	return at;
}

/* Write the piece but for its blocks of zeros; *end is then where the file ends. */
static int write_piece(int fd, const char *p, size_t n, uint64_t offset, uint64_t *end)
{
	size_t at = run_of(p, n, offset, true);

	while (at < n) {
		size_t part = run_of(p + at, n - at, offset + at, false);
		ssize_t put = pwrite(fd, p + at, part, (off_t)(offset + at));

		if (put < 0 && errno != EINTR)
			return -1;
		if (put > 0) {
			at += (size_t)put;
			*end = offset + at;
		}
		at += run_of(p + at, n - at, offset + at, true);
	}
	return 0;
}

static int write_contents(struct unpack *x, const struct untar_entry *e, int fd, struct err *err)
{
	const void *p = NULL;
	uint64_t offset = 0;
	uint64_t written = 0;
	size_t n = 0;
	bool end = false;

	for (;;) {
		if (untar_data(x->u, &p, &n, &offset, &end, err) < 0)
			return -1;
		if (end)
			break;
		if (offset > e->size || n > e->size - offset)
			return untar_refuse(e->path, "it has more contents than its size", err);
		if (write_piece(fd, p, n, offset, &written) < 0)
			return untar_failed(e->path, "cannot write it", errno, err);
	}
	/* It ends in a hole. */
	if (written != e->size && ftruncate(fd, (off_t)e->size) < 0)
		return untar_failed(e->path, "cannot give it its size", errno, err);
	return 0;
}

/* Nothing may be there but a whiteout, which goes. */
static int make_room(const struct untar_entry *e, int dir_fd, const char *name, struct err *err)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : untar_failed(e->path, "cannot look at it", errno, err);
	if (!S_ISCHR(st.st_mode))
		return untar_refuse(e->path, "it is there twice", err);
	if (unlinkat(dir_fd, name, 0) < 0)
		return untar_failed(e->path, "cannot replace it", errno, err);
	return 0;
}

/* With no set-id bit before it has its owner; and attributes want to write to it. */
static int create(const struct untar_entry *e, int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		      e->n_xattrs > 0 ? 0600 : e->mode & 0777);
}

static int make_file(struct unpack *x, const struct untar_entry *e, int dir_fd, const char *name,
		     struct err *err)
{
	_cleanup_fd_ int fd = create(e, dir_fd, name);

	if (fd < 0 && errno == EEXIST) {
		if (make_room(e, dir_fd, name, err) < 0)
			return -1;
		fd = create(e, dir_fd, name);
	}
	if (fd < 0)
		return untar_failed(e->path, "cannot make it", errno, err);
	if (write_contents(x, e, fd, err) < 0)
		return -1;
	return set_file_meta(x, e, dir_fd, name, fd, err);
}

static int make_folder(struct unpack *x, const struct untar_entry *e, struct err *err)
{
	bool fresh = false;

	if (unpack_walk_enter(&x->walk, e->path, &fresh, err) < 0)
		return -1;
	if (x->owners && fchown(unpack_walk_fd(&x->walk), e->uid, e->gid) < 0)
		return untar_failed(e->path, "cannot set its owner", errno, err);
	remember(x, e);
	return 0;
}

/* In the tree as it is so far, without following a link. */
static int make_hardlink(struct unpack *x, const struct untar_entry *e, int dir_fd,
			 const char *name, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	const char *p = e->link;
	struct stat st;

	for (const char *slash; (slash = strchr(p, '/')) != NULL; p = slash + 1) {
		_cleanup_free_ char *part = xasprintf("%.*s", (int)(slash - p), p);
		_cleanup_fd_ int next = open_folder(fd < 0 ? x->walk.tree : fd, part);

		if (next < 0)
			return untar_refuse(e->path, "a hard link to what is not in the layer",
					    err);
		cleanup_fd(&fd);
		fd = TAKE_FD(next);
	}
	if (fstatat(fd < 0 ? x->walk.tree : fd, p, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return untar_refuse(e->path, "a hard link to what is not in the layer", err);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode) && !S_ISFIFO(st.st_mode))
		return untar_refuse(e->path, "a hard link to a folder or a deletion", err);
	if (linkat(fd < 0 ? x->walk.tree : fd, p, dir_fd, name, 0) < 0)
		return untar_failed(e->path, "cannot make the hard link", errno, err);
	return 0;
}

static int make_whiteout(int dir_fd, const char *name, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return whiteout_make(dir_fd, name, err);
	if (!S_ISDIR(st.st_mode))
		return 0;
	fd = open_folder(dir_fd, name);
	if (fd < 0)
		return untar_failed(name, "cannot open the folder", errno, err);
	return whiteout_make_opaque(fd, err);
}

static int make_other(struct unpack *x, const struct untar_entry *e, int dir_fd, const char *name,
		      struct err *err)
{
	if (make_room(e, dir_fd, name, err) < 0)
		return -1;
	if (e->kind == UNTAR_HARDLINK)
		return make_hardlink(x, e, dir_fd, name, err);
	if (e->kind == UNTAR_SYMLINK && symlinkat(e->link, dir_fd, name) < 0)
		return untar_failed(e->path, "cannot make the symbolic link", errno, err);
	if (e->kind == UNTAR_FIFO && mkfifoat(dir_fd, name, 0600) < 0)
		return untar_failed(e->path, "cannot make the fifo", errno, err);
	return set_meta(x, e, dir_fd, name, err);
}

static int make_root(struct unpack *x, const struct untar_entry *e, struct err *err)
{
	if (x->owners && fchown(x->walk.tree, e->uid, e->gid) < 0)
		return untar_failed("", "cannot set its owner", errno, err);
	remember(x, e);
	return 0;
}

static int make_entry(struct unpack *x, const struct untar_entry *e, struct err *err)
{
	const char *name = path_base(e->path);
	size_t parent = name > e->path ? (size_t)(name - e->path) - 1 : 0;
	int dir_fd; /* borrowed */

	if (e->path[0] == '\0')
		return make_root(x, e, err);
	if (unpack_walk_to(&x->walk, e->path, parent, err) < 0)
		return -1;
	dir_fd = unpack_walk_fd(&x->walk);
	switch (e->kind) {
	case UNTAR_DEVICE:
		return 0;
	case UNTAR_WHITEOUT:
		return make_whiteout(dir_fd, name, err);
	case UNTAR_OPAQUE:
		if (unpack_walk_to(&x->walk, e->path, strlen(e->path), err) < 0)
			return -1;
		return whiteout_make_opaque(unpack_walk_fd(&x->walk), err);
	case UNTAR_FOLDER:
		return make_folder(x, e, err);
	case UNTAR_FILE:
		return make_file(x, e, dir_fd, name, err);
	case UNTAR_SYMLINK:
	case UNTAR_FIFO:
	case UNTAR_HARDLINK:
	default:
		return make_other(x, e, dir_fd, name, err);
	}
}

/* What is deepest first, and of what was named twice the last. */
static int compare_folders(const void *p, const void *q)
{
	const struct folder *a = p;
	const struct folder *b = q;
	int r = strcmp(b->path, a->path);

	if (r != 0)
		return r;
	return a->order < b->order ? 1 : -1;
}

static int set_folder(struct unpack *x, const struct folder *f, struct err *err)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = f->mtime}};
	const struct untar_entry e = {
		.path = f->path, .xattrs = f->xattrs, .n_xattrs = f->n_xattrs};
	int fd; /* borrowed */

	if (unpack_walk_to(&x->walk, f->path, strlen(f->path), err) < 0)
		return -1;
	fd = unpack_walk_fd(&x->walk);
	if (set_xattrs(x, &e, fd, ".", err) < 0)
		return -1;
	if (fchmod(fd, f->mode) < 0 || futimens(fd, times) < 0)
		return untar_failed(f->path, "cannot set its mode and time", errno, err);
	return 0;
}

static int set_folders(struct unpack *x, struct err *err)
{
	if (x->n > 0)
		qsort(x->folders, x->n, sizeof(*x->folders), compare_folders);
	for (size_t i = 0; i < x->n; i++) {
		if (i > 0 && str_eq(x->folders[i].path, x->folders[i - 1].path))
			continue;
		if (set_folder(x, &x->folders[i], err) < 0)
			return -1;
	}
	return 0;
}

int unpack(struct untar *u, int tree_fd, bool owners, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct unpack x = {.u = u, .a = a, .owners = owners, .walk = {.tree = tree_fd}};
	struct untar_entry e;
	bool end = false;
	int r;

	x.walk.made = made_folder;
	x.walk.ctx = &x;
	for (;;) {
		r = untar_next(u, &e, &end, err);
		if (r < 0 || end)
			break;
		r = make_entry(&x, &e, err);
		if (r < 0)
			break;
	}
	if (r == 0)
		r = set_folders(&x, err);
	unpack_walk_done(&x.walk);
	free(x.folders);
	return r;
}
