#include "store/archive_in.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/path.h"
#include "store/blob.h"
#include "store/env.h"
#include "store/layer.h"
#include "store/oci.h"
#include "store/oci_json.h"
#include "store/pin.h"

#define INDEX "index.json"
#define DOCKER "manifest.json"
#define BLOBS "blobs/sha256/"
#define BLOCK ((size_t)256 << 10)
#define LINKS_MAX 8
#define TAR_BLOCK 512U
#define TAR_MAGIC 257

/* An image has at most 500 layers, each with three files in docker's oldest form; 1 TiB. */
static const struct untar_limits limits = {.entries = 100000, .bytes = (uint64_t)1 << 40};

void archive_in_done(struct archive_in *in)
{
	if (!in)
		return;
	buf_done(&in->index);
	buf_done(&in->docker);
}

static void add_file(struct archive_in *in, const struct archive_file *file)
{
	if (in->files.n == in->files.cap) {
		struct archive_file *v;

		in->files.cap = in->files.cap ? in->files.cap * 2 : 64;
		v = arena_alloc(in->a, in->files.cap * sizeof(*v));
		if (in->files.n > 0)
			memcpy(v, in->files.v, in->files.n * sizeof(*v));
		in->files.v = v;
	}
	in->files.v[in->files.n] = *file;
	in->files.v[in->files.n].name = arena_strdup(in->a, file->name);
	in->files.v[in->files.n++].link = arena_strdup(in->a, file->link);
}

/* Under the lock, so that no gc is between its name and the pin.  The writer is freed in either case. */
static int finish(struct archive_in *in, struct blob_writer *w, const char *hex, uint64_t size,
		  char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	_cleanup_blob_ struct blob_writer *mine = w;
	_cleanup_fd_ int lock = -1;

	if (layer_lock(in->store, false, &lock, err) < 0 ||
	    blob_finish(TAKE_PTR(mine), hex, size, ret_hex, err) < 0)
		return -1;
	return pin_add(in->pin, ret_hex, err);
}

static int read_index(int fd, struct buf *ret, struct err *err)
{
	struct err why = {0};

	if (fs_read_at(fd, INDEX, OCI_MAX, ret, &why) == 0) {
		buf_adds(ret, "");
		return 0;
	}
	if (why.errnum == ENOENT)
		return 0;
	*err = why;
	return -1;
}

int archive_in_folder(struct archive_in *in, int fd, struct err *err)
{
	in->folder = fd;
	return read_index(fd, &in->index, err);
}

/* The contents of one entry, in order. */
struct contents {
	struct untar *u;
	uint64_t size;
	const char *p; /* what is not read yet of the piece at hand */
	size_t n;
	uint64_t at; /* where the next piece has to begin */
	bool end;
};

/* The next piece, where there is none.  Nobody writes an image's archive with holes; they could be of any size. */
static int see_piece(struct contents *c, struct err *err)
{
	const void *p = NULL;
	uint64_t offset = 0;

	if (c->n > 0 || c->end)
		return 0;
	if (untar_data(c->u, &p, &c->n, &offset, &c->end, err) < 0)
		return -1;
	if (c->end ? c->at != c->size : offset != c->at)
		return oci_bad(err, "it has holes");
	if (c->end)
		c->n = 0;
	c->p = p;
	c->at += c->n;
	return 0;
}

static ssize_t read_contents(void *ctx, void *p, size_t n, struct err *err)
{
	struct contents *c = ctx;

	if (see_piece(c, err) < 0)
		return -1;
	if (n > c->n)
		n = c->n;
	if (n > 0)
		memcpy(p, c->p, n);
	c->p += n;
	c->n -= n;
	return (ssize_t)n;
}

static int copy_contents(struct contents *c, struct blob_writer *w, struct err *err)
{
	for (;;) {
		if (see_piece(c, err) < 0)
			return -1;
		if (c->end)
			return 0;
		if (blob_write(w, c->p, c->n, err) < 0)
			return -1;
		c->n = 0;
	}
}

static int check_contents(struct contents *c, const char *hex, struct err *err)
{
	_cleanup_digest_ struct digest *d = digest_new();
	char found[DIGEST_HEX + 1];

	while (see_piece(c, err) == 0) {
		if (c->end) {
			digest_end(TAKE_PTR(d), found);
			return str_eq(found, hex)
				       ? 0
				       : oci_bad(err, "what came has the digest sha256:%s", found);
		}
		digest_add(d, c->p, c->n);
		c->n = 0;
	}
	return -1;
}

/* What its name says it is, if it does: the digest that it must have. */
static const char *digest_of_name(const char *path)
{
	const char *name = str_starts(path, BLOBS) ? path + strlen(BLOBS) : NULL;

	return name && layer_is_digest(name) ? name : NULL;
}

