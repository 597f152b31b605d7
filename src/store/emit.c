#include "store/emit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "store/descent.h"
#include "store/diff.h"
#include "store/links.h"
#include "store/skeleton.h"
#include "store/tar.h"
#include "store/xattrs.h"

#define CHUNK (256U << 10)

/* A file that is larger, and so many times larger than what it takes of the disk, is refused. */
#define HOLES_MAX (64ULL << 30)
#define HOLES_RATIO 100

/* An entry of the tar: one of the list, or what a folder of the list says besides. */
struct item {
	const char *key; /* its name in the tar: the order */
	const struct entry *entry;
	enum { ITEM_ENTRY, ITEM_WHITEOUT, ITEM_OPAQUE } kind;
};

struct emitter {
	const struct emit *in;
	struct arena *a; /* the names */
	struct item *items;
	size_t n;
	struct descent at;
	struct links *links;
	struct digest *digest;
	struct skeleton_writer *skeleton;
	char *chunk;
	uint64_t total; /* bytes of contents, about */
	struct layer_info info;
	struct err *err;
};

static int compare_items(const void *x, const void *y)
{
	const struct item *a = x;
	const struct item *b = y;

	return strcmp(a->key, b->key);
}

/* "d/.wh.x" of "d/x". */
static const char *whiteout_name(struct arena *a, const char *path)
{
	const char *base = path_base(path);

	return arena_printf(a, "%.*s" TAR_WHITEOUT "%s", (int)(base - path), path, base);
}

static void add_item(struct emitter *m, const struct entry *e)
{
	struct item *item = &m->items[m->n++];

	item->entry = e;
	if (e->verdict == ENTRY_DELETED) {
		item->kind = ITEM_WHITEOUT;
		item->key = whiteout_name(m->a, e->path);
		return;
	}
	item->kind = ITEM_ENTRY;
	item->key = e->path;
	if (S_ISREG(e->st.st_mode))
		m->total += (uint64_t)e->st.st_size;
	if (!S_ISDIR(e->st.st_mode))
		return;
	item->key = arena_printf(m->a, "%s/", e->path);
	if (!e->opaque)
		return;
	m->items[m->n++] = (struct item){
		.kind = ITEM_OPAQUE,
		.entry = e,
		.key = arena_printf(m->a, "%s/" TAR_OPAQUE, e->path),
	};
}

/* A name that would come back as something else. */
static int check_name(const struct entry *e, struct err *err)
{
	if (!str_starts(path_base(e->path), TAR_WHITEOUT))
		return 0;
	err_set(err,
		"cannot keep '/%s' in a layer: there, '.wh.' at the start of a name says that "
		"it is deleted",
		e->path);
	return err_hint(err, "remove it, or give it another name");
}

/* Every byte of a file is hashed, those of a hole too: one that is nothing else, and huge, would take days. */
static int check_size(const struct entry *e, struct err *err)
{
	_cleanup_buf_ struct buf size = {0};
	const uint64_t on_disk = (uint64_t)e->st.st_blocks * 512;

	if (!S_ISREG(e->st.st_mode) || (uint64_t)e->st.st_size <= HOLES_MAX ||
	    (uint64_t)e->st.st_size / HOLES_RATIO <= on_disk)
		return 0;
	err_set(err,
		"cannot keep '/%s' in a layer: it is a hole of %llu GiB, and more than %u GiB are "
		"too much to hash",
		e->path, (unsigned long long)e->st.st_size >> 30, (unsigned)(HOLES_MAX >> 30));
	return err_hint(err, "remove it, make it smaller, or name it under [commit] exclude");
}

static int collect(struct emitter *m)
{
	const struct entries *list = m->in->list;

	m->items = arena_alloc(m->a, (2 * list->n + 1) * sizeof(*m->items));
	for (size_t i = 0; i < list->n; i++) {
		if (check_name(&list->v[i], m->err) < 0 || check_size(&list->v[i], m->err) < 0)
			return -1;
		add_item(m, &list->v[i]);
	}
	if (m->n > 0)
		qsort(m->items, m->n, sizeof(*m->items), compare_items);
	return 0;
}

/* Bytes of the tar that are not a file's. */
static int put_raw(struct emitter *m, const void *p, size_t n)
{
	digest_add(m->digest, p, n);
	m->info.tar_size += n;
	return skeleton_raw(m->skeleton, p, n, m->err);
}

static int failed(const struct emitter *m, const char *path)
{
	return err_errno(m->err, errno, "cannot read '/%s'", path);
}

static int changed(const struct emitter *m, const char *path)
{
	err_set(m->err, "cannot read '/%s': it changes meanwhile", path);
	return err_hint(m->err, "try again when nothing writes to it");
}

static void put_bytes(struct emitter *m, const char *p, size_t n)
{
	digest_add(m->digest, p, n);
	m->info.bytes += n;
	if (m->in->progress)
		m->in->progress(m->in->progress_ctx, m->info.bytes, m->total);
}

static bool is_shorter(int fd, uint64_t size)
{
	struct stat st;

	return fstat(fd, &st) < 0 || (uint64_t)st.st_size < size;
}

/* Where the hole at `at` ends, which is `at` where there is none. */
static uint64_t end_of_hole(int fd, uint64_t at, uint64_t size)
{
	off_t data = lseek(fd, (off_t)at, SEEK_DATA);

	if (data >= 0)
		return (uint64_t)data < size ? (uint64_t)data : size;
	/* ENXIO: to the end there is only hole. */
	return errno == ENXIO ? size : at;
}

