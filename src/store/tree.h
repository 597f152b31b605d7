/*
 * tree — all that is in a folder of the store: a layer's tree, an upper folder, a home.
 */
#ifndef SBX_STORE_TREE_H
#define SBX_STORE_TREE_H

#include <stdint.h>

#include "store/diff.h"

struct arena;
struct err;

/* An entry, `name` in dir_fd; e->path is valid for the call alone.  e->verdict: ENTRY_DELETED of a whiteout,
 * else ENTRY_ADDED; e->opaque is not filled in. */
typedef int (*tree_fn)(void *ctx, int dir_fd, const struct entry *e, struct err *err);

/* Call fn for each entry, a folder before what is in it; the root is none.  No link is followed.
 * What vanishes meanwhile is left out.  Ends with what fn returned, if that is not 0. */
int tree_walk(int tree_fd, tree_fn fn, void *ctx, struct err *err);

/* The same as a list, sorted bytewise by path (a folder's without a slash), with `opaque`. */
int tree_entries(struct arena *a, int tree_fd, struct entries *ret, struct err *err);

/* What `name` in dir_fd and all below it take of the disk, in bytes; each inode once.  Missing: 0. */
int tree_usage(int dir_fd, const char *name, uint64_t *ret_bytes, struct err *err);

#endif
