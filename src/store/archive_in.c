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

/* Nobody writes an image's archive with holes; they could be of any size. */
static int copy_entry(struct untar *u, const struct untar_entry *e, struct blob_writer *w,
		      struct err *err)
{
	uint64_t at = 0;

	for (;;) {
		const void *p = NULL;
		uint64_t offset = 0;
		size_t n = 0;
		bool end = false;

		if (untar_data(u, &p, &n, &offset, &end, err) < 0)
			return -1;
		if (end ? at != e->size : offset != at)
			return oci_bad(err, "it has holes");
		if (end)
			return 0;
		if (blob_write(w, p, n, err) < 0)
			return -1;
		at += n;
	}
}

/* What its name says it is, if it does: the digest that it must have. */
static const char *digest_of_name(const char *path)
{
	const char *name = str_starts(path, BLOBS) ? path + strlen(BLOBS) : NULL;

	return name && layer_is_digest(name) ? name : NULL;
}

static int take_blob(struct archive_in *in, struct untar *u, const struct untar_entry *e,
		     struct err *err)
{
	_cleanup_blob_ struct blob_writer *w = NULL;
	const char *hex = digest_of_name(e->path);
	struct archive_file file = {.name = e->path, .size = e->size};
	bool had = hex && blob_has(in->store, hex);

	if (blob_create(in->store, &w, err) < 0 || copy_entry(u, e, w, err) < 0 ||
	    finish(in, TAKE_PTR(w), hex, e->size, file.hex, err) < 0)
		return err_prefix(err, "'%.200s' of the archive", e->path);
	if (!had)
		strv_push(in->a, &in->fresh, file.hex);
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
		return take_blob(in, u, e, err);
	return 0;
}

int archive_in_tar(struct archive_in *in, untar_read_fn read_fn, void *ctx, struct err *err)
{
	_cleanup_untar_ struct untar *u = NULL;

	in->folder = -1;
	if (untar_open(read_fn, ctx, &limits, &u, err) < 0)
		return -1;
	for (;;) {
		struct untar_entry e;
		bool end = false;

		if (untar_next(u, &e, &end, err) < 0)
			return -1;
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
	if (size != UINT64_MAX && have != size)
		return oci_bad(err, "the blob sha256:%s has %llu bytes, not %llu", hex,
			       (unsigned long long)have, (unsigned long long)size);
	return 0;
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
