#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "cli/care.h"
#include "cli/history.h"
#include "cli/images.h"
#include "conf/profile.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/blob.h"
#include "store/form.h"
#include "store/image.h"
#include "store/layer.h"
#include "store/pin.h"

#define TRIES 3

/* Packing layers, each in a user namespace; what it is told by `result`, which the child shares. */
struct packing {
	const struct store *store;
	const struct plan *plan;
	const struct pin *pin;
	enum layer_form how;
	const struct commit *layer;
	struct {
		char digest[DIGEST_HEX + 1];
		uint64_t size;
	} * result;
};

static int pack_inside(void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct packing *p = arg;
	struct form form = {0};

	if (layer_pack(p->store, p->layer->digest, p->layer->tree, p->how, &form, err) < 0)
		return -1;
	memcpy(p->result->digest, form.digest, sizeof(p->result->digest));
	p->result->size = form.size;
	return 0;
}

/* gc may come between the blob and its pin: then once more. */
static int pack(struct packing *p, const struct commit *layer, struct oci_descriptor *ret,
		struct err *err)
{
	p->layer = layer;
	for (int i = 0; i < TRIES; i++) {
		if (userns_call(p->plan, pack_inside, p, err) < 0 ||
		    pin_add(p->pin, p->result->digest, err) < 0)
			return -1;
		if (!blob_has(p->store, p->result->digest))
			continue;
		*ret = (struct oci_descriptor){.media_type = layer_form_media_type(p->how),
					       .size = p->result->size};
		memcpy(ret->digest, p->result->digest, sizeof(ret->digest));
		return 0;
	}
	return err_errno(err, EAGAIN, "the blob of the layer %s is removed again and again",
			 layer->digest);
}

static bool is_plain(const struct oci_descriptor *d)
{
	return str_ends(d->media_type, ".tar");
}

/* A plain tar is what its layer gives back, bit for bit, whether or not there is a blob of it now. */
static bool is_plain_of(const struct oci_descriptor *d, const char *diff_id)
{
	return is_plain(d) && str_eq(d->digest, diff_id);
}

/* Its blob is there or can be had, and will do.  The layer is in the store. */
static bool will_do(const struct store *s, const struct oci_descriptor *d, const char *diff_id,
		    enum layer_form how, bool any)
{
	if (!is_plain_of(d, diff_id) && !blob_has(s, d->digest))
		return false;
	return any || how != LAYER_PLAIN || is_plain(d);
}

/* See that the blob of one that will do is there. */
static int see_blob(struct packing *p, const struct commit *layer, const struct oci_descriptor *d,
		    struct err *err)
{
	struct packing plain = *p;
	struct oci_descriptor made;

	if (blob_has(p->store, d->digest))
		return 0;
	plain.how = LAYER_PLAIN;
	return pack(&plain, layer, &made, err);
}

/* So many of the chain's lowest layers are the image's. */
static size_t common(const struct chain *c, const struct image_info *info)
{
	size_t n = 0;

	while (n < c->n && n < info->config.n_diff_ids &&
	       str_eq(c->v[n].digest, info->config.diff_ids[n]))
		n++;
	/* Of a part of an image nobody can tell which part of its config it is. */
	return n == info->config.n_diff_ids ? n : 0;
}

static int created(const struct chain *c, int64_t *ret, struct err *err)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	uint64_t n = 0;

	if (epoch && *epoch) {
		if (num_u64(epoch, 0, INT64_MAX, &n, err) < 0)
			return err_prefix(err, "SOURCE_DATE_EPOCH");
		*ret = (int64_t)n;
		return 0;
	}
	*ret = 0;
	for (size_t i = 0; i < c->n; i++) {
		if (c->v[i].created > *ret)
			*ret = c->v[i].created;
	}
	return 0;
}

/* What the layers lie on, for who uses the image. */
static void annotate(struct arena *a, const struct images_env *in, const struct image_info *from,
		     struct oci_pairs *notes)
{
	const struct workplace *w = in->w;
	_cleanup_fd_ int fd = -1;
	struct layer_info top = {0};
	struct err why = {0};
	const char *host = from ? from->host : NULL;

	oci_pair_put(a, notes, OCI_NOTE_PROFILE, arena_printf(a, "sha256:%s", w->digest));
	if (w->profile->base.kind == BASE_DIR)
		log_warn("the image has only what lies on '%s', not that folder itself",
			 w->profile->base.ref);
	if (w->profile->base.kind != BASE_HOST && !(from && from->over_host))
		return;
	if (in->chain->n > 0 &&
	    layer_open(a, &w->store, in->chain->v[in->chain->n - 1].digest, &fd, &top, &why) == 0 &&
	    top.host)
		host = top.host;
	oci_pair_put(a, notes, OCI_NOTE_BASE, "host");
	if (host)
		oci_pair_put(a, notes, OCI_NOTE_HOST, host);
}

static int pin_made(const struct pin *pin, const struct store *s, const char *manifest,
		    struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct image_info info;

	if (image_info(a, s, manifest, &info, err) < 0)
		return -1;
	return images_pin(pin, &info, err);
}

