#include "store/fsck_tree.h"

#include <errno.h>
#include <fcntl.h>
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
#include "store/descent.h"
#include "store/layer.h"
#include "store/layer_tar.h"
#include "store/tree.h"
#include "store/untar.h"
#include "store/xattrs.h"

/* What the tree should have at a path. */
struct want {
	const char *path;
	size_t order;
	enum untar_kind kind;
	bool implied; /* a folder that only others' names name: whatever it is */
	bool opaque;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int64_t mtime;
	uint64_t size;
	const char *link;
	const struct tar_xattr *xattrs;
	size_t n_xattrs;
	size_t names; /* hard links, this one too */
};

struct check {
	const struct fsck_tree *t;
	struct arena *a;
	struct want *want;
	size_t n, cap;
	struct entries have;
	struct descent at;
	const char *last; /* the path of the entry before */
	size_t told;
	struct err *err;
};

static void check_done(struct check *c)
{
	descent_done(&c->at);
	free(c->want);
	arena_free(c->a);
}

static void tell(struct check *c, const char *path, const char *what)
{
	_cleanup_buf_ struct buf b = {0};

	if (c->told++ >= FSCK_TOLD_MAX)
		return;
	buf_adds(&b, c->t->tree);
	buf_adds(&b, "/");
	str_escape(&b, path, strlen(path));
	buf_printf(&b, ": %s", what);
	c->t->tell(c->t->ctx, b.p);
}

static struct want *add(struct check *c, const char *path)
{
	struct want *w;

	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 256;
		c->want = xrealloc(c->want, c->cap * sizeof(*c->want));
	}
	w = &c->want[c->n];
	*w = (struct want){.path = path, .order = c->n, .names = 1};
	c->n++;
	return w;
}

/* The folders above a path, but for those that were above the last one too: they would be n × n in a deep tree. */
static void imply(struct check *c, const char *path)
{
	const char *last = c->last ? c->last : "";
	size_t common = 0;

	while (path[common] && path[common] == last[common])
		common++;
	for (const char *p = path; (p = strchr(p, '/')) != NULL; p++) {
		size_t len = (size_t)(p - path);
		struct want *w;

		if (len < common && last[len] == '/')
			continue;
		w = add(c, arena_strndup(c->a, path, len));
		w->kind = UNTAR_FOLDER;
		w->implied = true;
	}
}

static const struct tar_xattr *copy_xattrs(struct arena *a, const struct untar_entry *e)
{
	struct tar_xattr *v = arena_alloc(a, (e->n_xattrs + 1) * sizeof(*v));

	for (size_t i = 0; i < e->n_xattrs; i++) {
		void *value = arena_alloc(a, e->xattrs[i].size + 1);

		memcpy(value, e->xattrs[i].value, e->xattrs[i].size);
		v[i] = (struct tar_xattr){arena_strdup(a, e->xattrs[i].name), value,
					  e->xattrs[i].size};
	}
	return v;
}

static void add_entry(struct check *c, const struct untar_entry *e)
{
	struct want *w;

	if (!e->path[0])
		return;
	imply(c, e->path);
	c->last = arena_strdup(c->a, e->path);
	if (e->kind == UNTAR_DEVICE)
		return;
	w = add(c, c->last);
	w->kind = e->kind;
	w->mode = e->mode;
	w->uid = c->t->owners ? e->uid : geteuid();
	w->gid = c->t->owners ? e->gid : getegid();
	w->mtime = e->mtime;
	w->size = e->size;
	w->link = arena_strdup(c->a, e->link);
	w->xattrs = copy_xattrs(c->a, e);
	w->n_xattrs = e->n_xattrs;
}

/* Read the tar, whose digest is then known.  1: the tar itself is damaged, which was told. */
static int read_tar(struct check *c)
{
	const uint64_t most = c->t->tar_size ? c->t->tar_size : UINT64_MAX / 2;
	const struct untar_limits limits = {.entries = most / TAR_BLOCK, .bytes = most};
	_cleanup_layer_tar_ struct layer_tar *tar = NULL;
	_cleanup_untar_ struct untar *u = NULL;
	char hex[DIGEST_HEX + 1];
	struct err why = {0};
	struct untar_entry e;
	bool end = false;
	int r = layer_tar_open(c->t->layer_fd, c->t->tree, &tar, &why);

	if (r == 0)
		r = untar_open(layer_tar_read, tar, &limits, &u, &why);
	while (r == 0) {
		r = untar_next(u, &e, &end, &why);
		if (r < 0 || end)
			break;
		add_entry(c, &e);
	}
	if (r == 0)
		r = layer_tar_digest(tar, hex, &why);
	if (r < 0) {
		c->t->tell(c->t->ctx, why.msg);
		return 1;
	}
	if (!str_eq(hex, c->t->digest))
		c->t->tell(c->t->ctx, arena_printf(c->a,
						   "the contents of a file in %s/ or of %s "
						   "are not what they were: the digest is %s",
						   c->t->tree, LAYER_SKELETON, hex));
	return 0;
}

