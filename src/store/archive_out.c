#include "store/archive_out.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/blob.h"
#include "store/env.h"
#include "store/image.h"
#include "store/tar.h"

#define BLOBS "blobs/sha256/"
#define BLOCK ((size_t)256 << 10)

struct writer {
	struct arena *a;
	const struct archive_out *out;
	uint64_t done, total;
	char *space;
};

static int failed(const char *name, struct err *err)
{
	return err_errno(err, errno, "cannot write '%s'", name);
}

/* Begin a file: *ret_fd is where its contents go. */
static int begin(struct writer *w, const char *name, uint64_t size, int *ret_fd, struct err *err)
{
	const struct stat st = {.st_mode = S_IFREG | 0644, .st_size = (off_t)size};
	const struct tar_entry e = {.path = name, .st = &st};
	_cleanup_buf_ struct buf b = {0};

	if (w->out->format == ARCHIVE_OCI_DIR) {
		*ret_fd = openat(w->out->fd, name,
				 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
		return *ret_fd < 0 ? failed(name, err) : 0;
	}
	tar_header(&b, &e);
	*ret_fd = w->out->fd;
	return fs_write_all(*ret_fd, b.p, b.len) < 0 ? failed(name, err) : 0;
}

static int end(struct writer *w, const char *name, uint64_t size, int fd, struct err *err)
{
	static const char zeros[TAR_BLOCK];

	if (w->out->format == ARCHIVE_OCI_DIR)
		return close(fd) < 0 ? failed(name, err) : 0;
	return fs_write_all(fd, zeros, tar_padding(size)) < 0 ? failed(name, err) : 0;
}

static int put_text(struct writer *w, const char *name, const char *p, size_t n, struct err *err)
{
	int fd = -1; /* borrowed in a tar, ended by end() in a folder */
	int r;

	if (begin(w, name, n, &fd, err) < 0)
		return -1;
	r = fs_write_all(fd, p, n) < 0 ? failed(name, err) : 0;
	return end(w, name, n, fd, r < 0 ? NULL : err) < 0 ? -1 : r;
}

/* As many bytes as the header said, whatever became of the file. */
static int copy(struct writer *w, int from, uint64_t size, int to, char ret_hex[DIGEST_HEX + 1],
		struct err *err)
{
	_cleanup_digest_ struct digest *d = digest_new();

	for (uint64_t left = size; left > 0;) {
		ssize_t n = read(from, w->space, left < BLOCK ? (size_t)left : BLOCK);

		if (n < 0)
			return err_errno(err, errno, "cannot read a blob");
		if (n == 0)
			break;
		digest_add(d, w->space, (size_t)n);
		if (fs_write_all(to, w->space, (size_t)n) < 0)
			return err_errno(err, errno, "cannot write a blob");
		left -= (uint64_t)n;
		w->done += (uint64_t)n;
		if (w->out->progress)
			w->out->progress(w->out->progress_ctx, w->done, w->total);
	}
	digest_end(TAKE_PTR(d), ret_hex);
	return 0;
}

static int put_blob(struct writer *w, const char *hex, const char *name, struct err *err)
{
	_cleanup_fd_ int from = -1;
	char found[DIGEST_HEX + 1] = "";
	uint64_t size = 0;
	int fd = -1; /* borrowed, as in put_text */
	int r;

	if (blob_open(w->out->store, hex, &from, &size, err) < 0 ||
	    begin(w, name, size, &fd, err) < 0)
		return -1;
	r = copy(w, from, size, fd, found, err);
	if (r == 0 && !str_eq(found, hex)) {
		r = err_set(err, "the blob sha256:%s is damaged: its digest is sha256:%s", hex,
			    found);
		if (err)
			err->errnum = EBADMSG;
		err_hint(err, "sbx fsck tells more");
	}
	return end(w, name, size, fd, r < 0 ? NULL : err) < 0 ? -1 : r;
}

/* In a tar, too: what unpacks it as an ordinary user may not be able to make them with the owner that it thinks of. */
static int make_folders(const struct archive_out *out, struct err *err)
{
	static const char *const names[] = {"blobs", "blobs/sha256"};
	const struct stat st = {.st_mode = S_IFDIR | 0755};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct tar_entry e = {.path = names[i], .st = &st};
		_cleanup_buf_ struct buf b = {0};

		tar_header(&b, &e);
		if (out->format == ARCHIVE_OCI_DIR ? mkdirat(out->fd, names[i], 0755) < 0
						   : fs_write_all(out->fd, b.p, b.len) < 0)
			return failed(names[i], err);
	}
	return 0;
}

