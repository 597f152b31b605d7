/*
 * emit — the canonical tar of a tree, in one pass over its bytes: its digest, its skeleton, or itself.
 *
 * The tree is in the store's form (whiteout.h).  Entries of the tar come bytewise by their names in it;
 * a whiteout is OCI's `.wh.NAME`, of time 0.
 */
#ifndef SBX_STORE_EMIT_H
#define SBX_STORE_EMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/layer.h"

struct entries;
struct err;

/* How far it is, in bytes of contents.  Called often. */
typedef void (*emit_progress_fn)(void *ctx, uint64_t done, uint64_t total);

struct emit {
	int tree; /* the folder */
	/* What to put in: the verdict says only whether it is a whiteout.  Of an entry, its lstat is
	 * taken once more. */
	const struct entries *list;
	bool owners;     /* else all belongs to 0:0 */
	int64_t newest;  /* times are no later than this (SOURCE_DATE_EPOCH), else INT64_MAX */
	int skeleton_at; /* the folder in which LAYER_SKELETON is made; the caller syncs it */
	emit_progress_fn progress; /* or NULL */
	void *progress_ctx;
};

/*
 * Fills in digest, entries, bytes and tar_size.  A file that is read while it changes is a failure, and so is a
 * name that a tar of layers cannot hold (`.wh.…`).  Sockets are left out.
 */
int emit_layer(const struct emit *in, struct layer_info *ret, struct err *err);

#endif