/* A large hole's zeros need no reading. */
static int put_hole(struct emitter *m, const char *path, int fd, uint64_t *at, uint64_t size)
{
	const uint64_t end = size - *at > CHUNK ? end_of_hole(fd, *at, size) : *at;

	if (end - *at < CHUNK)
		return 0;
	memset(m->chunk, 0, CHUNK);
	while (*at < end) {
		size_t n = end - *at < CHUNK ? (size_t)(end - *at) : CHUNK;

		put_bytes(m, m->chunk, n);
		*at += n;
	}
	return is_shorter(fd, end) ? changed(m, path) : 0;
}

static int put_content(struct emitter *m, const char *path, int fd, uint64_t size)
{
	static const char zero[TAR_BLOCK];

	if (skeleton_file(m->skeleton, path, size, m->err) < 0)
		return -1;
	for (uint64_t at = 0; at < size;) {
		ssize_t got;

		if (put_hole(m, path, fd, &at, size) < 0)
			return -1;
		if (at == size)
			break;
		got = pread(fd, m->chunk, size - at < CHUNK ? (size_t)(size - at) : CHUNK,
			    (off_t)at);
		if (got < 0)
			return failed(m, path);
		if (got == 0)
			return changed(m, path);
		put_bytes(m, m->chunk, (size_t)got);
		at += (uint64_t)got;
	}
	m->info.tar_size += size;
	return put_raw(m, zero, tar_padding(size));
}

static int put_file(struct emitter *m, const char *path, const struct stat *st)
{
	_cleanup_fd_ int fd = openat(m->at.fd, path_base(path),
				     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat now;

	if (fd < 0 || fstat(fd, &now) < 0)
		return failed(m, path);
	if (now.st_ino != st->st_ino || now.st_size != st->st_size)
		return changed(m, path);
	return put_content(m, path, fd, (uint64_t)st->st_size);
}

static int put_header(struct emitter *m, const struct tar_entry *e)
{
	_cleanup_buf_ struct buf b = {0};

	tar_header(&b, e);
	m->info.entries++;
	return put_raw(m, b.p, b.len);
}

/* A link's target, which may be longer than st_size says. */
static const char *read_target(struct emitter *m, struct arena *a, const char *path)
{
	char target[4096];
	ssize_t n = readlinkat(m->at.fd, path_base(path), target, sizeof(target));

	if (n < 0)
		return NULL;
	return arena_strndup(a, target, (size_t)n);
}

static int put_entry(struct emitter *m, const struct entry *e)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct tar_entry t = {.path = e->path};
	const char *first;
	struct stat st;

	if (descent_to_parent(&m->at, e->path) < 0 ||
	    fstatat(m->at.fd, path_base(e->path), &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(m, e->path);
	if (S_ISSOCK(st.st_mode))
		return 0;
	if (!m->in->owners)
		st.st_uid = st.st_gid = 0;
	t.st = &st;
	t.mtime = st.st_mtim.tv_sec < m->in->newest ? st.st_mtim.tv_sec : m->in->newest;
	first = links_first(m->links, &st, e->path);
	if (first)
		t.link = first;
	else if (S_ISLNK(st.st_mode) && !(t.link = read_target(m, a, e->path)))
		return failed(m, e->path);
	/* A hard link has the attributes of the first name, and a symlink of two names its target. */
	if (first && S_ISLNK(st.st_mode))
		st.st_mode = S_IFREG | 0777;
	if (!first) {
		struct tar_xattr *v;

		if (xattrs_read(a, m->at.fd, path_base(e->path), &v, &t.n_xattrs) < 0)
			return failed(m, e->path);
		t.xattrs = v;
	}
	if (put_header(m, &t) < 0)
		return -1;
	return S_ISREG(st.st_mode) && !first ? put_file(m, e->path, &st) : 0;
}

/* What says that something is deleted: always the same but for its name. */
static int put_mark(struct emitter *m, const char *name)
{
	const struct stat st = {.st_mode = S_IFREG};

	return put_header(m, &(struct tar_entry){.path = name, .st = &st});
}

static int put_all(struct emitter *m)
{
	_cleanup_buf_ struct buf end = {0};

	for (size_t i = 0; i < m->n; i++) {
		const struct item *item = &m->items[i];
		int r = item->kind == ITEM_ENTRY ? put_entry(m, item->entry)
						 : put_mark(m, item->key);

		if (r < 0)
			return -1;
	}
	tar_end(&end);
	return put_raw(m, end.p, end.len);
}

static void emitter_done(struct emitter *m)
{
	descent_done(&m->at);
	links_free(&m->links);
	digest_free(&m->digest);
	skeleton_abort(&m->skeleton);
	free(m->chunk);
	arena_free(m->a);
}

int emit_layer(const struct emit *in, struct layer_info *ret, struct err *err)
{
	struct emitter m __attribute__((cleanup(emitter_done))) = {
		.in = in,
		.at = DESCENT_EMPTY,
		.err = err,
	};

	m.a = arena_new();
	m.links = links_new();
	m.digest = digest_new_beside();
	m.chunk = xmalloc(CHUNK);
	if (descent_begin(&m.at, in->tree, O_RDONLY) < 0)
		return err_errno(err, errno, "cannot open the tree of a layer");
	if (collect(&m) < 0 ||
	    skeleton_create(in->skeleton_at, LAYER_SKELETON, &m.skeleton, err) < 0 ||
	    put_all(&m) < 0 || skeleton_finish(TAKE_PTR(m.skeleton), err) < 0)
		return -1;
	digest_end(TAKE_PTR(m.digest), m.info.digest);
	memcpy(ret->digest, m.info.digest, sizeof(ret->digest));
	ret->entries = m.info.entries;
	ret->bytes = m.info.bytes;
	ret->tar_size = m.info.tar_size;
	return 0;
}
