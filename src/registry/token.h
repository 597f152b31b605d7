/*
 * token — what stands in the Authorization header: Basic (RFC 7617), or a token that somebody gives whom
 * the registry names (the distribution project's token authentication, and its OAuth2 form).
 */
#ifndef SBX_REGISTRY_TOKEN_H
#define SBX_REGISTRY_TOKEN_H

#include <stdbool.h>

struct arena;
struct auth;
struct challenge;
struct err;
struct http;
struct strv;
struct url;

/* "Basic …" */
const char *token_basic(struct arena *a, const char *user, const char *password);

struct token_want {
	const struct auth *auth;    /* may be empty: an anonymous token */
	const struct url *registry; /* who named the realm */
	bool loopback;              /* the registry is this machine */
	const struct challenge *challenge;
	const struct strv *scopes;
};

/* May that realm be asked, and be told the password (session.h)?  Fails where it may not be asked at all. */
int token_may_ask(struct arena *a, const struct token_want *want, struct url *ret_realm,
		  bool *ret_secrets, struct err *err);

/* "Bearer …".  Refused: errnum EACCES. */
int token_get(struct arena *a, struct http *h, const struct token_want *want, const char **ret,
	      struct err *err);

#endif
