#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "registry/creds.h"
#include "registry/crew.h"
#include "registry/transfer.h"
#include "registry/upload.h"
#include "store/blob.h"
#include "store/form.h"
#include "store/image.h"

struct pushing {
	const struct transfer *t;
	struct upload *v;
	size_t n;
	atomic_uint sent;
};

/* Each blob once, however often it is named. */
static void add(struct pushing *p, const struct oci_descriptor *d, const char *const *seen)
{
	struct upload *u = &p->v[p->n];

	for (size_t i = 0; i < p->n; i++) {
		if (str_eq(p->v[i].digest, d->digest))
			return;
	}
	*u = (struct upload){.store = p->t->store, .size = d->size, .seen = seen};
	memcpy(u->digest, d->digest, sizeof(u->digest));
	if (strstr(d->media_type, "nondistributable") || strstr(d->media_type, ".foreign."))
		u->refused = "a layer is of a kind that must not be given on to registries";
	p->t->events->total += d->size;
	p->n++;
}

/* Which repositories have this blob, as far as is known. */
static const char *const *seen_of(struct arena *a, const struct store *s, const char *diff_id,
				  const char *digest)
{
	struct form *forms = NULL;
	size_t n = 0;

	if (form_list(a, s, diff_id, &forms, &n, NULL) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (str_eq(forms[i].digest, digest))
			return forms[i].seen;
	}
	return NULL;
}

static int push_one(struct client *c, void *ctx, size_t i, struct err *err)
{
	struct pushing *p = ctx;
	bool sent = false;

	if (upload_blob(c, &p->v[i], &sent, err) < 0)
		return -1;
	if (sent)
		(void)atomic_fetch_add(&p->sent, 1);
	return 0;
}

static int put_manifest(struct client *c, const struct transfer *t, const struct buf *text,
			const char *type, struct err *err)
{
	_cleanup_answer_ struct http_answer answer = {0};
	const char *const headers[] = {arena_printf(c->a, "Content-Type: %s", type), NULL};
	const struct http_call call = {
		.method = "PUT",
		.url = t->ref.tag ? client_url(c, "manifests/%s", t->ref.tag)
				  : client_url(c, "manifests/sha256:%s", t->manifest),
		.headers = headers,
		.body = text->p,
		.body_size = text->len,
		.limit = CLIENT_ERROR_MAX,
	};

	if (client_call(c, &call, &answer, err) < 0)
		return -1;
	if (answer.status != 201 && answer.status != 200 && answer.status != 202)
		return client_refused(c, "cannot put the manifest", &answer, err);
	if (answer.content_digest && str_starts(answer.content_digest, "sha256:") &&
	    !str_eq(answer.content_digest + strlen("sha256:"), t->manifest))
		return err_set(err,
			       "the registry '%s' says that it has another manifest than the one "
			       "that was sent: '%.100s'",
			       t->ref.registry, answer.content_digest);
	return 0;
}

static int push_in(const struct transfer *t, struct session *s, struct err *err)
{
	_cleanup_client_ struct client c = {0};
	_cleanup_buf_ struct buf text = {0};
	struct pushing p = {.t = t};
	struct image_info info;

	client_init(&c, s);
	if (image_info(c.a, t->store, t->manifest, &info, err) < 0 ||
	    blob_read(t->store, t->manifest, OCI_MAX, &text, err) < 0 || client_open(&c, err) < 0)
		return -1;
	p.v = arena_alloc(c.a, (info.manifest.n + 1) * sizeof(*p.v));
	add(&p, &info.manifest.config, NULL);
	for (size_t i = 0; i < info.manifest.n; i++) {
		const struct oci_descriptor *d = &info.manifest.layers[i];

		add(&p, d, seen_of(c.a, t->store, info.config.diff_ids[i], d->digest));
	}
	if (crew_work(&c, push_one, &p, p.n, err) < 0 ||
	    put_manifest(&c, t, &text, info.manifest.media_type, err) < 0)
		return -1;
	event_result(t->events, t->manifest, atomic_load(&p.sent), p.n - atomic_load(&p.sent));
	return 0;
}

int transfer_push(const struct transfer *t, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct session_options o = {
		.registry = t->ref.registry,
		.repository = t->ref.repository,
		.push = true,
		.plain_http = t->plain_http,
		.authfile = t->authfile,
		.cert_dir = t->cert_dir,
	};
	struct auth auth = {0};
	struct session s = {0};
	int r;

	if (t->ref.digest && !str_eq(t->ref.digest, t->manifest))
		return err_set(err, "cannot push to '%s': the manifest has the digest sha256:%s",
			       t->ref.full, t->manifest);
	if (creds_find(a, t->authfile, t->ref.registry, t->ref.repository, &auth, err) < 0 ||
	    session_init(&s, &o, &auth, t->events, err) < 0)
		return -1;
	r = push_in(t, &s, err);
	session_done(&s);
	return r;
}

int transfer_check(const struct transfer *t, const char *registry, const struct auth *auth,
		   bool *ret_asked, struct err *err)
{
	const struct session_options o = {
		.registry = registry, .plain_http = t->plain_http, .cert_dir = t->cert_dir};
	_cleanup_client_ struct client c = {0};
	struct session s = {0};
	int r;

	if (session_init(&s, &o, auth, t->events, err) < 0)
		return -1;
	client_init(&c, &s);
	r = client_open(&c, err);
	if (r == 0)
		*ret_asked = session_authorization(&s, c.a) != NULL;
	client_done(&c);
	session_done(&s);
	return r;
}
