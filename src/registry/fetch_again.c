/* Does the registry give us what the store has already?  Its bytes say so; they are counted, and forgotten. */
#include "base/err.h"
#include "base/str.h"
#include "registry/fetch.h"

struct reading {
	struct client *c;
	const struct fetch_item *item;
	struct digest *d;
	uint64_t have;
};

static int sink(void *ctx, const struct http_answer *so_far, const void *p, size_t n,
		struct err *err)
{
	struct reading *r = ctx;

	(void)so_far;
	if (n > r->item->size - r->have)
		return err_set(err, "the blob sha256:%s is larger than it should be",
			       r->item->digest);
	digest_add(r->d, p, n);
	r->have += n;
	event_moved(r->c->session->events, (int64_t)n);
	return 0;
}

/* 1: it is the same, 0: another try may do it. */
static int try_once(struct reading *r, long *ret_asked, struct err *err)
{
	_cleanup_answer_ struct http_answer answer = {0};
	struct client *c = r->c;
	const struct http_call call = {
		.method = "GET",
		.url = client_url(c, "blobs/sha256:%s", r->item->digest),
		.limit = CLIENT_ERROR_MAX,
		.sink = sink,
		.sink_ctx = r,
	};
	char hex[DIGEST_HEX + 1];
	int e;

	r->d = digest_new();
	r->have = 0;
	e = client_try(c, &call, &answer, err);
	digest_end(r->d, hex);
	if (e < 0)
		return client_mendable(err) ? 0 : -1;
	*ret_asked = answer.retry_after;
	if (answer.status == 200 && r->have == r->item->size && str_eq(hex, r->item->digest))
		return 1;
	if (answer.status == 200)
		return err_set(err, "what came for the blob sha256:%s is another", r->item->digest);
	(void)client_refused(c,
			     arena_printf(c->a, "cannot get the blob sha256:%s", r->item->digest),
			     &answer, err);
	return client_busy(&answer) ? 0 : -1;
}

int fetch_again(struct client *c, const struct fetch_item *item, struct err *err)
{
	struct reading r = {.c = c, .item = item};
	long asked = 0;

	for (unsigned n = 0; n < CLIENT_TRIES; n++) {
		int e;

		client_pause(n, asked);
		e = try_once(&r, &asked, err);
		if (e != 0)
			return e < 0 ? -1 : 0;
		event_moved(c->session->events, -(int64_t)r.have);
	}
	return -1;
}
