/*
 * The image of a stage: its layers as blobs, its config, and a name.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/build.h"
#include "cli/care.h"
#include "cli/images.h"
#include "plan/host_fingerprint.h"
#include "run/view.h"
#include "store/blob.h"
#include "store/image.h"
#include "store/layer_pack.h"

#define PACK_TRIES 8

/* The newest of its layers: so that the same layers and the same config are the same image, whenever it is made. */
static int64_t time_of(const struct build *b, const struct build_stage *stage)
{
	int64_t newest = 0;

	for (size_t i = 0; i < stage->chain.n; i++)
		if (stage->chain.v[i].created > newest)
			newest = stage->chain.v[i].created;
	return newest < b->newest ? newest : b->newest;
}

/* For the child that packs: what comes back is in memory that both have. */
struct packing {
	const struct build *b;
	const struct commit *layer;
	struct oci_descriptor *result;
};

static int pack_inside(void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct packing *p = arg;
	struct form form = {0};

	if (layer_pack(p->b->store, p->layer->digest, p->layer->tree, LAYER_GZIP, &form, err) < 0)
		return -1;
	memcpy(p->result->digest, form.digest, sizeof(p->result->digest));
	p->result->size = form.size;
	return 0;
}

/* gc may come between the blob and its pin: then once more. */
static int pack_one(struct build *b, const struct commit *layer, struct oci_descriptor *ret,
		    struct err *err)
{
	struct packing p = {
		.b = b, .layer = layer, .result = care_shared(sizeof(struct oci_descriptor))};

	for (int i = 0; i < PACK_TRIES; i++) {
		if (userns_call(b->any, pack_inside, &p, err) < 0 ||
		    pin_add(&b->pin, p.result->digest, err) < 0)
			return -1;
		if (!blob_has(b->store, p.result->digest))
			continue;
		*ret = *p.result;
		ret->media_type = layer_form_media_type(LAYER_GZIP);
		return 0;
	}
	return err_errno(err, EAGAIN, "the blob of the layer %s is removed again and again",
			 layer->digest);
}

/* What came with the base keeps the blobs that it came in; a plain tar is made of its layer when it is needed (images.h). */
static bool is_bases(const struct build *b, const struct build_stage *stage, size_t i)
{
	const struct base *base = &stage->base;
	const char *digest;

	if (i >= base->chain.n || i >= base->info.manifest.n)
		return false;
	digest = base->info.manifest.layers[i].digest;
	return str_eq(digest, stage->chain.v[i].digest) || blob_has(b->store, digest);
}

static int pack(struct build *b, const struct build_stage *stage, struct oci_descriptor *ret,
		struct err *err)
{
	for (size_t i = 0; i < stage->chain.n; i++) {
		if (is_bases(b, stage, i))
			ret[i] = stage->base.info.manifest.layers[i];
		else if (pack_one(b, &stage->chain.v[i], &ret[i], err) < 0)
			return -1;
	}
	return 0;
}

int build_image(struct build *b, const struct build_stage *stage, const char *ref,
		char ret_manifest[DIGEST_HEX + 1], struct err *err)
{
	struct oci_descriptor *layers = arena_alloc(b->a, (stage->chain.n + 1) * sizeof(*layers));
	struct image_make make = {
		.from = stage->base.ref ? &stage->base.info : NULL,
		.n_from = stage->base.chain.n,
		.config = &stage->config,
		.chain = &stage->chain,
		.layers = layers,
		.created = time_of(b, stage),
	};
	struct image image = {.ref = ref,
			      .created = (int64_t)time(NULL),
			      .source =
				      b->of_profile ? images_built_by(b->a, b->context) : "build"};

	if (pack(b, stage, layers, err) < 0)
		return -1;
	if (stage->over_host) {
		oci_pair_put(b->a, &make.annotations, OCI_NOTE_BASE, "host");
		oci_pair_put(b->a, &make.annotations, OCI_NOTE_HOST,
			     stage->base.info.host ? stage->base.info.host
						   : fingerprint_host(b->a));
	}
	if (image_make(b->a, b->store, &make, image.manifest, err) < 0 ||
	    pin_add(&b->pin, image.manifest, err) < 0 ||
	    (ref && image_put(b->store, &image, err) < 0))
		return -1;
	memcpy(ret_manifest, image.manifest, sizeof(image.manifest));
	return 0;
}
