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
	int tree; /* borrowed */
	bool owners;
	int parent; /* the folder of the last entry */
	struct buf parent_path;
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

/* Is the name a whiteout that an earlier entry made? */
static bool is_whiteout(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode);
}

static int open_folder(int dir_fd, const char *name)
{
	return openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Make or find the folder.  On a whiteout of its name, it hides what lies below. */
static int enter(int dir_fd, const char *path, bool *ret_new, int *ret_fd, struct err *err)
{
	const char *name = path_base(path);
	_cleanup_fd_ int fd = -1;
	bool opaque = false;
	bool fresh = mkdirat(dir_fd, name, 0700) == 0;

	if (!fresh && errno == EEXIST && is_whiteout(dir_fd, name)) {
		opaque = true;
		fresh = unlinkat(dir_fd, name, 0) == 0 && mkdirat(dir_fd, name, 0700) == 0;
	}
	if (!fresh && errno != EEXIST)
		return untar_failed(path, "cannot make the folder", errno, err);
	fd = open_folder(dir_fd, name);
	if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
		return untar_refuse(path, "a file or a link of that name is there already", err);
	if (fd < 0)
		return untar_failed(path, "cannot open the folder", errno, err);
	if (opaque && whiteout_make_opaque(fd, err) < 0)
		return -1;
	*ret_new = fresh;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* One step down on the way to an entry; `path` up to here. */
static int step(struct unpack *x, int *fd, const char *path, struct err *err)
{
	_cleanup_fd_ int next = -1;
	bool fresh = false;

	if (enter(*fd < 0 ? x->tree : *fd, path, &fresh, &next, err) < 0)
		return -1;
	if (fresh) {
		const struct untar_entry e = {.path = path, .mode = UNPACK_PARENT_MODE};

		if (x->owners && fchown(next, 0, 0) < 0)
			return untar_failed(path, "cannot set its owner", errno, err);
		remember(x, &e);
	}
	cleanup_fd(fd);
	*fd = TAKE_FD(next);
	return 0;
}

/* The folder of `path`, of n bytes, kept for the next entry; -1 stands for the root. */
static int go_to(struct unpack *x, const char *path, size_t n, struct err *err)
{
	_cleanup_free_ char *copy = NULL;
	size_t from = 0;

	if (n == x->parent_path.len && (n == 0 || memcmp(path, x->parent_path.p, n) == 0))
		return 0;
	/* Down from the last one, or anew from the root. */
	if (x->parent_path.len > 0 && x->parent_path.len < n &&
	    memcmp(path, x->parent_path.p, x->parent_path.len) == 0 &&
	    path[x->parent_path.len] == '/')
		from = x->parent_path.len + 1;
	else
		cleanup_fd(&x->parent);
	copy = xmalloc(n + 1);
	memcpy(copy, path, n);
	copy[n] = '\0';
	x->parent_path.len = 0;
	while (from < n) {
		char *end = strchr(copy + from, '/');

		if (end)
			*end = '\0';
		if (step(x, &x->parent, copy, err) < 0) {
			cleanup_fd(&x->parent);
			return -1;
		}
		if (!end)
			break;
		*end = '/';
		from = (size_t)(end - copy) + 1;
	}
	buf_add(&x->parent_path, path, n);
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

/* Owner first: a change of it clears set-id bits and capabilities. */
static int set_meta(struct unpack *x, const struct untar_entry *e, int dir_fd, const char *name,
		    struct err *err)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = e->mtime}};

	if (x->owners && fchownat(dir_fd, name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0) {
		(void)untar_failed(e->path, "cannot set its owner", errno, err);
		return err_hint(err,
				"the layer has the owner %u:%u; more subordinate ids for you in "
				"/etc/subuid and /etc/subgid may help",
				(unsigned)e->uid, (unsigned)e->gid);
	}
	if (set_xattrs(x, e, dir_fd, name, err) < 0)
		return -1;
	if (e->kind != UNTAR_SYMLINK && fchmodat(dir_fd, name, e->mode, 0) < 0)
		return untar_failed(e->path, "cannot set its mode", errno, err);
	if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
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

/* Write the piece but for its blocks of zeros. */
static int write_piece(int fd, const char *p, size_t n, uint64_t offset)
{
	size_t at = run_of(p, n, offset, true);

	while (at < n) {
		size_t part = run_of(p + at, n - at, offset + at, false);
		ssize_t put = pwrite(fd, p + at, part, (off_t)(offset + at));

		if (put < 0 && errno != EINTR)
			return -1;
		if (put > 0)
			at += (size_t)put;
		at += run_of(p + at, n - at, offset + at, true);
	}
	return 0;
}

static int write_contents(struct unpack *x, const struct untar_entry *e, int fd, struct err *err)
{
	const void *p = NULL;
	uint64_t offset = 0;
	size_t n = 0;
	bool end = false;

	for (;;) {
		if (untar_data(x->u, &p, &n, &offset, &end, err) < 0)
			return -1;
		if (end)
			break;
		if (offset > e->size || n > e->size - offset)
			return untar_refuse(e->path, "it has more contents than its size", err);
		if (write_piece(fd, p, n, offset) < 0)
			return untar_failed(e->path, "cannot write it", errno, err);
	}
	if (ftruncate(fd, (off_t)e->size) < 0)
		return untar_failed(e->path, "cannot give it its size", errno, err);
	return 0;
}

static int make_file(struct unpack *x, const struct untar_entry *e, int dir_fd, const char *name,
		     struct err *err)
{
	_cleanup_fd_ int fd =
		openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return untar_failed(e->path, "cannot make it", errno, err);
	return write_contents(x, e, fd, err);
}

static int make_folder(struct unpack *x, const struct untar_entry *e, int dir_fd, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	bool fresh = false;

	if (enter(dir_fd, e->path, &fresh, &fd, err) < 0)
		return -1;
	if (x->owners && fchown(fd, e->uid, e->gid) < 0)
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
		_cleanup_fd_ int next = open_folder(fd < 0 ? x->tree : fd, part);

		if (next < 0)
			return untar_refuse(e->path, "a hard link to what is not in the layer",
					    err);
		cleanup_fd(&fd);
		fd = TAKE_FD(next);
	}
	if (fstatat(fd < 0 ? x->tree : fd, p, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return untar_refuse(e->path, "a hard link to what is not in the layer", err);
	if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode) && !S_ISFIFO(st.st_mode))
		return untar_refuse(e->path, "a hard link to a folder or a deletion", err);
	if (linkat(fd < 0 ? x->tree : fd, p, dir_fd, name, 0) < 0)
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

/* Room for an entry that is no folder: nothing may be there but a whiteout. */
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

static int make_other(struct unpack *x, const struct untar_entry *e, int dir_fd, const char *name,
		      struct err *err)
{
	if (make_room(e, dir_fd, name, err) < 0)
		return -1;
	if (e->kind == UNTAR_HARDLINK)
		return make_hardlink(x, e, dir_fd, name, err);
	if (e->kind == UNTAR_FILE && make_file(x, e, dir_fd, name, err) < 0)
		return -1;
	if (e->kind == UNTAR_SYMLINK && symlinkat(e->link, dir_fd, name) < 0)
		return untar_failed(e->path, "cannot make the symbolic link", errno, err);
	if (e->kind == UNTAR_FIFO && mkfifoat(dir_fd, name, 0600) < 0)
		return untar_failed(e->path, "cannot make the fifo", errno, err);
	return set_meta(x, e, dir_fd, name, err);
}

static int make_root(struct unpack *x, const struct untar_entry *e, struct err *err)
{
	if (x->owners && fchown(x->tree, e->uid, e->gid) < 0)
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
	if (go_to(x, e->path, parent, err) < 0)
		return -1;
	dir_fd = x->parent < 0 ? x->tree : x->parent;
	switch (e->kind) {
	case UNTAR_DEVICE:
		return 0;
	case UNTAR_WHITEOUT:
		return make_whiteout(dir_fd, name, err);
	case UNTAR_OPAQUE:
		if (go_to(x, e->path, strlen(e->path), err) < 0)
			return -1;
		return whiteout_make_opaque(x->parent, err);
	case UNTAR_FOLDER:
		return make_folder(x, e, dir_fd, err);
	case UNTAR_FILE:
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

	if (go_to(x, f->path, strlen(f->path), err) < 0)
		return -1;
	fd = f->path[0] ? x->parent : x->tree;
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
	struct unpack x = {.u = u, .a = a, .tree = tree_fd, .owners = owners, .parent = -1};
	struct untar_entry e;
	bool end = false;
	int r;

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
	cleanup_fd(&x.parent);
	buf_done(&x.parent_path);
	free(x.folders);
	return r;
}
