/*
 * url — addresses of the web (RFC 3986), in the parts that decide who is asked and who may be told a secret.
 */
#ifndef SBX_REGISTRY_URL_H
#define SBX_REGISTRY_URL_H

#include <stdbool.h>

struct arena;
struct err;

struct url {
	const char *text; /* all of it, normalised */
	bool https;       /* else http; other schemes are refused */
	const char *host; /* lower case; an IPv6 address in brackets */
	const char *port; /* always said */
};

/* `text` may be relative to `base` (NULL: it is not).  One with a user or password in it is refused. */
int url_read(struct arena *a, const char *base, const char *text, struct url *ret, struct err *err);

/* The same scheme, host and port (RFC 6454). */
bool url_same_origin(const struct url *x, const struct url *y);

/* The address with NAME=VALUE added to its query, encoded as it must be. */
const char *url_with(struct arena *a, const char *text, const char *name, const char *value);

#endif