static int by_path(const void *p, const void *q)
{
	const struct want *a = p;
	const struct want *b = q;
	int r = strcmp(a->path, b->path);

	if (r)
		return r;
	return a->order < b->order ? -1 : 1;
}

/* How much an entry says of what is there. */
static int rank(const struct want *w)
{
	if (w->kind == UNTAR_WHITEOUT)
		return 0;
	return w->implied || w->kind == UNTAR_OPAQUE ? 1 : 2;
}

/* All that the tar says of one path, as unpack.h has it: of what says most, the last. */
static struct want join(const struct want *v, size_t n)
{
	struct want w = v[0];
	bool hides = false;

	for (size_t i = 0; i < n; i++) {
		hides |= v[i].kind == UNTAR_WHITEOUT || v[i].kind == UNTAR_OPAQUE;
		if (rank(&v[i]) >= rank(&w))
			w = v[i];
	}
	w.implied |= w.kind == UNTAR_OPAQUE;
	w.opaque = hides;
	return w;
}

static void sort(struct check *c)
{
	size_t n = 0;

	if (c->n > 0)
		qsort(c->want, c->n, sizeof(*c->want), by_path);
	for (size_t i = 0; i < c->n;) {
		size_t k = i + 1;

		while (k < c->n && str_eq(c->want[k].path, c->want[i].path))
			k++;
		c->want[n++] = join(&c->want[i], k - i);
		i = k;
	}
	c->n = n;
}

static int find_path(const void *key, const void *p)
{
	const struct want *w = p;

	return strcmp(key, w->path);
}

static int find_entry(const void *key, const void *p)
{
	const struct entry *e = p;

	return strcmp(key, e->path);
}

static void count_names(struct check *c)
{
	for (size_t i = 0; i < c->n; i++) {
		struct want *to = NULL;

		if (c->want[i].kind == UNTAR_HARDLINK)
			to = bsearch(c->want[i].link, c->want, c->n, sizeof(*c->want), find_path);
		if (to)
			to->names++;
	}
}

static const char *kind_word(mode_t mode, bool whiteout)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "a file";
	case S_IFDIR:
		return "a folder";
	case S_IFLNK:
		return "a symbolic link";
	case S_IFIFO:
		return "a fifo";
	case S_IFCHR:
		return whiteout ? "a deletion" : "a device";
	default:
		return "something else";
	}
}

static mode_t type_of(enum untar_kind kind)
{
	switch (kind) {
	case UNTAR_FOLDER:
	case UNTAR_OPAQUE:
		return S_IFDIR;
	case UNTAR_SYMLINK:
		return S_IFLNK;
	case UNTAR_FIFO:
		return S_IFIFO;
	case UNTAR_WHITEOUT:
		return S_IFCHR;
	case UNTAR_FILE:
	case UNTAR_HARDLINK:
	case UNTAR_DEVICE:
	default:
		return S_IFREG;
	}
}

static void check_hardlink(struct check *c, const struct want *w, const struct entry *e)
{
	const struct entry *to = c->have.n == 0 ? NULL
						: bsearch(w->link, c->have.v, c->have.n,
							  sizeof(*c->have.v), find_entry);

	if (!to || to->st.st_ino != e->st.st_ino || to->st.st_dev != e->st.st_dev)
		tell(c, e->path, arena_printf(c->a, "not the same file as '%s'", w->link));
}

static void check_numbers(struct check *c, const struct want *w, const struct entry *e)
{
	const struct stat *st = &e->st;

	if (w->kind != UNTAR_SYMLINK && (st->st_mode & 07777) != w->mode)
		tell(c, e->path,
		     arena_printf(c->a, "the mode is %04o, not %04o",
				  (unsigned)st->st_mode & 07777U, (unsigned)w->mode));
	if (st->st_uid != w->uid || st->st_gid != w->gid)
		tell(c, e->path,
		     arena_printf(c->a, "the owner is %u:%u, not %u:%u", (unsigned)st->st_uid,
				  (unsigned)st->st_gid, (unsigned)w->uid, (unsigned)w->gid));
	if (st->st_mtim.tv_sec != w->mtime)
		tell(c, e->path,
		     arena_printf(c->a, "the time is %lld, not %lld", (long long)st->st_mtim.tv_sec,
				  (long long)w->mtime));
	if (w->kind == UNTAR_FILE && (uint64_t)st->st_size != w->size)
		tell(c, e->path,
		     arena_printf(c->a, "the size is %lld, not %llu", (long long)st->st_size,
				  (unsigned long long)w->size));
	if (w->kind != UNTAR_FOLDER && st->st_nlink != w->names)
		tell(c, e->path,
		     arena_printf(c->a, "it has %llu names, not %zu",
				  (unsigned long long)st->st_nlink, w->names));
}

static bool counts(const struct check *c, const struct tar_xattr *x)
{
	return untar_keeps_xattr(x->name) &&
	       (c->t->owners || !str_eq(x->name, "security.capability"));
}

/* The next one from i on that a tree of this map has. */
static size_t next_xattr(const struct check *c, const struct tar_xattr *v, size_t n, size_t i)
{
	while (i < n && !counts(c, &v[i]))
		i++;
	return i;
}

