/*
 * tag — names for chains: <store>/tags/NAME.json.
 *
 * A tag keeps its layers from gc, whatever becomes of the environment it was made from.
 */
#ifndef SBX_STORE_TAG_H
#define SBX_STORE_TAG_H

#include <stdint.h>

#include "store/env.h"

struct arena;
struct err;

struct tag {
	const char *name;
	const char *base;    /* "host", or "dir:/path": what the lowest layer lies on */
	const char *project; /* where it was made, for people */
	int64_t created;
	struct chain chain; /* the trees' names mean nothing in it */
};

/* A name as for an environment: ERR_USAGE where it is none. */
int tag_check_name(const char *name, struct err *err);

/* Write it, in place of an older one of the name. */
int tag_put(const struct store *s, const struct tag *tag, struct err *err);

/* Not there: errnum ENOENT, with a hint. */
int tag_get(struct arena *a, const struct store *s, const char *name, struct tag *ret,
	    struct err *err);
int tag_delete(const struct store *s, const char *name, struct err *err);

/* All that can be read, sorted by name; *ret_damaged counts the others, each told of in a warning. */
int tag_list(struct arena *a, const struct store *s, struct tag **ret, size_t *ret_n,
	     size_t *ret_damaged, struct err *err);

#endif
