/*
 * build_cache — what a step of a build made: <store>/cache/<key>.json {layer, created}
 *
 * The key is a SHA-256 over all that the step depends on (cli/build_key.h), so that a step whose key is known need not
 * be done again.  The layers that records name are kept by gc, until it is told to drop the cache.
 */
#ifndef SBX_STORE_BUILD_CACHE_H
#define SBX_STORE_BUILD_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct arena;
struct err;
struct store;

struct build_cached {
	char key[DIGEST_HEX + 1];
	char layer[DIGEST_HEX + 1]; /* "": the step changed nothing */
	int64_t created;
};

/* Not there: errnum ENOENT.  A damaged record is as good as none. */
int build_cache_get(const struct store *s, const char *key, struct build_cached *ret,
		    struct err *err);

int build_cache_put(const struct store *s, const struct build_cached *c, struct err *err);

/* All of them, sorted by key. */
int build_cache_list(struct arena *a, const struct store *s, struct build_cached **ret,
		     size_t *ret_n, struct err *err);

int build_cache_delete(const struct store *s, const char *key, struct err *err);

#endif
