/*
 * image_load — the images of an archive or a layout (archive_in.h), as manifests of the store.
 */
#ifndef SBX_STORE_IMAGE_LOAD_H
#define SBX_STORE_IMAGE_LOAD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"

struct archive_in;
struct err;

struct image_loaded {
	char manifest[DIGEST_HEX + 1];
	const char *name; /* as the archive has it: a whole reference, or a tag alone; NULL: none */
	bool docker;      /* a name without a registry is one of docker.io */
};

/*
 * Every name's image (of an index that has one for several machines, this one's), with its config and layers: their blobs
 * are in the store, and pinned.  Nothing is unpacked: that a layer is what the config says is not known yet.
 */
int image_load(struct archive_in *in, struct image_loaded **ret, size_t *ret_n, struct err *err);

#endif
