/*
 * commit_select — which of the changes go into the layer, which stay, and which are none.
 */
#ifndef SBX_STORE_COMMIT_SELECT_H
#define SBX_STORE_COMMIT_SELECT_H

#include <stdint.h>

#include "base/str.h"
#include "store/diff.h"

struct arena;
struct commit_result;
struct err;

struct selection {
	struct entries taken; /* what the layer holds, with the folders above it */
	struct buf kept;      /* the topmost of what stays uncommitted: paths, each ended by NUL */
	struct entries none;  /* what is no change, and sockets */
	struct entries same;  /* opaque folders in which nothing is different from what they hide */
};

void selection_done(struct selection *s);
#define _cleanup_selection_ __attribute__((cleanup(selection_done)))

/* Counts what is added, modified, deleted and kept in *ret_counts; `all` may be changed. */
void commit_select(struct arena *a, struct entries *all, struct selection *ret,
		   struct commit_result *ret_counts);

/*
 * Make the upper folder what the layer's tree has to be, without a change of what it shows: remove what is
 * no change, and an overlay's bookkeeping; times no later than `newest`.  Opaque folders that are the same
 * are moved to `trash` as upper.same.N.
 */
int commit_tidy(int upper, const struct selection *s, int64_t newest, int trash, struct err *err);

#endif
