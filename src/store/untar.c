#include "store/untar.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/whiteout.h"

#define BLOCK ((size_t)256 << 10)
/* Paths inside may be longer than PATH_MAX (by chdir); this is a bound on a stranger's. */
#define PATH_LONGEST 65536U
/* Of a name in a message, so that the reason still has room. */
#define SHOWN_LONGEST 200U
#define META_PREFIX ".wh..wh."

struct untar {
	struct archive *archive;
	struct archive_entry *entry;
	untar_read_fn fn;
	void *ctx;
	untar_watch_fn watch; /* or NULL */
	void *watch_ctx;
	struct untar_limits left;
	struct err why; /* fn's own failure */
	bool failed;
	int64_t given;   /* bytes that fn gave so far */
	int64_t nonzero; /* where the last of them lies that is not 0, + 1 */
	struct buf path, link;
	struct tar_xattr *xattrs;
	struct arena *names; /* theirs */
	size_t xattrs_cap;
	char block[BLOCK];
};

static ssize_t pull(struct untar *u)
{
	ssize_t n = u->fn(u->ctx, u->block, BLOCK, &u->why);

	if (n < 0) {
		u->failed = true;
		return -1;
	}
	for (ssize_t i = n; i > 0; i--) {
		if (u->block[i - 1] != 0) {
			u->nonzero = u->given + i;
			break;
		}
	}
	u->given += n;
	return n;
}

static la_ssize_t give(struct archive *archive, void *ctx, const void **ret)
{
	struct untar *u = ctx;
	ssize_t n = pull(u);

	if (n < 0)
		archive_set_error(archive, EIO, "the source failed");
	*ret = u->block;
	return n;
}

/* The name as it is shown, cut so that the reason has room behind it. */
static const char *shown(struct buf *b, const char *path)
{
	size_t n = path ? strnlen(path, SHOWN_LONGEST) : 0;

	if (n == 0)
		return "./";
	str_escape(b, path, n);
	if (path[n])
		buf_adds(b, "…");
	return b->p;
}

int untar_failed(const char *path, const char *what, int errnum, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	return err_errno(err, errnum, "cannot unpack '%s' of the layer's tar: %s", shown(&b, path),
			 what);
}

int untar_refuse(const char *path, const char *why, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	(void)err_set(err, "cannot unpack '%s' of the layer's tar: %s", shown(&b, path), why);
	if (err)
		err->errnum = EBADMSG;
	return -1;
}

static int bad_tar(struct untar *u, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	const char *why = archive_error_string(u->archive);

	if (u->failed) {
		if (err)
			*err = u->why;
		return -1;
	}
	(void)err_set(err, "cannot read the layer's tar, behind '%s': %s", shown(&b, u->path.p),
		      why ? why : "it is damaged");
	if (err)
		err->errnum = EBADMSG;
	return -1;
}

int untar_open(untar_read_fn fn, void *ctx, const struct untar_limits *limits, struct untar **ret,
	       struct err *err)
{
	_cleanup_untar_ struct untar *u = xcalloc(1, sizeof(*u));

	u->fn = fn;
	u->ctx = ctx;
	u->left = *limits;
	u->archive = archive_read_new();
	if (!u->archive || archive_read_support_format_tar(u->archive) != ARCHIVE_OK)
		return err_set(err, "cannot read the layer's tar: libarchive does not start");
	if (archive_read_open(u->archive, u, NULL, give, NULL) != ARCHIVE_OK)
		return bad_tar(u, err);
	*ret = TAKE_PTR(u);
	return 0;
}

void untar_watch(struct untar *u, untar_watch_fn fn, void *ctx)
{
	u->watch = fn;
	u->watch_ctx = ctx;
}

void untar_close(struct untar **u)
{
	if (!*u)
		return;
	if ((*u)->archive)
		(void)archive_read_free((*u)->archive);
	buf_done(&(*u)->path);
	buf_done(&(*u)->link);
	free((*u)->xattrs);
	arena_free((*u)->names);
	free(*u);
	*u = NULL;
}

bool untar_keeps_xattr(const char *name)
{
	if (whiteout_is_overlay_xattr(name))
		return false;
	return str_starts(name, "user.") || str_eq(name, "security.capability") ||
	       str_starts(name, "system.posix_acl_");
}

static size_t mark_length(const char *name)
{
	return str_starts(name, TAR_WHITEOUT) ? strlen(TAR_WHITEOUT) : 0;
}

/* The parts of a name, without "." and superfluous slashes. */
static int clean(const char *name, struct buf *ret, struct err *err)
{
	ret->len = 0;
	buf_add(ret, "", 0);
	if (!name || name[0] == '\0')
		return untar_refuse("", "an entry without a name", err);
	if (name[0] == '/')
		return untar_refuse(name, "the name is absolute", err);
	if (strlen(name) > PATH_LONGEST)
		return untar_refuse(name, "the name is too long", err);
	while (*name) {
		size_t n = strcspn(name, "/");

		/* The mark of a deletion comes before a name that may be as long as any. */
		if (n > NAME_MAX + (name[n] ? 0 : mark_length(name)))
			return untar_refuse(name, "a part of the name has more than 255 bytes",
					    err);
		if (n == 2 && memcmp(name, "..", 2) == 0)
			return untar_refuse(name, "the name leads up by '..'", err);
		if (n > 0 && !(n == 1 && name[0] == '.')) {
			if (ret->len > 0)
				buf_adds(ret, "/");
			buf_add(ret, name, n);
		}
		name += n + (name[n] == '/');
	}
	return 0;
}