static void check_xattrs(struct check *c, const struct want *w, const struct entry *e,
			 const struct tar_xattr *have, size_t n)
{
	size_t i = next_xattr(c, have, n, 0);
	size_t k = next_xattr(c, w->xattrs, w->n_xattrs, 0);

	while (i < n || k < w->n_xattrs) {
		int r = i == n             ? 1
			: k == w->n_xattrs ? -1
					   : strcmp(have[i].name, w->xattrs[k].name);

		if (r < 0)
			tell(c, e->path,
			     arena_printf(c->a, "the attribute %s is too many", have[i].name));
		else if (r > 0)
			tell(c, e->path,
			     arena_printf(c->a, "the attribute %s is missing", w->xattrs[k].name));
		else if (have[i].size != w->xattrs[k].size ||
			 memcmp(have[i].value, w->xattrs[k].value, have[i].size) != 0)
			tell(c, e->path,
			     arena_printf(c->a, "the attribute %s is another one", have[i].name));
		if (r <= 0)
			i = next_xattr(c, have, n, i + 1);
		if (r >= 0)
			k = next_xattr(c, w->xattrs, w->n_xattrs, k + 1);
	}
}

/* What only an open folder tells: attributes, targets, and marks that an overlay would follow. */
static int check_inside(struct check *c, const struct want *w, const struct entry *e)
{
	static const char *const marks[] = {"user.overlay.redirect", "user.overlay.metacopy"};
	_cleanup_arena_ struct arena *a = arena_new();
	const char *name = path_base(e->path);
	struct tar_xattr *have = NULL;
	char target[4096];
	size_t n = 0;
	ssize_t len;

	if (descent_to_parent(&c->at, e->path) < 0 || xattrs_read(a, c->at.fd, name, &have, &n) < 0)
		return err_errno(c->err, errno, "cannot look at '%s/%s'", c->t->tree, e->path);
	if (!w->implied)
		check_xattrs(c, w, e, have, n);
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		const char *path = arena_printf(a, "/proc/self/fd/%d/%s", c->at.fd, name);

		if (lgetxattr(path, marks[i], NULL, 0) >= 0)
			tell(c, e->path, arena_printf(a, "it has the attribute %s", marks[i]));
	}
	if (w->kind != UNTAR_SYMLINK)
		return 0;
	len = readlinkat(c->at.fd, name, target, sizeof(target) - 1);
	if (len < 0)
		return err_errno(c->err, errno, "cannot read '%s/%s'", c->t->tree, e->path);
	target[len] = '\0';
	if (!str_eq(target, w->link))
		tell(c, e->path, "it leads somewhere else");
	return 0;
}

static int check_entry(struct check *c, const struct want *w, const struct entry *e)
{
	bool whiteout = e->verdict == ENTRY_DELETED;
	mode_t type = type_of(w->kind);

	if (w->kind == UNTAR_HARDLINK) {
		check_hardlink(c, w, e);
		return 0;
	}
	if ((e->st.st_mode & S_IFMT) != type || (type == S_IFCHR && !whiteout)) {
		tell(c, e->path,
		     arena_printf(c->a, "it is %s, not %s", kind_word(e->st.st_mode, whiteout),
				  kind_word(type, true)));
		return 0;
	}
	if (type == S_IFCHR)
		return 0;
	if (type == S_IFDIR && e->opaque != w->opaque)
		tell(c, e->path,
		     w->opaque ? "it hides no longer what lies below" : "it hides what lies below");
	if (!w->implied)
		check_numbers(c, w, e);
	return check_inside(c, w, e);
}

static int compare(struct check *c)
{
	size_t i = 0;
	size_t k = 0;

	while (i < c->n || k < c->have.n) {
		int r = i == c->n        ? 1
			: k == c->have.n ? -1
					 : strcmp(c->want[i].path, c->have.v[k].path);

		if (r < 0)
			tell(c, c->want[i].path, "it is missing");
		else if (r > 0)
			tell(c, c->have.v[k].path, "it does not belong there");
		else if (check_entry(c, &c->want[i], &c->have.v[k]) < 0)
			return -1;
		i += r <= 0;
		k += r >= 0;
	}
	return 0;
}

int fsck_tree(const struct fsck_tree *t, struct err *err)
{
	struct err ignored = {0};
	struct check c __attribute__((cleanup(check_done))) = {
		.t = t, .at = DESCENT_EMPTY, .err = err ? err : &ignored};
	_cleanup_fd_ int tree = -1;

	c.a = arena_new();
	if (read_tar(&c))
		return 0;
	tree = openat(t->layer_fd, t->tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (tree < 0 || descent_begin(&c.at, tree, O_RDONLY) < 0)
		return err_errno(c.err, errno, "cannot open '%s'", t->tree);
	sort(&c);
	count_names(&c);
	if (tree_entries(c.a, tree, &c.have, c.err) < 0 || compare(&c) < 0)
		return -1;
	if (c.told > FSCK_TOLD_MAX)
		t->tell(t->ctx, arena_printf(c.a, "%s/: %zu differences more", t->tree,
					     c.told - FSCK_TOLD_MAX));
	return 0;
}
