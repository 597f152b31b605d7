#include "registry/upload.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/num.h"
#include "store/blob.h"

static const char *const octets[] = {"Content-Type: application/octet-stream", NULL};

/* A blob on its way. */
struct sending {
	struct client *c;
	const struct upload *u;
	const char *location; /* where it goes; changes with each answer */
	uint64_t there;       /* bytes that the registry has */
	int fd;               /* borrowed */
};

static int head(struct client *c, const struct upload *u, bool *ret_there, struct err *err)
{
	_cleanup_answer_ struct http_answer answer = {0};
	const struct http_call call = {
		.method = "HEAD",
		.url = client_url(c, "blobs/sha256:%s", u->digest),
		.limit = CLIENT_ERROR_MAX,
	};

	if (client_call(c, &call, &answer, err) < 0)
		return -1;
	if (answer.status != 200 && answer.status != 404)
		return client_refused(c, "cannot ask for a blob", &answer, err);
	*ret_there = answer.status == 200;
	return 0;
}

static void moved(void *ctx, int64_t bytes)
{
	event_moved(ctx, bytes);
}

/* Where an upload goes on; another host may be named, and is given no credentials (client.h). */
static int take_location(struct sending *s, const struct http_answer *answer, struct err *err)
{
	const struct url *base = &s->c->session->base;
	struct url url;

	if (!answer->location)
		return err_set(err, "the registry '%s' does not say where to send a blob",
			       s->c->session->o.registry);
	if (url_read(s->c->a, s->location ? s->location : base->text, answer->location, &url, err) <
	    0)
		return err_prefix(err, "where to send a blob");
	if (base->https && !url.https)
		return err_set(err,
			       "the registry '%s' wants a blob sent to '%.200s', which is plain "
			       "http: refused",
			       s->c->session->o.registry, url.text);
	s->location = url.text;
	return 0;
}

/* "0-99": the registry has 100 bytes of it. */
static uint64_t range_end(const struct http_answer *answer)
{
	const char *s = answer->range;
	uint64_t n = 0;

	if (s && str_starts(s, "bytes="))
		s += strlen("bytes=");
	if (!s || !str_starts(s, "0-") || num_u64(s + 2, 0, INT64_MAX, &n, NULL) < 0)
		return 0;
	/* "0-0" is said of none, too. */
	return n > 0 ? n + 1 : 0;
}

/* A new upload; *ret_done: the registry had the blob elsewhere, and has it here now. */
static int begin(struct sending *s, const char *from, bool *ret_done, struct err *err)
{
	_cleanup_answer_ struct http_answer answer = {0};
	const char *url = client_url(s->c, "blobs/uploads/");
	struct http_call call = {.method = "POST", .headers = octets, .limit = CLIENT_ERROR_MAX};

	if (from) {
		url = url_with(s->c->a, url, "mount",
			       arena_printf(s->c->a, "sha256:%s", s->u->digest));
		url = url_with(s->c->a, url, "from", from);
	}
	call.url = url;
	if (client_call(s->c, &call, &answer, err) < 0)
		return -1;
	if (answer.status == 201) {
		*ret_done = true;
		return 0;
	}
	if (answer.status != 202)
		return client_refused(s->c, "cannot send a blob", &answer, err);
	s->location = NULL;
	s->there = 0;
	*ret_done = false;
	return take_location(s, &answer, err);
}

/* How far it came: the registry's word, after a cut.  -1: it knows nothing of it any more. */
static int ask_how_far(struct sending *s)
{
	_cleanup_answer_ struct http_answer answer = {0};
	const struct http_call call = {
		.method = "GET", .url = s->location, .limit = CLIENT_ERROR_MAX};
	struct err none;

	if (client_try(s->c, &call, &answer, &none) < 0 || answer.status != 204)
		return -1;
	s->there = range_end(&answer);
	if (s->there > s->u->size)
		return -1;
	return answer.location ? take_location(s, &answer, &none) : 0;
}