static int read_kind(struct untar *u, struct untar_entry *e, struct err *err)
{
	const char *name = archive_entry_pathname(u->entry);
	dev_t rdev = archive_entry_rdev(u->entry);

	if (archive_entry_hardlink(u->entry)) {
		e->kind = UNTAR_HARDLINK;
		if (archive_entry_size(u->entry) > 0)
			return untar_refuse(name, "a hard link that has contents", err);
		return 0;
	}
	switch (archive_entry_filetype(u->entry)) {
	case AE_IFREG:
		e->kind = UNTAR_FILE;
		return 0;
	case AE_IFDIR:
		e->kind = UNTAR_FOLDER;
		return 0;
	case AE_IFLNK:
		e->kind = UNTAR_SYMLINK;
		return 0;
	case AE_IFIFO:
		e->kind = UNTAR_FIFO;
		return 0;
	case AE_IFCHR:
		if (major(rdev) == 0 && minor(rdev) == 0)
			return untar_refuse(name, "a 0:0 device would delete what lies below", err);
		e->kind = UNTAR_DEVICE;
		return 0;
	case AE_IFBLK:
		e->kind = UNTAR_DEVICE;
		return 0;
	default:
		return untar_refuse(name, "neither file, folder, link, fifo nor device", err);
	}
}

/* `.wh.NAME` and `.wh..wh..opq` (image-spec, "Whiteouts"): turn the entry into what they say. */
static int read_whiteout(struct untar *u, struct untar_entry *e, struct err *err)
{
	char *slash = strrchr(u->path.p, '/');
	char *base = slash ? slash + 1 : u->path.p;
	const size_t prefix = strlen(TAR_WHITEOUT);

	if (!str_starts(base, TAR_WHITEOUT))
		return 0;
	if (e->kind != UNTAR_FILE || e->size > 0)
		return untar_refuse(u->path.p, "a whiteout that is no empty file", err);
	if (str_eq(base, TAR_OPAQUE)) {
		if (!slash)
			return untar_refuse(u->path.p, "no overlay can hide the whole root", err);
		*slash = '\0';
		e->kind = UNTAR_OPAQUE;
		return 0;
	}
	if (base[prefix] == '\0' || str_eq(base + prefix, ".") || str_eq(base + prefix, "..") ||
	    str_starts(base, META_PREFIX))
		return untar_refuse(u->path.p, "a whiteout of nothing", err);
	memmove(base, base + prefix, strlen(base + prefix) + 1);
	e->kind = UNTAR_WHITEOUT;
	return 0;
}

/* A whiteout's name may stand nowhere else: as a folder it would be a file's deletion to others. */
static bool inside_whiteout(const char *path)
{
	for (const char *p = path; (p = strchr(p, '/')) != NULL; p++) {
		const char *part = p;

		while (part > path && part[-1] != '/')
			part--;
		if (str_starts(part, TAR_WHITEOUT))
			return true;
	}
	return false;
}

static int read_link(struct untar *u, struct untar_entry *e, struct err *err)
{
	const char *to = NULL;

	if (e->kind == UNTAR_HARDLINK) {
		if (clean(archive_entry_hardlink(u->entry), &u->link, err) < 0)
			return err_prefix(err, "the hard link '%s'", u->path.p);
		if (u->link.len == 0)
			return untar_refuse(u->path.p, "a hard link to the root", err);
		e->link = u->link.p;
		return 0;
	}
	if (e->kind != UNTAR_SYMLINK)
		return 0;
	to = archive_entry_symlink(u->entry);
	if (!to || to[0] == '\0')
		return untar_refuse(u->path.p, "a symbolic link to nothing", err);
	if (strlen(to) >= PATH_MAX)
		return untar_refuse(u->path.p, "the target of the symbolic link is too long", err);
	e->link = to;
	return 0;
}

static int read_numbers(struct untar *u, struct untar_entry *e, struct err *err)
{
	int64_t uid = archive_entry_uid(u->entry);
	int64_t gid = archive_entry_gid(u->entry);
	int64_t size = archive_entry_size(u->entry);

	/* The last id is "none" to chown(2). */
	if (uid < 0 || uid >= UINT32_MAX || gid < 0 || gid >= UINT32_MAX)
		return untar_refuse(u->path.p, "its owner or group is no id", err);
	if (size < 0)
		return untar_refuse(u->path.p, "its size is negative", err);
	e->uid = (uid_t)uid;
	e->gid = (gid_t)gid;
	e->mode = archive_entry_perm(u->entry) & 07777;
	e->mtime = archive_entry_mtime(u->entry);
	e->size = e->kind == UNTAR_FILE ? (uint64_t)size : 0;
	if (u->left.entries == 0)
		return untar_refuse(u->path.p, "there are more entries than the layer may have",
				    err);
	if (e->size > u->left.bytes)
		return untar_refuse(u->path.p, "its size goes beyond what the layer may have", err);
	u->left.entries--;
	u->left.bytes -= e->size;
	return 0;
}