/* By its first header: "ustar" is both POSIX' and, with other bytes behind it, GNU's. */
static bool is_tar(const struct contents *c)
{
	return c->n >= TAR_BLOCK && memcmp(c->p + TAR_MAGIC, "ustar", 5) == 0;
}

/* A plain tar may be a layer, and whether an image needs it will be seen.  One that cannot be one is no failure yet. */
static int take_layer(struct archive_in *in, struct contents *c, const char *hex,
		      struct archive_file *file, struct err *err)
{
	struct err why = {0};
	struct err *refused;
	int r;

	memcpy(file->hex, hex, sizeof(file->hex));
	file->layer = true;
	/* Before it is looked for. */
	if (pin_add(in->pin, hex, err) < 0)
		return -1;
	if (layer_has(in->a, in->store, hex))
		return check_contents(c, hex, err);
	r = in->layer(in->layer_ctx, hex, c->size, read_contents, c, &why);
	if (r == 0) {
		strv_push(in->a, &in->fresh_layers, hex);
		return 0;
	}
	if (why.errnum == EBADMSG || why.errnum == EFBIG) {
		refused = arena_alloc(in->a, sizeof(*refused));
		*refused = why;
		file->refused = refused;
		return 0;
	}
	if (err)
		*err = why;
	return -1;
}

static int take_blob(struct archive_in *in, struct contents *c, const char *hex,
		     struct archive_file *file, struct err *err)
{
	_cleanup_blob_ struct blob_writer *w = NULL;
	bool had = hex && blob_has(in->store, hex);

	if (blob_create(in->store, &w, err) < 0 || copy_contents(c, w, err) < 0 ||
	    finish(in, TAKE_PTR(w), hex, c->size, file->hex, err) < 0)
		return -1;
	if (!had)
		strv_push(in->a, &in->fresh, file->hex);
	return 0;
}

static int take_file(struct archive_in *in, struct untar *u, const struct untar_entry *e,
		     struct err *err)
{
	const char *hex = digest_of_name(e->path);
	struct archive_file file = {.name = e->path, .size = e->size};
	struct contents c = {.u = u, .size = e->size};
	int r = see_piece(&c, err);

	if (r == 0)
		r = in->layer && hex && is_tar(&c) ? take_layer(in, &c, hex, &file, err)
						   : take_blob(in, &c, hex, &file, err);
	if (r < 0)
		return err_prefix(err, "'%.200s' of the archive", e->path);
	add_file(in, &file);
	return 0;
}

static int take_text(struct untar *u, const struct untar_entry *e, struct buf *ret, struct err *err)
{
	if (ret->p)
		return oci_bad(err, "'%s' is in the archive twice", e->path);
	if (e->size > OCI_MAX)
		return oci_bad(err, "'%s' of the archive has %llu bytes, at most %zu are read",
			       e->path, (unsigned long long)e->size, OCI_MAX);
	buf_adds(ret, "");
	for (;;) {
		const void *p = NULL;
		uint64_t offset = 0;
		size_t n = 0;
		bool end = false;

		if (untar_data(u, &p, &n, &offset, &end, err) < 0)
			return -1;
		if (end)
			return 0;
		if (offset != ret->len)
			return oci_bad(err, "'%s' of the archive has holes", e->path);
		buf_add(ret, p, n);
	}
}

/* docker's: configs and layers at the top or one folder down, by names that its manifest.json gives. */
static bool is_dockers(const char *path)
{
	const char *slash = strchr(path, '/');

	return (str_ends(path, ".json") || str_ends(path, ".tar")) &&
	       (!slash || !strchr(slash + 1, '/'));
}

static int take_entry(struct archive_in *in, struct untar *u, const struct untar_entry *e,
		      struct err *err)
{
	const struct archive_file link = {.name = e->path, .link = e->link};

	if (e->kind == UNTAR_SYMLINK && is_dockers(e->path))
		add_file(in, &link);
	if (e->kind != UNTAR_FILE)
		return 0;
	if (str_eq(e->path, INDEX))
		return take_text(u, e, &in->index, err);
	if (str_eq(e->path, DOCKER))
		return take_text(u, e, &in->docker, err);
	if (digest_of_name(e->path) || is_dockers(e->path))
		return take_file(in, u, e, err);
	return 0;
}

/* Not even its first entry can be read. */
static int no_archive(struct err *err)
{
	if (err->errnum != EBADMSG)
		return -1;
	(void)err_set(err, "it is no archive");
	return err_hint(err, "sbx load takes what `sbx save`, `podman save`, `docker save` or "
			     "`skopeo copy` wrote");
}

int archive_in_tar(struct archive_in *in, untar_read_fn read_fn, void *ctx, struct err *err)
{
	_cleanup_untar_ struct untar *u = NULL;
	bool first = true;

	in->folder = -1;
	if (untar_open(read_fn, ctx, &limits, &u, err) < 0)
		return no_archive(err);
	for (;; first = false) {
		struct untar_entry e;
		bool end = false;

		if (untar_next(u, &e, &end, err) < 0)
			return first ? no_archive(err) : -1;
		if (end)
			return 0;
		if (take_entry(in, u, &e, err) < 0)
			return -1;
	}
}

