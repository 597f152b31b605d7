#include "store/layer_pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/blob.h"
#include "store/deflate.h"
#include "store/env.h"
#include "store/layer.h"
#include "store/layer_tar.h"

#define BLOCK ((size_t)256 << 10)
#define MEDIA_LAYER "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_DOCKER "application/vnd.docker.image.rootfs.diff.tar"

const char *layer_form_name(enum layer_form f)
{
	static const char *const names[] = {
		[LAYER_GZIP] = "gzip", [LAYER_ZSTD] = "zstd", [LAYER_PLAIN] = "none"};

	return names[f];
}

const char *layer_form_media_type(enum layer_form f)
{
	static const char *const types[] = {[LAYER_GZIP] = MEDIA_LAYER "+gzip",
					    [LAYER_ZSTD] = MEDIA_LAYER "+zstd",
					    [LAYER_PLAIN] = MEDIA_LAYER};

	return types[f];
}

/* Docker's words for the same bytes. */
static bool is_form(const char *media_type, enum layer_form f)
{
	static const char *const docker[] = {[LAYER_GZIP] = MEDIA_DOCKER ".gzip",
					     [LAYER_ZSTD] = MEDIA_DOCKER ".zstd",
					     [LAYER_PLAIN] = MEDIA_DOCKER};

	return str_eq(media_type, layer_form_media_type(f)) || str_eq(media_type, docker[f]);
}

static bool find(struct arena *a, const struct store *s, const char *diff_id, enum layer_form how,
		 struct form *ret)
{
	struct form *v = NULL;
	size_t n = 0;

	if (form_list(a, s, diff_id, &v, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_form(v[i].media_type, how) || !blob_has(s, v[i].digest))
			continue;
		*ret = v[i];
		ret->media_type = layer_form_media_type(how);
		return true;
	}
	return false;
}

struct target {
	struct blob_writer *blob;
	uint64_t size;
};

static int to_blob(void *ctx, const void *p, size_t n, struct err *err)
{
	struct target *t = ctx;

	t->size += n;
	return blob_write(t->blob, p, n, err);
}

static int compress(struct layer_tar *tar, struct deflate *d, struct err *err)
{
	_cleanup_free_ char *block = xmalloc(BLOCK);
	ssize_t n;

	while ((n = layer_tar_read(tar, block, BLOCK, err)) > 0) {
		if (deflate_add(d, block, (size_t)n, err) < 0)
			return -1;
	}
	return n < 0 ? -1 : deflate_end(d, err);
}

/* No damaged layer leaves this machine. */
static int check(struct layer_tar *tar, const char *diff_id, struct err *err)
{
	char hex[DIGEST_HEX + 1];

	if (layer_tar_digest(tar, hex, err) < 0)
		return -1;
	if (str_eq(hex, diff_id))
		return 0;
	err_set(err, "the layer %s is damaged: its digest is %s", diff_id, hex);
	if (err)
		err->errnum = EBADMSG;
	return err_hint(err, "'sbx fsck' looks at the whole store");
}

static int make(const struct store *s, const char *diff_id, const char *tree, enum layer_form how,
		struct form *ret, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_blob_ struct blob_writer *w = NULL;
	_cleanup_deflate_ struct deflate *d = NULL;
	_cleanup_layer_tar_ struct layer_tar *tar = NULL;
	_cleanup_fd_ int layer = -1;
	struct target t = {0};

	if (layer_open(a, s, diff_id, &layer, NULL, err) < 0 ||
	    layer_tar_open(layer, tree, &tar, err) < 0 || blob_create(s, &w, err) < 0)
		return -1;
	t.blob = w;
	if (deflate_new(how, to_blob, &t, &d, err) < 0 || compress(tar, d, err) < 0 ||
	    check(tar, diff_id, err) < 0 ||
	    blob_finish(TAKE_PTR(w), NULL, t.size, ret->digest, err) < 0)
		return -1;
	ret->size = t.size;
	ret->media_type = layer_form_media_type(how);
	return 0;
}

int layer_pack(const struct store *s, const char *diff_id, const char *tree, enum layer_form how,
	       struct form *ret, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct form f = {0};

	if (!find(a, s, diff_id, how, &f)) {
		if (make(s, diff_id, tree, how, &f, err) < 0)
			return err_prefix(err, "cannot pack the layer %s", diff_id);
		/* A help for the next time, no more. */
		(void)form_add(a, s, diff_id, &f, NULL, NULL);
	}
	f.seen = NULL;
	f.n_seen = 0;
	*ret = f;
	return 0;
}
