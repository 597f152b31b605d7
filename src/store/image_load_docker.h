/*
 * image_load_docker — the images of a tar as `docker save` and `podman save` write them; a part of image_load.h.
 */
#ifndef SBX_STORE_IMAGE_LOAD_DOCKER_H
#define SBX_STORE_IMAGE_LOAD_DOCKER_H

#include <stddef.h>

struct archive_in;
struct err;
struct image_loaded;

/* manifest.json names a config and layers by their files' names; a manifest is made of them. */
int image_load_docker(struct archive_in *in, struct image_loaded **ret, size_t *ret_n,
		      struct err *err);

/* See that the layers of a manifest that the store has are there, too. */
int image_load_layers(struct archive_in *in, const char *manifest, struct err *err);

#endif