static int put_oci(struct writer *w, const struct image_info *info, struct err *err)
{
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	struct oci_descriptor d = {.media_type = OCI_MEDIA_MANIFEST,
				   .platform = info->config.platform};
	const struct oci_index index = {.media_type = OCI_MEDIA_INDEX, .manifests = &d, .n = 1};
	_cleanup_buf_ struct buf b = {0};
	_cleanup_buf_ struct buf text = {0};
	struct strv done = {0};

	if (blob_read(w->out->store, info->digest, OCI_MAX, &text, err) < 0)
		return -1;
	memcpy(d.digest, info->digest, sizeof(d.digest));
	d.size = text.len;
	if (info->manifest.media_type)
		d.media_type = info->manifest.media_type;
	if (w->out->ref)
		oci_pair_put(w->a, &d.annotations, OCI_NOTE_REF, w->out->ref);
	oci_write_index(&index, &b);
	if (put_text(w, "oci-layout", layout, strlen(layout), err) < 0 ||
	    put_text(w, "index.json", b.p, b.len, err) < 0)
		return -1;
	strv_push(w->a, &done, info->digest);
	strv_push(w->a, &done, info->manifest.config.digest);
	for (size_t i = 0; i < info->manifest.n; i++) {
		if (!strv_contains(&done, info->manifest.layers[i].digest))
			strv_push(w->a, &done, info->manifest.layers[i].digest);
	}
	for (size_t i = 0; i < done.n; i++) {
		if (put_blob(w, done.v[i], arena_printf(w->a, BLOBS "%s", done.v[i]), err) < 0)
			return -1;
	}
	return 0;
}

static int put_docker(struct writer *w, const struct image_info *info, struct err *err)
{
	const char *config = arena_printf(w->a, "%s.json", info->manifest.config.digest);
	json_auto_t *list = json_array();
	json_t *layers = json_array();
	json_t *tags = json_array();
	json_t *image = json_object();
	_cleanup_free_ char *text = NULL;
	struct strv done = {0};

	json_array_append_new(list, image);
	json_object_set_new(image, "Config", json_string(config));
	json_object_set_new(image, "Layers", layers);
	json_object_set_new(image, "RepoTags", tags);
	if (w->out->ref)
		json_array_append_new(tags, json_string(w->out->ref));
	if (put_blob(w, info->manifest.config.digest, config, err) < 0)
		return -1;
	for (size_t i = 0; i < info->manifest.n; i++) {
		const char *hex = info->manifest.layers[i].digest;
		const char *name = arena_printf(w->a, "%s.tar", hex);

		json_array_append_new(layers, json_string(name));
		if (strv_contains(&done, hex))
			continue;
		strv_push(w->a, &done, hex);
		if (put_blob(w, hex, name, err) < 0)
			return -1;
	}
	text = json_dumps(list, JSON_COMPACT | JSON_SORT_KEYS);
	return put_text(w, "manifest.json", text, strlen(text), err);
}

int archive_out(struct arena *a, const struct archive_out *out, struct err *err)
{
	_cleanup_free_ char *space = xmalloc(BLOCK);
	struct writer w = {.a = a, .out = out, .space = space};
	_cleanup_buf_ struct buf last = {0};
	struct image_info info;

	if (image_info(a, out->store, out->manifest, &info, err) < 0)
		return -1;
	for (size_t i = 0; i < info.manifest.n; i++)
		w.total += info.manifest.layers[i].size;
	if (out->format != ARCHIVE_DOCKER && make_folders(out, err) < 0)
		return -1;
	if ((out->format == ARCHIVE_DOCKER ? put_docker(&w, &info, err) : put_oci(&w, &info, err)) <
	    0)
		return -1;
	if (out->format == ARCHIVE_OCI_DIR)
		return 0;
	tar_end(&last);
	return fs_write_all(out->fd, last.p, last.len) < 0 ? failed("the archive's end", err) : 0;
}
