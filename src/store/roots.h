/*
 * roots — what of the store is needed: the layers and staging folders that environments and tags name.
 */
#ifndef SBX_STORE_ROOTS_H
#define SBX_STORE_ROOTS_H

#include "base/mem.h"
#include "store/env.h"

struct err;
struct tag;

/* An environment or a tag that cannot be read. */
struct root_damage {
	bool is_tag;
	const char *name; /* the id, or the tag's name */
	const char *why;
};

struct roots {
	struct env *envs; /* fd -1 */
	size_t n_envs;
	struct tag *tags;
	size_t n_tags;
	struct strv layers;  /* digests, each once, sorted */
	struct strv pending; /* names in tmp/ */
	struct strv left;    /* digests of what resets went away from, once each for each */
	struct {
		struct root_damage *v;
		size_t n;
	} damaged;
};

int roots_read(struct arena *a, const struct store *s, struct roots *ret, struct err *err);

/* Is the layer needed? */
bool roots_need(const struct roots *r, const char *digest);

/* Could a reset that was a mistake be undone with it? */
bool roots_left(const struct roots *r, const char *digest);

#endif
