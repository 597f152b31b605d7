/*
 * client — requests to a registry: logged in where it asks, redirected, tried again.
 */
#ifndef SBX_REGISTRY_CLIENT_H
#define SBX_REGISTRY_CLIENT_H

#include "registry/http.h"
#include "registry/session.h"

struct err;

#define CLIENT_TRIES 5
#define CLIENT_REDIRECTS 3
#define CLIENT_ERROR_MAX ((size_t)64 << 10) /* of an answer that is none of what was asked for */

/* Of one thread. */
struct client {
	struct session *session; /* borrowed */
	struct http *http;
	struct arena *a;
};
#define _cleanup_client_ __attribute__((cleanup(client_done)))
void client_init(struct client *c, struct session *s);
void client_done(struct client *c);

/* Where the registry is, how it is spoken to, and whether it lets us in; -1: it is not there, or does not. */
int client_open(struct client *c, struct err *err);

/* "https://registry.example/v2/REPOSITORY/…" */
const char *client_url(struct client *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * One try.  Logs in where the registry asks for it; for GET and HEAD, follows up to 3 redirects,
 * none from https to http, and to other hosts without any credential.  A call to an address that is not the
 * registry's has none either.
 */
int client_try(struct client *c, const struct http_call *call, struct http_answer *ret,
	       struct err *err);

/* Is it worth another try: of a failure, or of an answer? */
bool client_mendable(const struct err *failure);
bool client_busy(const struct http_answer *answer);

/* Wait before try number `n` (0 is the first, before which nobody waits), and as long as it asked for. */
void client_pause(unsigned n, long retry_after_s);

/* client_try, up to 5 times. */
int client_call(struct client *c, const struct http_call *call, struct http_answer *ret,
		struct err *err);

/* An answer that is no good, as a failure: the status, and what it says of the cause. */
int client_refused(const struct client *c, const char *what, const struct http_answer *answer,
		   struct err *err);

#endif
