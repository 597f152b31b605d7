/*
 * challenge — what a server says in WWW-Authenticate (RFC 9110 section 11.6.1) about how to log in.
 */
#ifndef SBX_CONF_CHALLENGE_H
#define SBX_CONF_CHALLENGE_H

struct arena;
struct err;

struct challenge {
	enum { CHALLENGE_OTHER, CHALLENGE_BASIC, CHALLENGE_BEARER } scheme;
	const char *realm;   /* of Bearer: the address of who gives tokens; "" where not said */
	const char *service; /* likewise */
};

/* Of several challenges in one line the first that is known counts.  Fails with the cause alone. */
int challenge_parse(struct arena *a, const char *text, struct challenge *ret, struct err *err);

#endif
