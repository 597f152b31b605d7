#include "store/image_load.h"

#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/archive_in.h"
#include "store/blob.h"
#include "store/image.h"
#include "store/image_load_docker.h"
#include "store/oci_json.h"
#include "store/oci_kind.h"
#include "store/pin.h"

/* containerd's and docker's; `ref.name` is then the tag alone. */
#define NOTE_NAME "io.containerd.image.name"

static const char *name_of(const struct oci_descriptor *d)
{
	const char *full = oci_pair(&d->annotations, NOTE_NAME);

	return full ? full : oci_pair(&d->annotations, OCI_NOTE_REF);
}

int image_load_layers(struct archive_in *in, const char *manifest, struct err *err)
{
	struct image_info info;

	if (image_info(in->a, in->store, manifest, &info, err) < 0)
		return -1;
	for (size_t i = 0; i < info.manifest.n; i++) {
		const struct oci_descriptor *l = &info.manifest.layers[i];

		if (archive_in_layer(in, l->digest, l->size, info.config.diff_ids[i], err) < 0)
			return err_prefix(err, "layer %zu of %zu", i + 1, info.manifest.n);
	}
	return 0;
}

static int read_small(struct archive_in *in, const struct oci_descriptor *d, struct buf *ret,
		      struct err *err)
{
	if (d->size > OCI_MAX)
		return oci_bad(err, "the blob sha256:%s has %llu bytes, at most %zu are read",
			       d->digest, (unsigned long long)d->size, OCI_MAX);
	if (archive_in_blob(in, d->digest, d->size, err) < 0)
		return -1;
	return blob_read(in->store, d->digest, OCI_MAX, ret, err);
}

/* The manifest's config and layers, whatever led to it. */
static int take_manifest(struct archive_in *in, const struct oci_descriptor *d, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct oci_manifest m = {0};
	enum oci_kind kind = OCI_IS_MANIFEST;

	if (read_small(in, d, &b, err) < 0 || oci_kind(b.p, b.len, d->media_type, &kind, err) < 0)
		return -1;
	if (kind != OCI_IS_MANIFEST)
		return oci_bad(err, "an index within an index within an index is too much");
	if (oci_read_manifest(in->a, b.p, b.len, &m, err) < 0 ||
	    archive_in_blob(in, m.config.digest, m.config.size, err) < 0)
		return -1;
	return image_load_layers(in, d->digest, err);
}

/* One of index.json's: a manifest, or an index of which the one for this machine is taken. */
static int take_entry(struct archive_in *in, const struct oci_descriptor *d,
		      struct image_loaded *ret, struct err *err)
{
	const struct oci_platform here = oci_platform_here();
	_cleanup_buf_ struct buf b = {0};
	const struct oci_descriptor *one = d;
	struct oci_index index = {0};
	enum oci_kind kind = OCI_IS_MANIFEST;

	if (!oci_media_kind(d->media_type, &kind))
		return oci_bad(err, "'%.100s' is no image", d->media_type);
	if (kind == OCI_IS_INDEX && (read_small(in, d, &b, err) < 0 ||
				     oci_kind(b.p, b.len, d->media_type, &kind, err) < 0 ||
				     oci_read_index(in->a, b.p, b.len, &index, err) < 0 ||
				     oci_choose(&index, &here, &one, err) < 0))
		return -1;
	if (take_manifest(in, one, err) < 0)
		return -1;
	memcpy(ret->manifest, one->digest, sizeof(ret->manifest));
	ret->name = name_of(d);
	return 0;
}

/* Those of the same name are for different machines. */
static bool is_first(const struct oci_index *index, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (str_eq(name_of(&index->manifests[i]), name_of(&index->manifests[at])))
			return false;
	}
	return true;
}

static int choose_named(struct arena *a, const struct oci_index *index, size_t at,
			const struct oci_descriptor **ret, struct err *err)
{
	const struct oci_platform here = oci_platform_here();
	struct oci_index same = {0};

	same.manifests = arena_alloc(a, index->n * sizeof(*same.manifests));
	for (size_t i = at; i < index->n; i++) {
		if (str_eq(name_of(&index->manifests[i]), name_of(&index->manifests[at])))
			same.manifests[same.n++] = index->manifests[i];
	}
	return oci_choose(&same, &here, ret, err);
}

static int load_oci(struct archive_in *in, struct image_loaded **ret, size_t *ret_n,
		    struct err *err)
{
	struct oci_index index = {0};
	struct image_loaded *v;
	size_t n = 0;

	if (oci_read_index(in->a, in->index.p, in->index.len, &index, err) < 0)
		return -1;
	if (index.n == 0)
		return oci_bad(err, "cannot use the image's index: there is no image in it");
	v = arena_alloc(in->a, index.n * sizeof(*v));
	for (size_t i = 0; i < index.n; i++) {
		const struct oci_descriptor *d = NULL;

		if (!is_first(&index, i))
			continue;
		if (choose_named(in->a, &index, i, &d, err) < 0 ||
		    take_entry(in, d, &v[n], err) < 0)
			return -1;
		n++;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

int image_load(struct archive_in *in, struct image_loaded **ret, size_t *ret_n, struct err *err)
{
	if (in->index.p)
		return load_oci(in, ret, ret_n, err);
	if (in->docker.p)
		return image_load_docker(in, ret, ret_n, err);
	(void)oci_bad(err, "it has neither 'index.json' nor 'manifest.json', so it is no image");
	return err_hint(err,
			"the files of a root, in a tar, are a base as they are: sbx init --base "
			"tar:FILE; in a folder: dir:FOLDER");
}
