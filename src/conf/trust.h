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
	struct origin at;
};

/*
 * The requests of `p` that came from an untrusted file: a mount of a host path
 * outside `project`, an image of the user's own (of his store alone, from a registry on this machine, a path outside) as
 * the base or to copy from, network mode host, seccomp off, nested namespaces, a port on an
 * address that is not loopback, a passed variable beyond the harmless list.
 * Mount paths are expanded with `home` and taken relative to `project`. All in `a`.
 */
void trust_requests(struct arena *a, const struct profile *p, const char *project, const char *home,
		    struct trust_request **ret, size_t *ret_n);

/* True for LANG, LC_*, TERM, COLORTERM, NO_COLOR, TZ … : what may be passed unasked. */
bool trust_env_harmless(const char *name);

#endif
