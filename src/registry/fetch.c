#include "registry/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "registry/crew.h"
#include "store/blob.h"
#include "store/env.h"

struct job {
	const struct store *store;
	const struct fetch_item *v;
};

/* A blob that is coming. */
struct download {
	struct client *c;
	const struct fetch_item *item;
	struct blob_writer *w;
	uint64_t have;  /* bytes that are there */
	bool begun;     /* this answer's first piece was looked at */
	bool from_file; /* some of it was there before we came */
};

/* "bytes 100-199/200": does it go on where we are? */
static bool continues(const struct http_answer *answer, uint64_t at)
{
	const char *s = answer->content_range;
	char number[24] = "";
	uint64_t n = 0;
	size_t len;

	if (answer->status != 206 || !s || !str_starts(s, "bytes "))
		return false;
	s += strlen("bytes ");
	len = strspn(s, "0123456789");
	if (len == 0 || len >= sizeof(number))
		return false;
	memcpy(number, s, len);
	return num_u64(number, 0, UINT64_MAX, &n, NULL) == 0 && n == at;
}

static int restart(struct download *d, struct err *err)
{
	if (blob_restart(d->w, err) < 0)
		return -1;
	event_moved(d->c->session->events, -(int64_t)d->have);
	d->have = 0;
	return 0;
}

static int sink(void *ctx, const struct http_answer *so_far, const void *p, size_t n,
		struct err *err)
{
	struct download *d = ctx;

	/* A server that does not know ranges sends it from the beginning. */
	if (!d->begun && d->have > 0 && !continues(so_far, d->have) && restart(d, err) < 0)
		return -1;
	if (!d->begun && d->have == 0 && so_far->status == 206 && !continues(so_far, 0))
		return err_set(err, "it sent a piece out of the middle that was not asked for");
	d->begun = true;
	if (n > d->item->size - d->have) {
		uint64_t size = d->item->size;

		(void)restart(d, NULL);
		return err_set(err,
			       "the blob sha256:%s is larger than the %" PRIu64
			       " bytes that it should have",
			       d->item->digest, size);
	}
	if (blob_write(d->w, p, n, err) < 0)
		return -1;
	d->have += n;
	event_moved(d->c->session->events, (int64_t)n);
	return 0;
}

/* One request.  1: it is all there, 0: not yet, and another try may do it. */
static int try_once(struct download *d, struct http_answer *ret, struct err *err)
{
	struct client *c = d->c;
	const char *headers[2] = {NULL, NULL};
	const struct http_call call = {
		.method = "GET",
		.url = client_url(c, "blobs/sha256:%s", d->item->digest),
		.headers = headers,
		.limit = CLIENT_ERROR_MAX,
		.sink = sink,
		.sink_ctx = d,
	};

	if (d->have > 0)
		headers[0] = arena_printf(c->a, "Range: bytes=%" PRIu64 "-", d->have);
	d->begun = false;
	if (client_try(c, &call, ret, err) < 0)
		return client_mendable(err) ? 0 : -1;
	if (d->have == d->item->size)
		return 1;
	if (ret->status == 416 && d->have > 0)
		return restart(d, err);
	if (ret->status == 200 || ret->status == 206) {
		err_set(err, "the blob sha256:%s ends after %" PRIu64 " of %" PRIu64 " bytes",
			d->item->digest, d->have, d->item->size);
		return 0;
	}
	(void)client_refused(
		c, arena_printf(c->a, "cannot get the blob sha256:%s", d->item->digest), ret, err);
	return client_busy(ret) ? 0 : -1;
}

/* Try until it is all there.  A try that brought it further counts for none. */
static int complete(struct download *d, struct err *err)
{
	uint64_t best = d->have;
	unsigned lost = 0;
	long asked = 0;

	while (d->have < d->item->size) {
		_cleanup_answer_ struct http_answer answer = {0};
		int r;

		client_pause(lost, asked);
		r = try_once(d, &answer, err);
		if (r != 0)
			return r < 0 ? -1 : 0;
		lost = d->have > best ? 1 : lost + 1;
		best = d->have > best ? d->have : best;
		if (lost >= CLIENT_TRIES)
			return -1;
		asked = answer.retry_after;
	}
	return 0;
}

static int fetch_now(struct download *d, struct err *err)
{
	if (d->have > d->item->size && restart(d, err) < 0)
		return -1;
	d->from_file = d->have > 0;
	if (complete(d, err) < 0)
		return -1;
	return blob_finish(TAKE_PTR(d->w), d->item->digest, d->item->size, NULL, err);
}

static int fetch_one(struct client *c, void *ctx, size_t i, struct err *err)
{
	const struct job *job = ctx;
	struct download d = {.c = c, .item = &job->v[i]};
	int r;

	if (d.item->again && blob_has(job->store, d.item->digest))
		return fetch_again(c, d.item, err);
	/* What was there before may be what is wrong: then once more, from the beginning. */
	for (int round = 0;; round++) {
		struct err why = {0};

		r = blob_resume(job->store, d.item->digest, &d.w, &d.have, &why);
		if (r < 0 && why.errnum == EEXIST) {
			event_moved(c->session->events, (int64_t)d.item->size);
			return 0;
		}
		if (r == 0) {
			event_moved(c->session->events, (int64_t)d.have);
			r = fetch_now(&d, &why);
			blob_abort(&d.w);
		}
		if (r == 0)
			return 0;
		if (why.errnum != EBADMSG || !d.from_file || round > 0) {
			*err = why;
			return -1;
		}
		event_moved(c->session->events, -(int64_t)d.have);
	}
}

static int compare_items(const void *p, const void *q)
{
	const struct fetch_item *a = p;
	const struct fetch_item *b = q;

	return strcmp(a->digest, b->digest);
}

int fetch_blobs(struct client *c, const struct store *s, struct fetch_item *v, size_t n,
		struct err *err)
{
	struct job job = {.store = s, .v = v};
	size_t kept = 0;

	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), compare_items);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || !str_eq(v[kept - 1].digest, v[i].digest))
			v[kept++] = v[i];
		else if (v[kept - 1].size != v[i].size)
			return err_set(err, "the manifest gives the blob sha256:%s two sizes",
				       v[i].digest);
	}
	return crew_work(c, fetch_one, &job, kept, err);
}
