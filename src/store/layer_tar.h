/*
 * layer_tar — the whole tar of a layer, out of its skeleton and a tree, with its digest.
 */
#ifndef SBX_STORE_LAYER_TAR_H
#define SBX_STORE_LAYER_TAR_H

#include <stddef.h>
#include <sys/types.h>

#include "base/digest.h"

struct err;
struct layer_tar; /* opaque */

/* With the tree `tree` (LAYER_TREE, …) in the layer's folder, which is borrowed. */
int layer_tar_open(int layer_fd, const char *tree, struct layer_tar **ret, struct err *err);

/* An untar_read_fn, whose ctx is the struct layer_tar. */
ssize_t layer_tar_read(void *ctx, void *p, size_t n, struct err *err);

/* Read what is left, and give the digest of all.  Once. */
int layer_tar_digest(struct layer_tar *t, char ret_hex[DIGEST_HEX + 1], struct err *err);

void layer_tar_close(struct layer_tar **t);
#define _cleanup_layer_tar_ __attribute__((cleanup(layer_tar_close)))

#endif
