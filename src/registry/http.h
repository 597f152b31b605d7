/*
 * http — one request and its answer, over libcurl, with limits on all that a server can say.
 *
 * No redirect is followed and no credential is added here: client.h decides about both.
 * TLS is 1.2 or newer, and always verified.  A transfer that stands still for 30 seconds
 * (SBX_REGISTRY_TIMEOUT says how many others) fails.
 */
#ifndef SBX_REGISTRY_HTTP_H
#define SBX_REGISTRY_HTTP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "base/str.h"

struct err;

/* errnum of failures that another try may mend, and of a server that does not speak TLS. */
#define HTTP_AGAIN EAGAIN
#define HTTP_NO_TLS EPROTO

/* For all requests to a registry. */
struct http_settings {
	struct buf
		ca;  /* certificates beyond the system's, with the system's; empty: the system's */
	bool direct; /* by no proxy: this machine's own */
	bool outside_only; /* nothing is sent to this machine itself (outside.h) */
	long timeout_s;    /* how long it may stand still */
	atomic_bool stop;  /* somebody else failed: give up */
};

/*
 * `dirs` (NULL-terminated) are folders of *.crt; the first must be there where `named`.
 * http_settings_done frees it.
 */
int http_settings_init(struct http_settings *ret, const char *const *dirs, bool named,
		       struct err *err);
void http_settings_done(struct http_settings *s);

struct http; /* a connection, or several; of one thread */
struct http *http_new(struct http_settings *s);
void http_free(struct http *h);
void http_cleanup(struct http **h);
#define _cleanup_http_ __attribute__((cleanup(http_cleanup)))

struct http_answer {
	long status;
	long retry_after; /* seconds; 0: not said */
	struct buf body;  /* what went to no sink */
	struct strv authenticate;
	const char *location, *content_type, *content_digest, *content_range, *range;
};

/* A piece of a body with status 200 or 206. */
typedef int (*http_sink_fn)(void *ctx, const struct http_answer *so_far, const void *p, size_t n,
			    struct err *err);

struct http_call {
	const char *method; /* GET, HEAD, POST, PUT, PATCH */
	const char *url;
	const char *authorization;  /* "Basic …", "Bearer …" or NULL */
	const char *const *headers; /* "Accept: …", NULL-terminated; NULL: none */
	const char *body;           /* what is sent: these bytes, … */
	int body_fd;                /* … or where body is NULL, from this file; borrowed */
	uint64_t body_offset, body_size;
	size_t limit; /* of the body of an answer; for a sink, of that of errors */
	http_sink_fn sink;
	void *sink_ctx;
	void (*sent)(void *ctx, int64_t bytes); /* or NULL: how far the sending is */
	void *sent_ctx;
};

/* 0: there is an answer, whatever its status; its strings are in `a`. http_answer_done frees its body. */
int http_call(struct http *h, struct arena *a, const struct http_call *call,
	      struct http_answer *ret, struct err *err);
void http_answer_done(struct http_answer *answer);
#define _cleanup_answer_ __attribute__((cleanup(http_answer_done)))

#endif
