/*
 * care — what the commands that look after the store share: namespaces for the store as a whole, and
 * what killed commands have left.
 */
#ifndef SBX_CLI_CARE_H
#define SBX_CLI_CARE_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

struct arena;
struct err;
struct plan;
struct store;

/* The id maps by name (env_map_name); NULL ends them. */
extern const char *const care_maps[];

/* A plan for userns_call alone.  `map` NULL: the one with the most ids that is to be had. */
int care_plan(struct arena *a, const struct store *s, const char *map, const struct plan **ret,
	      struct err *err);

/*
 * Remove what killed commands have left in tmp/: for each command that changes the store to call
 * first.  Cheap where there is nothing.  *ret_n and *ret_bytes (or NULL): how much that was.
 */
int care_sweep(struct arena *a, const struct store *s, size_t *ret_n, uint64_t *ret_bytes,
	       struct err *err);

/* The same for a command whose own work does not depend on it: a failure is only warned of. */
void care_tidy(struct arena *a, const struct store *s);

/* How much of the disk each path of the store takes (store/tree.h), whatever ids its files have. */
struct care_measure {
	const struct store *store;
	struct strv paths;
	uint64_t *bytes; /* of each: filled in */
};
int care_measure(struct arena *a, struct care_measure *m, struct err *err);

/* Memory that a child made by fork(2) shares, zeroed; free by munmap(2) or the end of the process. */
void *care_shared(size_t size);

#endif
