#include "store/image_load_docker.h"

#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/archive_in.h"
#include "store/blob.h"
#include "store/image_load.h"
#include "store/oci.h"
#include "store/oci_json.h"
#include "store/pin.h"

#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar"
#define IMAGES_MAX 1000U
#define ROOT "images"

/* docker writes plain tars; others compress them. */
static int type_of(struct archive_in *in, const char *hex, const char **ret, struct err *err)
{
	static const unsigned char zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	static const unsigned char gzip[] = {0x1f, 0x8b};
	unsigned char begin[4] = {0};
	_cleanup_fd_ int fd = -1;
	uint64_t size = 0;

	if (blob_open(in->store, hex, &fd, &size, err) < 0)
		return -1;
	if (pread(fd, begin, sizeof(begin), 0) < 0)
		return oci_bad(err, "cannot read the blob sha256:%s", hex);
	*ret = LAYER_TYPE;
	if (memcmp(begin, gzip, sizeof(gzip)) == 0)
		*ret = LAYER_TYPE "+gzip";
	else if (memcmp(begin, zstd, sizeof(zstd)) == 0)
		*ret = LAYER_TYPE "+zstd";
	return 0;
}

static int describe(struct archive_in *in, const char *name, const char *media_type,
		    struct oci_descriptor *ret, struct err *err)
{
	const struct archive_file *file = NULL;

	if (archive_in_file(in, name, &file, err) < 0)
		return -1;
	memcpy(ret->digest, file->hex, sizeof(ret->digest));
	ret->size = file->size;
	ret->media_type = media_type;
	if (!media_type && file->layer)
		ret->media_type = LAYER_TYPE;
	return ret->media_type ? 0 : type_of(in, file->hex, &ret->media_type, err);
}

static int take_image(struct archive_in *in, const json_t *image, char ret_hex[DIGEST_HEX + 1],
		      struct err *err)
{
	struct oci_manifest m = {.media_type = OCI_MEDIA_MANIFEST};
	_cleanup_buf_ struct buf b = {0};
	struct oci_strings layers = {0};
	const char *config = NULL;

	if (oci_json_text(in->a, image, "Config", &config, err) < 0 ||
	    oci_json_list(in->a, image, "Layers", &layers, err) < 0)
		return -1;
	if (!config)
		return oci_bad(err, "it names no 'Config'");
	if (layers.n > OCI_LAYERS_MAX)
		return oci_bad(err, "it has %zu layers, at most %u are read", layers.n,
			       OCI_LAYERS_MAX);
	if (describe(in, config, OCI_MEDIA_CONFIG, &m.config, err) < 0)
		return -1;
	m.n = layers.n;
	m.layers = arena_alloc(in->a, (m.n + 1) * sizeof(*m.layers));
	for (size_t i = 0; i < m.n; i++) {
		if (describe(in, layers.v[i], NULL, &m.layers[i], err) < 0)
			return -1;
	}
	oci_write_manifest(&m, &b);
	digest_sha256(b.p, b.len, ret_hex);
	if (pin_add(in->pin, ret_hex, err) < 0)
		return -1;
	if (!blob_has(in->store, ret_hex))
		strv_push(in->a, &in->fresh, ret_hex);
	if (blob_put(in->store, b.p, b.len, NULL, err) < 0)
		return -1;
	return image_load_layers(in, ret_hex, err);
}

/* An image has any number of names, or none. */
static int take_names(struct archive_in *in, const json_t *image, struct image_loaded *v, size_t *n,
		      struct err *err)
{
	struct image_loaded one = {.docker = true};
	struct oci_strings tags = {0};

	if (oci_json_list(in->a, image, "RepoTags", &tags, err) < 0 ||
	    take_image(in, image, one.manifest, err) < 0)
		return -1;
	for (size_t i = 0; i < tags.n && *n < IMAGES_MAX; i++) {
		one.name = tags.v[i];
		v[(*n)++] = one;
	}
	if (tags.n == 0 && *n < IMAGES_MAX)
		v[(*n)++] = one;
	return 0;
}

static int take_all(struct archive_in *in, const json_t *root, struct image_loaded **ret,
		    size_t *ret_n, struct err *err)
{
	struct image_loaded *v = arena_alloc(in->a, IMAGES_MAX * sizeof(*v));
	json_t *list = NULL;
	size_t n = 0;

	if (oci_json_array(root, ROOT, IMAGES_MAX, &list, err) < 0)
		return -1;
	if (json_array_size(list) == 0)
		return oci_bad(err, "there is no image in it");
	for (size_t i = 0; i < json_array_size(list); i++) {
		if (take_names(in, json_array_get(list, i), v, &n, err) < 0)
			return -1;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

int image_load_docker(struct archive_in *in, struct image_loaded **ret, size_t *ret_n,
		      struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	json_auto_t *root = NULL;

	/* It is a list; the reader is for objects. */
	buf_adds(&b, "{\"" ROOT "\":");
	buf_add(&b, in->docker.p, in->docker.len);
	buf_adds(&b, "}");
	if (oci_json(b.p, b.len, &root, err) < 0 || take_all(in, root, ret, ret_n, err) < 0)
		return err_prefix(err, "cannot use the archive's 'manifest.json'");
	return 0;
}