static int compare_xattrs(const void *p, const void *q)
{
	const struct tar_xattr *a = p;
	const struct tar_xattr *b = q;

	return strcmp(a->name, b->name);
}

/* bsdtar writes each attribute in two dialects; a second value would be another one's choice. */
static int drop_doubles(struct untar *u, struct untar_entry *e, struct err *err)
{
	size_t n = 0;

	for (size_t i = 0; i < e->n_xattrs; i++) {
		const struct tar_xattr *x = &u->xattrs[i];
		const struct tar_xattr *last = n > 0 ? &u->xattrs[n - 1] : NULL;

		if (!last || !str_eq(last->name, x->name))
			u->xattrs[n++] = *x;
		else if (last->size != x->size || memcmp(last->value, x->value, x->size) != 0)
			return untar_refuse(u->path.p, "it has an attribute twice", err);
	}
	e->n_xattrs = n;
	return 0;
}

static int read_xattrs(struct untar *u, struct untar_entry *e, struct err *err)
{
	size_t n = (size_t)archive_entry_xattr_reset(u->entry);
	struct tar_xattr x;

	if (n > u->xattrs_cap) {
		u->xattrs = xrealloc(u->xattrs, n * sizeof(*u->xattrs));
		u->xattrs_cap = n;
	}
	e->xattrs = u->xattrs;
	arena_free(u->names);
	u->names = arena_new();
	while (archive_entry_xattr_next(u->entry, &x.name, &x.value, &x.size) == ARCHIVE_OK) {
		if (!x.name)
			continue;
		x.name = tar_xattr_name(u->names, x.name);
		if (untar_keeps_xattr(x.name))
			u->xattrs[e->n_xattrs++] = x;
	}
	if (e->n_xattrs > 0)
		qsort(u->xattrs, e->n_xattrs, sizeof(*u->xattrs), compare_xattrs);
	return drop_doubles(u, e, err);
}

/* All is read: is there more behind the end, where another reader might go on? */
static int read_rest(struct untar *u, struct err *err)
{
	int64_t used = archive_filter_bytes(u->archive, -1);
	ssize_t n;

	do
		n = pull(u);
	while (n > 0);
	if (n < 0)
		return bad_tar(u, err);
	if (u->nonzero > used)
		return untar_refuse("", "there is more behind the end of the tar", err);
	return 0;
}

/* libarchive then gives the bytes as they are, which is what is wanted. */
static bool is_about_charset(struct untar *u)
{
	const char *said = archive_error_string(u->archive);

	return said && strstr(said, "can't be converted");
}

int untar_next(struct untar *u, struct untar_entry *ret, bool *ret_end, struct err *err)
{
	struct untar_entry e = {0};
	int r = archive_read_next_header(u->archive, &u->entry);

	if (r == ARCHIVE_EOF) {
		if (u->failed)
			return bad_tar(u, err);
		if (read_rest(u, err) < 0)
			return -1;
		*ret_end = true;
		return 0;
	}
	/* Also a mere warning: it says that others may read something else. */
	if (r != ARCHIVE_OK && !(r == ARCHIVE_WARN && is_about_charset(u)))
		return bad_tar(u, err);
	if (clean(archive_entry_pathname(u->entry), &u->path, err) < 0 ||
	    read_kind(u, &e, err) < 0 || read_numbers(u, &e, err) < 0)
		return -1;
	if (u->path.len == 0 && e.kind != UNTAR_FOLDER)
		return untar_refuse("./", "the root is no folder", err);
	if (inside_whiteout(u->path.p))
		return untar_refuse(u->path.p, "a whiteout with something in it", err);
	if (read_whiteout(u, &e, err) < 0 || read_link(u, &e, err) < 0)
		return -1;
	if (read_xattrs(u, &e, err) < 0)
		return -1;
	e.path = u->path.p;
	if (u->watch &&
	    u->watch(u->watch_ctx, &e, (uint64_t)archive_read_header_position(u->archive), err) < 0)
		return -1;
	*ret = e;
	*ret_end = false;
	return 0;
}

int untar_data(struct untar *u, const void **ret_p, size_t *ret_n, uint64_t *ret_offset,
	       bool *ret_end, struct err *err)
{
	const void *p = NULL;
	size_t n = 0;
	la_int64_t offset = 0;
	int r = archive_read_data_block(u->archive, &p, &n, &offset);

	if (r == ARCHIVE_EOF && !u->failed) {
		*ret_end = true;
		return 0;
	}
	if (r != ARCHIVE_OK || offset < 0)
		return bad_tar(u, err);
	*ret_p = p;
	*ret_n = n;
	*ret_offset = (uint64_t)offset;
	*ret_end = false;
	return 0;
}
