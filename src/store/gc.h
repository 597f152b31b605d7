/*
 * gc — layers that no environment and no tag needs any more.
 *
 * Marked and swept under the exclusive lock of the store, while nobody can make a layer reachable:
 * sweeping only renames them into tmp/, where they are litter (litter.h), which is removed later, without the
 * lock.  Where an environment or a tag cannot be read, nobody knows what it needs: no layer is swept then.
 */
#ifndef SBX_STORE_GC_H
#define SBX_STORE_GC_H

#include <stdbool.h>
#include <stddef.h>

#include "store/roots.h"

struct arena;
struct err;
struct store;

struct gc_result {
	char **layers; /* the digests of what is not needed: swept, if this was no dry run */
	size_t n;
	struct roots roots; /* roots.damaged: why none was */
};

#define GC_DRY_RUN 1U
#define GC_ALL 2U /* also what resets went away from (env.h, `previous`) */

int gc_layers(struct arena *a, const struct store *s, unsigned how, struct gc_result *ret,
	      struct err *err);

/* Files that were to replace a record, in a command that was killed: none is that old otherwise. */
#define GC_TEMP_AGE 60 /* seconds */

/* Remove them; *ret_n counts them. */
int gc_temps(const struct store *s, bool dry_run, size_t *ret_n, struct err *err);

#endif
