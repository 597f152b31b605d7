/*
 * fsck_blobs — the blobs, and the images that are made of them.
 */
#ifndef SBX_STORE_FSCK_BLOBS_H
#define SBX_STORE_FSCK_BLOBS_H

#include "store/emit.h"
#include "store/fsck.h"

/* Read each blob and compare it with its name.  One that gc removes meanwhile is no finding. */
int fsck_blobs(const struct store *s, struct findings *f, emit_progress_fn progress,
	       void *progress_ctx, struct err *err);

/*
 * Has each image what it is made of, by what was found of layers and blobs?  A layer is enough in either form,
 * unpacked or as its blob.
 */
void fsck_images(const struct store *s, const struct roots *roots, struct findings *f);

#endif
