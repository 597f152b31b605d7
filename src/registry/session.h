/*
 * session — one registry: where it is, who we are there, and what it gave us for that.
 *
 * Whom a secret may be told (CVE-2020-15157, CVE-2026-48978).  User and password, which are those for the registry's
 * name alone, are told
 *   - the registry itself, by https or where plain http was chosen or is this machine's own;
 *   - who gives tokens for it, by https, where the registry named him by https; else only if he is
 *     the registry itself (the same scheme, host and port).
 * A registry that is spoken to by https cannot name one by http, and none can name this machine's own
 * network as its token's giver unless it is there itself.  A token is told nobody but the registry.
 *
 * Shared by threads; http handles are each one's own.
 */
#ifndef SBX_REGISTRY_SESSION_H
#define SBX_REGISTRY_SESSION_H

#include <pthread.h>
#include <stdbool.h>

#include "base/mem.h"
#include "registry/event.h"
#include "registry/http.h"
#include "registry/url.h"
#include "store/authfile.h"

struct err;

struct session_options {
	const char *registry;   /* as in the reference */
	const char *repository; /* NULL: none, a login is tried */
	bool push;              /* else pull */
	bool plain_http;
	bool anonymous;       /* without a login, and not to this machine: nobody allowed more */
	const char *authfile; /* NULL: the usual */
	const char *cert_dir; /* or NULL */
};

struct session {
	struct session_options o;
	struct http_settings http;
	struct url base;    /* "https://registry.example" */
	bool loopback;      /* it is this machine */
	const char *way_in; /* a hint: how to be let in */
	struct auth auth;
	struct events *events; /* borrowed */
	struct arena *a;       /* with `lock` */
	pthread_mutex_t lock;
	const char *
		authorization; /* the header's value that was good last; NULL: none was asked for */
	struct strv scopes;    /* what a token is to be good for */
};

/* `auth` is given by creds_find, or by the user.  session_done frees it; a zeroed one is fine. */
int session_init(struct session *ret, const struct session_options *o, const struct auth *auth,
		 struct events *events, struct err *err);
void session_done(struct session *s);

/* The base is plain http from now on. */
void session_use_plain(struct session *s);

/* Tokens shall be good for reading this repository too. */
void session_add_scope(struct session *s, const char *repository);

/* What to send to the registry now, in `a`; NULL: nothing. */
const char *session_authorization(struct session *s, struct arena *a);

/*
 * The registry refused `tried` (NULL: nothing was sent) with these challenges: find something else, or fail.
 * Asks for a token with `h`.
 */
int session_authenticate(struct session *s, struct http *h, const struct strv *challenges,
			 const char *tried, struct err *err);

#endif
