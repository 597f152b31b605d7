/*
 * merge — several layers as one: what an overlay of their trees shows, in the store's form.
 *
 * The result lies on the same base as the lowest of them did, and shows the same: deletions stay, because
 * the base may have the name, and a folder that took the place of something else hides the base's.
 */
#ifndef SBX_STORE_MERGE_H
#define SBX_STORE_MERGE_H

#include <stddef.h>

#include "store/diff.h"

struct arena;
struct err;

/* An entry of the result, and the tree it comes from. */
struct merged {
	struct entry
		entry; /* the verdict: ENTRY_DELETED or ENTRY_ADDED; `opaque` as in the result */
	size_t layer;
};

struct merge {
	struct merged *v; /* a folder before what is in it */
	size_t n;
};

/* Of `n` trees (descriptors), the lowest first. */
int merge_layers(struct arena *a, const int *trees, size_t n, struct merge *ret, struct err *err);

/*
 * Leave out the deletions of what `base`, on which the result will lie, does not have.  They are not only
 * needless: where the base has not even the folder, the kernel's overlay would list their names.
 */
int merge_trim(struct merge *m, int base, struct err *err);

/* Make the result in the empty folder `to`: copies (reflinks where the filesystem has them), hard
 * links within a layer stay.  In the user namespace of the trees. */
int merge_copy(const int *trees, size_t n, const struct merge *m, int to, struct err *err);

#endif