static int make(struct arena *a, const struct images_env *in, const struct image_info *from,
		char ret_manifest[DIGEST_HEX + 1], struct err *err)
{
	const struct store *s = &in->w->store;
	struct packing p = {.store = s, .pin = in->pin, .how = in->how};
	struct oci_descriptor *layers = arena_alloc(a, (in->chain->n + 1) * sizeof(*layers));
	struct image_make how = {.from = from, .chain = in->chain, .layers = layers};

	if (created(in->chain, &how.created, err) < 0 || history_plan(a, in->w, &p.plan, err) < 0)
		return -1;
	p.result = care_shared(sizeof(*p.result));
	how.n_from = from ? common(in->chain, from) : 0;
	for (size_t i = 0; i < in->chain->n; i++) {
		const struct commit *layer = &in->chain->v[i];

		if (i < how.n_from &&
		    will_do(s, &from->manifest.layers[i], layer->digest, in->how, false)) {
			layers[i] = from->manifest.layers[i];
			if (see_blob(&p, layer, &layers[i], err) < 0)
				return -1;
			continue;
		}
		if (pin_add(in->pin, layer->digest, err) < 0 ||
		    pack(&p, layer, &layers[i], err) < 0)
			return -1;
	}
	annotate(a, in, how.n_from > 0 ? from : NULL, &how.annotations);
	if (image_make(a, s, &how, ret_manifest, err) < 0)
		return -1;
	return pin_made(in->pin, s, ret_manifest, err);
}

/* The image that the environment stands on; false where there is none, or it cannot be read. */
static bool stands_on(struct arena *a, const struct workplace *w, struct image_info *ret)
{
	struct err why = {0};

	if (!w->env.image.ref)
		return false;
	if (image_info(a, &w->store, w->env.image.manifest, ret, &why) == 0)
		return true;
	log_warn("its image '%s' is not used: %s", w->env.image.ref, why.msg);
	return false;
}

/* It is the image itself. */
static int see_all(struct arena *a, const struct images_env *in, const struct image_info *image,
		   char ret_manifest[DIGEST_HEX + 1], struct err *err)
{
	struct packing p = {.store = &in->w->store, .pin = in->pin};

	if (history_plan(a, in->w, &p.plan, err) < 0)
		return -1;
	p.result = care_shared(sizeof(*p.result));
	for (size_t i = 0; i < image->manifest.n; i++) {
		if (see_blob(&p, &in->chain->v[i], &image->manifest.layers[i], err) < 0)
			return -1;
	}
	memcpy(ret_manifest, image->digest, sizeof(image->digest));
	return 0;
}

int images_of_env(struct arena *a, const struct images_env *in, char ret_manifest[DIGEST_HEX + 1],
		  struct err *err)
{
	const struct store *s = &in->w->store;
	struct image_info from;
	bool has = stands_on(a, in->w, &from);
	bool same = has && common(in->chain, &from) == in->chain->n && in->chain->n > 0;

	if (has && images_pin(in->pin, &from, err) < 0)
		return -1;
	for (size_t i = 0; same && i < from.manifest.n; i++)
		same = will_do(s, &from.manifest.layers[i], in->chain->v[i].digest, in->how, false);
	if (same)
		return see_all(a, in, &from, ret_manifest, err);
	return make(a, in, has ? &from : NULL, ret_manifest, err);
}

int images_whole(struct arena *a, const struct images_whole *in, char ret_manifest[DIGEST_HEX + 1],
		 struct err *err)
{
	struct packing p = {.store = in->store, .pin = in->pin, .how = in->how};
	_cleanup_buf_ struct buf b = {0};
	struct image_info info;
	struct chain chain;
	bool same = true;

	if (image_info(a, in->store, in->manifest, &info, err) < 0 ||
	    images_pin(in->pin, &info, err) < 0)
		return -1;
	for (size_t i = 0; same && i < info.manifest.n; i++)
		same = blob_has(in->store, info.manifest.layers[i].digest) &&
		       will_do(in->store, &info.manifest.layers[i], info.config.diff_ids[i],
			       in->how, in->any);
	if (same) {
		memcpy(ret_manifest, info.digest, sizeof(info.digest));
		return 0;
	}
	if (images_plan(a, in->store, &p.plan, err) < 0 ||
	    images_unpack(a, in->store, p.plan, &info, &chain, err) < 0)
		return -1;
	p.result = care_shared(sizeof(*p.result));
	same = true;
	for (size_t i = 0; i < info.manifest.n; i++) {
		struct oci_descriptor *d = &info.manifest.layers[i];
		const bool keep = will_do(in->store, d, info.config.diff_ids[i], in->how, in->any);

		same = same && keep;
		if ((keep ? see_blob(&p, &chain.v[i], d, err) : pack(&p, &chain.v[i], d, err)) < 0)
			return -1;
	}
	/* The manifest as it is, bit for bit. */
	if (same) {
		memcpy(ret_manifest, info.digest, sizeof(info.digest));
		return 0;
	}
	oci_write_manifest(&info.manifest, &b);
	if (blob_put(in->store, b.p, b.len, ret_manifest, err) < 0)
		return -1;
	return pin_made(in->pin, in->store, ret_manifest, err);
}
