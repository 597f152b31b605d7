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
	struct fetch_item *wanted;
	size_t n;
	uint64_t reused;
};

static void want(struct pulling *p, const struct oci_descriptor *d)
{
	struct fetch_item *item = &p->wanted[p->n++];

	memcpy(item->digest, d->digest, sizeof(item->digest));
	item->size = d->size;
	p->t->events->total += d->size;
}

static int get_config(struct pulling *p, const struct oci_descriptor *d, struct err *err)
{
	if (d->size > OCI_MAX)
		return err_set(err, "the config of the image has more than %zu bytes", OCI_MAX);
	if (pin_add(p->pin, d->digest, err) < 0)
		return -1;
	if (blob_has(p->t->store, d->digest))
		return 0;
	want(p, d);
	return fetch_blobs(p->c, p->t->store, p->wanted, p->n, err);
}

/* Layers that no registry may give on, whose `urls` say who would: that is nobody's business here. */
static bool is_foreign(const char *type)
{
	return strstr(type, "nondistributable") || strstr(type, ".foreign.");
}

static bool layer_is_there(const struct store *s, struct arena *a, const char *diff_id)
{
	_cleanup_fd_ int fd = -1;

	return layer_open(a, s, diff_id, &fd, NULL, NULL) == 0;
}

static int choose_layers(struct pulling *p, const struct image_info *info, struct err *err)
{
	p->n = 0;
	for (size_t i = 0; i < info->manifest.n; i++) {
		const struct oci_descriptor *d = &info->manifest.layers[i];

		if (pin_add(p->pin, d->digest, err) < 0 ||
		    pin_add(p->pin, info->config.diff_ids[i], err) < 0)
			return -1;
		if (blob_has(p->t->store, d->digest) ||
		    layer_is_there(p->t->store, p->c->a, info->config.diff_ids[i])) {
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

static int pull_pinned(struct pulling *p, struct err *err)
{
	const struct transfer *t = p->t;
	_cleanup_buf_ struct buf text = {0};
	struct oci_manifest manifest;
	char digest[DIGEST_HEX + 1];
	struct image_info info;
	struct image image = {.ref = t->ref.full, .source = "pull", .created = time(NULL)};

	if (manifest_get(p->c, &t->ref, t->platform, &text, digest, err) < 0 ||
	    oci_read_manifest(p->c->a, text.p, text.len, &manifest, err) < 0 ||
	    pin_add(p->pin, digest, err) < 0 || blob_put(t->store, text.p, text.len, NULL, err) < 0)
		return -1;
	p->wanted = arena_alloc(p->c->a, (manifest.n + 1) * sizeof(*p->wanted));
	if (get_config(p, &manifest.config, err) < 0 ||
	    image_info(p->c->a, t->store, digest, &info, err) < 0 ||
	    choose_layers(p, &info, err) < 0 ||
	    fetch_blobs(p->c, t->store, p->wanted, p->n, err) < 0)
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
	if (client_open(&c, err) < 0 || pin_make(t->store, &pin, err) < 0)
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
		.authfile = t->authfile,
		.cert_dir = t->cert_dir,
	};
	struct auth auth = {0};
	struct session s = {0};
	int r;

	if (creds_find(a, t->authfile, t->ref.registry, t->ref.repository, &auth, err) < 0 ||
	    session_init(&s, &o, &auth, t->events, err) < 0)
		return -1;
	r = pull_in(t, &s, err);
	session_done(&s);
	return r;
}
