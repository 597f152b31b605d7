/*
 * gc — layers and blobs that no environment, tag, image or running command needs any more.
 *
 * Marked and swept under the exclusive lock of the store, while nobody can make a layer reachable:
 * sweeping only renames them into tmp/, where they are litter (litter.h), which is removed later, without the
 * lock.  Where an environment, a tag or an image cannot be read, nobody knows what it needs: nothing is swept then.
 *
 * The build cache keeps its layers, but from GC_ALL.  What only helps goes with what it helps with: entries of the
 * cache, and known forms (form.h), of layers that are not there any more.
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
	char **blobs; /* the same */
	size_t n_blobs;
	char **partial; /* downloads that were cut, which nobody goes on with: removed */
	size_t n_partial;
	struct roots roots; /* roots.damaged: why none was */
};

#define GC_DRY_RUN 1U
#define GC_ALL 2U /* also what resets went away from (env.h, `previous`), and the build cache */
/* Also the compressed form of layers that are there unpacked: sending them then takes compressing them anew. */
#define GC_BLOBS 4U

int gc_layers(struct arena *a, const struct store *s, unsigned how, struct gc_result *ret,
	      struct err *err);

/*
 * Of layers and blobs that the caller made those that nothing needs, as after a failure; where something cannot be read
 * they stay for gc.
 */
int gc_forget(struct arena *a, const struct store *s, const struct strv *layers,
	      const struct strv *blobs, struct err *err);

/* Files that were to replace a record, in a command that was killed: none is that old otherwise. */
#define GC_TEMP_AGE 60 /* seconds */

/* Remove them; *ret_n counts them. */
int gc_temps(const struct store *s, bool dry_run, size_t *ret_n, struct err *err);

#endif
