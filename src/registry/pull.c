#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "registry/creds.h"
#include "registry/fetch.h"
#include "registry/manifest.h"
#include "registry/transfer.h"
#include "store/blob.h"
#include "store/image.h"
#include "store/layer.h"
#include "store/layer_proof.h"
#include "store/pin.h"

static void pin_cleanup(struct pin *p)
{
	if (p->fd >= 0)
		pin_done(p->store, p);
}
#define _cleanup_pin_ __attribute__((cleanup(pin_cleanup)))

struct pulling {
	const struct transfer *t;
	struct client *c;
	struct pin *pin;
	const char *source; /* of the image's record */
	struct fetch_item *wanted;
	size_t n;
	uint64_t reused;
	struct strv public; /* digests; where it is anonymous */
};

static void want(struct pulling *p, const struct oci_descriptor *d)
{
	struct fetch_item *item = &p->wanted[p->n++];

	memcpy(item->digest, d->digest, sizeof(item->digest));
	item->size = d->size;
	p->t->events->total += d->size;
}

/*
 * What may be taken from the store in place of the registry, where nobody allowed the user's own: all of images that
 * anybody was given.  Else who knows a digest would have what it stands for.
 */
static int list_public(struct pulling *p, struct err *err)
{
	struct arena *a = p->c->a;
	struct image *v = NULL;
	size_t damaged = 0;
	size_t n = 0;

	if (image_list(a, p->t->store, &v, &n, &damaged, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		struct image_info info;
		struct err why = {0};

		if (!str_eq(v[i].source, IMAGE_PUBLIC) ||
		    image_info(a, p->t->store, v[i].manifest, &info, &why) < 0)
			continue;
		strv_push(a, &p->public, info.manifest.config.digest);
		for (size_t k = 0; k < info.manifest.n; k++) {
			strv_push(a, &p->public, info.manifest.layers[k].digest);
			strv_push(a, &p->public, info.config.diff_ids[k]);
		}
	}
	return 0;
}

static bool is_ours(const struct pulling *p, const char *digest)
{
	return !p->t->anonymous || strv_contains(&p->public, digest);
}

/* The store has it: want it again where that alone does not say that we may have it. */
static void reuse(struct pulling *p, const struct oci_descriptor *d)
{
	if (is_ours(p, d->digest)) {
		p->reused++;
		return;
	}
	want(p, d);
	p->wanted[p->n - 1].again = true;
}

static int get_config(struct pulling *p, const struct oci_descriptor *d, struct err *err)
{
	if (d->size > OCI_MAX)
		return err_set(err, "the config of the image has more than %zu bytes", OCI_MAX);
	if (pin_add(p->pin, d->digest, err) < 0)
		return -1;
	if (blob_has(p->t->store, d->digest) && is_ours(p, d->digest))
		return 0;
	want(p, d);
	p->wanted[0].again = true;
	return fetch_blobs(p->c, p->t->store, p->wanted, p->n, err);
}

/* Layers that no registry may give on, whose `urls` say who would: that is nobody's business here. */
static bool is_foreign(const char *type)
{
	return strstr(type, "nondistributable") || strstr(type, ".foreign.");
}

static int choose_layers(struct pulling *p, const struct image_info *info, struct err *err)
{
	p->n = 0;
	for (size_t i = 0; i < info->manifest.n; i++) {
		const struct oci_descriptor *d = &info->manifest.layers[i];
		const char *diff_id = info->config.diff_ids[i];

		if (pin_add(p->pin, d->digest, err) < 0 || pin_add(p->pin, diff_id, err) < 0)
			return -1;
		if (blob_has(p->t->store, d->digest)) {
			reuse(p, d);
			continue;
		}
		if (is_ours(p, diff_id) && layer_has(p->c->a, p->t->store, diff_id)) {
			p->reused++;
			continue;
		}
		if (is_foreign(d->media_type))
			return err_set(
				err,
				"the layer sha256:%s is of the kind '%.100s', which "
				"registries do not give on: sbx does not fetch it from elsewhere",
				d->digest, d->media_type);
		want(p, d);
	}
	return 0;
}

/* What nobody unpacks, since the store has that layer, is it all the same. */
static int check_layers(const struct pulling *p, const struct image_info *info, struct err *err)
{
	for (size_t i = 0; i < info->manifest.n; i++) {
		const char *diff_id = info->config.diff_ids[i];

		if (!is_ours(p, diff_id) && layer_has(p->c->a, p->t->store, diff_id) &&
		    layer_proof(p->c->a, p->t->store, &info->manifest.layers[i], diff_id, err) < 0)
			return -1;
	}
	return 0;
}

static int pull_pinned(struct pulling *p, struct err *err)
{
	const struct transfer *t = p->t;
	_cleanup_buf_ struct buf text = {0};
	struct oci_manifest manifest;
	char digest[DIGEST_HEX + 1];
	struct image_info info;
	struct image image = {.ref = t->ref.full, .source = p->source, .created = time(NULL)};

	if (manifest_get(p->c, &t->ref, t->platform, &text, digest, err) < 0 ||
	    oci_read_manifest(p->c->a, text.p, text.len, &manifest, err) < 0 ||
	    pin_add(p->pin, digest, err) < 0 || blob_put(t->store, text.p, text.len, NULL, err) < 0)
		return -1;
	p->wanted = arena_alloc(p->c->a, (manifest.n + 1) * sizeof(*p->wanted));
	if (get_config(p, &manifest.config, err) < 0 ||
	    image_info(p->c->a, t->store, digest, &info, err) < 0 ||
	    choose_layers(p, &info, err) < 0 ||
	    fetch_blobs(p->c, t->store, p->wanted, p->n, err) < 0 ||
	    check_layers(p, &info, err) < 0)
		return -1;
	memcpy(image.manifest, digest, sizeof(digest));
	if (image_put(t->store, &image, err) < 0)
		return -1;
	event_result(t->events, digest, p->n, p->reused);
	return 0;
}

static int pull_in(const struct transfer *t, struct session *s, struct err *err)
{
	_cleanup_client_ struct client c = {0};
	_cleanup_pin_ struct pin pin = PIN_NONE;
	struct pulling p = {.t = t, .c = &c, .pin = &pin};

	client_init(&c, s);
	p.source = s->auth.user || s->auth.token ? "pull" : IMAGE_PUBLIC;
	if ((t->anonymous && list_public(&p, err) < 0) || client_open(&c, err) < 0 ||
	    pin_make(t->store, &pin, err) < 0)
		return -1;
	return pull_pinned(&p, err);
}

int transfer_pull(const struct transfer *t, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct session_options o = {
		.registry = t->ref.registry,
		.repository = t->ref.repository,
		.plain_http = t->plain_http,
		.anonymous = t->anonymous,
		.authfile = t->authfile,
		.cert_dir = t->cert_dir,
	};
	struct auth auth = {0};
	struct session s = {0};
	int r;

	if (!t->anonymous &&
	    creds_find(a, t->authfile, t->ref.registry, t->ref.repository, &auth, err) < 0)
		return -1;
	if (session_init(&s, &o, &auth, t->events, err) < 0)
		return -1;
	r = pull_in(t, &s, err);
	session_done(&s);
	return r;
}