static int copy_file(int from, struct blob_writer *w, struct err *err)
{
	_cleanup_free_ char *space = xmalloc(BLOCK);
	ssize_t n;

	while ((n = read(from, space, BLOCK)) > 0) {
		if (blob_write(w, space, (size_t)n, err) < 0)
			return -1;
	}
	return n < 0 ? err_errno(err, errno, "cannot read it") : 0;
}

static int take_from_folder(struct archive_in *in, const char *hex, uint64_t size, struct err *err)
{
	const char *path = arena_printf(in->a, BLOBS "%s", hex);
	_cleanup_blob_ struct blob_writer *w = NULL;
	_cleanup_fd_ int fd = -1;
	char found[DIGEST_HEX + 1];
	struct stat st;

	if (fs_open_beneath(in->folder, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, err) < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return oci_bad(err, "'%s' is no file", path);
	/* Before it is read: it may be endless. */
	if (size != UINT64_MAX && (uint64_t)st.st_size != size)
		return oci_bad(err, "'%s' has %llu bytes, not %llu", path,
			       (unsigned long long)st.st_size, (unsigned long long)size);
	if (blob_create(in->store, &w, err) < 0 || copy_file(fd, w, err) < 0 ||
	    finish(in, TAKE_PTR(w), hex, size, found, err) < 0)
		return err_prefix(err, "'%s'", path);
	strv_push(in->a, &in->fresh, hex);
	return 0;
}

/* Of a tar that came and could not become a layer. */
static const struct err *why_refused(const struct archive_in *in, const char *hex)
{
	for (size_t i = 0; i < in->files.n; i++) {
		if (in->files.v[i].refused && str_eq(in->files.v[i].hex, hex))
			return in->files.v[i].refused;
	}
	return NULL;
}

static int check_size(const char *hex, uint64_t have, uint64_t size, struct err *err)
{
	if (size == UINT64_MAX || have == size)
		return 0;
	return oci_bad(err, "the blob sha256:%s has %llu bytes, not %llu", hex,
		       (unsigned long long)have, (unsigned long long)size);
}

int archive_in_layer(struct archive_in *in, const char *hex, uint64_t size, const char *diff_id,
		     struct err *err)
{
	const struct err *refused = why_refused(in, hex);
	_cleanup_fd_ int fd = -1;
	struct layer_info info;

	if (pin_add(in->pin, diff_id, err) < 0)
		return -1;
	if (refused) {
		*err = *refused;
		return -1;
	}
	/* Only a plain tar is its own layer. */
	if (str_eq(hex, diff_id) && !blob_has(in->store, hex) &&
	    layer_open(in->a, in->store, hex, &fd, &info, NULL) == 0)
		return check_size(hex, info.tar_size, size, err);
	/* What the config calls its layer came, too; so nobody would look whether this blob is that. */
	if (!str_eq(hex, diff_id) && strv_contains(&in->fresh_layers, diff_id))
		return oci_bad(err, "sha256:%s is another than the config's, sha256:%s", hex,
			       diff_id);
	return archive_in_blob(in, hex, size, err);
}

int archive_in_blob(struct archive_in *in, const char *hex, uint64_t size, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	uint64_t have = 0;

	if (pin_add(in->pin, hex, err) < 0)
		return -1;
	if (!blob_has(in->store, hex)) {
		if (in->folder >= 0)
			return take_from_folder(in, hex, size, err);
		return err_errno(err, ENOENT, "the blob sha256:%s is not in the archive", hex);
	}
	if (blob_open(in->store, hex, &fd, &have, err) < 0)
		return -1;
	return check_size(hex, have, size, err);
}

static const struct archive_file *find(const struct archive_in *in, const char *name)
{
	for (size_t i = in->files.n; i > 0; i--) {
		if (str_eq(in->files.v[i - 1].name, name))
			return &in->files.v[i - 1];
	}
	return NULL;
}

int archive_in_file(const struct archive_in *in, const char *name, const struct archive_file **ret,
		    struct err *err)
{
	const char *at = path_clean(in->a, path_join(in->a, "/", name));

	for (int i = 0; i < LINKS_MAX; i++) {
		const struct archive_file *file = find(in, at + 1);
		const char *slash = strrchr(at, '/');

		if (!file)
			return err_errno(err, ENOENT, "'%.200s' is not in the archive", name);
		if (!file->link) {
			*ret = file;
			return 0;
		}
		at = path_clean(in->a,
				path_join(in->a, arena_strndup(in->a, at, (size_t)(slash - at + 1)),
					  file->link));
	}
	return err_errno(err, ELOOP, "'%.200s' of the archive", name);
}
