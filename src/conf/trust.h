/*
 * trust — what an untrusted profile asks for beyond its own project.
 *
 * A profile that came with somebody else's repository must not widen what it
 * gets in silence: each request below needs one `sbx allow` (DESIGN.md §3).
 */
#ifndef SBX_CONF_TRUST_H
#define SBX_CONF_TRUST_H

#include <stddef.h>

#include "conf/profile.h"

struct trust_request {
	const char *what; /* one line for people: "mount '/home/me/data' at '/data', read-write" */
	struct origin at; /* line 0: the file as a whole */
	bool optional;    /* it does without, as long as that is enough: what anybody is given */
};

/* What the store has under a registry's name for an image. */
enum trust_image {
	TRUST_IMAGE_ABSENT,
	TRUST_IMAGE_PUBLIC, /* as anybody was given it */
	TRUST_IMAGE_OWN,    /* whatever else: fetched with a login, loaded, tagged */
};

struct trust_facts {
	const char *project;                                   /* mount paths are relative to it */
	const char *home;                                      /* what ~ is */
	enum trust_image (*image)(void *ctx, const char *ref); /* NULL: all are absent */
	void *ctx;
};

/*
 * The requests of `p` that came from an untrusted file: a mount of a host path
 * outside `project`, an image of the user's own (of his store alone, from a registry on this machine, a path outside) as
 * the base or to copy from, network mode host, seccomp off, nested namespaces, a port on an
 * address that is not loopback, a passed variable beyond the harmless list.
 * An image of a registry that the store does not have asks for the user's login, as an option.  All in `a`.
 */
void trust_requests(struct arena *a, const struct profile *p, const struct trust_facts *f,
		    struct trust_request **ret, size_t *ret_n);

/* True for LANG, LC_*, TERM, COLORTERM, NO_COLOR, TZ … : what may be passed unasked. */
bool trust_env_harmless(const char *name);

#endif