/* One PATCH of all that is missing.  1: it is all there, 0: another try may do it. */
static int patch(struct sending *s, struct http_answer *ret, struct err *err)
{
	const char *headers[3] = {octets[0], NULL, NULL};
	const struct http_call call = {
		.method = "PATCH",
		.url = s->location,
		.headers = headers,
		.limit = CLIENT_ERROR_MAX,
		.body_fd = s->fd,
		.body_offset = s->there,
		.body_size = s->u->size - s->there,
		.sent = moved,
		.sent_ctx = s->c->session->events,
	};

	if (s->there > 0)
		headers[1] = arena_printf(s->c->a, "Content-Range: %" PRIu64 "-%" PRIu64, s->there,
					  s->u->size - 1);
	if (client_try(s->c, &call, ret, err) < 0)
		return client_mendable(err) ? 0 : -1;
	if (ret->status == 202 || ret->status == 201) {
		s->there = s->u->size;
		return take_location(s, ret, err) < 0 ? -1 : 1;
	}
	(void)client_refused(s->c, "cannot send a blob", ret, err);
	/* 404: after a cut, some registries forget the upload, at this request or the next. */
	return ret->status == 416 || ret->status == 404 || client_busy(ret) ? 0 : -1;
}

/* The end: the registry checks the digest. */
static int finish(struct sending *s, struct err *err)
{
	_cleanup_answer_ struct http_answer answer = {0};
	const struct http_call call = {
		.method = "PUT",
		.url = url_with(s->c->a, s->location, "digest",
				arena_printf(s->c->a, "sha256:%s", s->u->digest)),
		.headers = octets,
		.limit = CLIENT_ERROR_MAX,
	};

	if (client_call(s->c, &call, &answer, err) < 0)
		return -1;
	if (answer.status == 201 || answer.status == 204)
		return 0;
	(void)client_refused(s->c,
			     arena_printf(s->c->a, "cannot send the blob sha256:%s", s->u->digest),
			     &answer, err);
	return answer.status == 400 ? err_hint(err, "sbx fsck tells whether the store is damaged")
				    : -1;
}

/* Try until all of it is there.  A try that brought it further counts for none. */
static int send_all(struct sending *s, struct err *err)
{
	uint64_t best = 0;
	unsigned lost = 0;
	long asked = 0;

	while (s->there < s->u->size) {
		_cleanup_answer_ struct http_answer answer = {0};
		bool done = false;
		int r;

		client_pause(lost, asked);
		/* After a cut: how far did it come?  Where nobody knows, anew. */
		if (lost > 0 && ask_how_far(s) < 0) {
			struct err why = {0};

			if (begin(s, NULL, &done, &why) < 0) {
				*err = why;
				return -1;
			}
			if (done)
				return 0;
		}
		lost = s->there > best ? 1 : lost + 1;
		best = s->there > best ? s->there : best;
		if (lost > CLIENT_TRIES)
			return -1;
		if (s->there == s->u->size)
			break;
		r = patch(s, &answer, err);
		if (r < 0)
			return -1;
		asked = answer.retry_after;
	}
	return finish(s, err);
}

/* Of "registry/repository", the repository if it is one of this registry and not the one at hand. */
static const char *elsewhere(const struct client *c, const char *seen)
{
	const struct session_options *o = &c->session->o;
	size_t n = strlen(o->registry);

	if (strncmp(seen, o->registry, n) != 0 || seen[n] != '/' ||
	    str_eq(seen + n + 1, o->repository))
		return NULL;
	return seen + n + 1;
}

/* A registry that does not mount begins an upload, which is used for sending. */
static int mount_or_begin(struct sending *s, bool *ret_done, struct err *err)
{
	const char *from = NULL;
	struct err why = {0};

	for (size_t i = 0; s->u->seen && s->u->seen[i] && !from; i++)
		from = elsewhere(s->c, s->u->seen[i]);
	if (from) {
		session_add_scope(s->c->session, from);
		if (begin(s, from, ret_done, &why) == 0)
			return 0;
	}
	return begin(s, NULL, ret_done, err);
}

int upload_blob(struct client *c, const struct upload *u, bool *ret_sent, struct err *err)
{
	struct sending s = {.c = c, .u = u};
	_cleanup_fd_ int fd = -1;
	bool done = false;
	uint64_t size = 0;

	if (head(c, u, &done, err) < 0)
		return -1;
	if (!done && u->refused)
		return err_set(err, "%s", u->refused);
	if (!done && mount_or_begin(&s, &done, err) < 0)
		return -1;
	if (done) {
		event_moved(c->session->events, (int64_t)u->size);
		*ret_sent = false;
		return 0;
	}
	if (blob_open(u->store, u->digest, &fd, &size, err) < 0)
		return -1;
	if (size != u->size)
		return err_set(err,
			       "the blob sha256:%s has %" PRIu64 " bytes, not the %" PRIu64
			       " of its manifest",
			       u->digest, size, u->size);
	s.fd = fd;
	if (send_all(&s, err) < 0)
		return -1;
	*ret_sent = true;
	return 0;
}
