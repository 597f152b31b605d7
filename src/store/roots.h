/*
 * roots — what of the store is needed: the layers, blobs and staging folders that environments, tags,
 * images, the build cache and the pins of running commands name.
 */
#ifndef SBX_STORE_ROOTS_H
#define SBX_STORE_ROOTS_H

#include "base/mem.h"
#include "store/env.h"

struct err;
struct image;
struct tag;

enum root_kind { ROOT_ENVIRONMENT, ROOT_TAG, ROOT_IMAGE };

/* One of them that cannot be read. */
struct root_damage {
	enum root_kind kind;
	const char *name; /* the id, the tag's name, the image's ref or the name of its file */
	const char *why;
};

/* A layer in the form that an image names; it may be there unpacked, too, or only so. */
struct root_blob {
	const char *blob;
	const char *layer; /* the diffID */
};

struct roots {
	struct env *envs; /* fd -1 */
	size_t n_envs;
	struct tag *tags;
	size_t n_tags;
	struct image *images;
	size_t n_images;
	struct strv layers; /* digests, each once, sorted */
	struct strv blobs;  /* manifests, configs, and what is pinned: likewise */
	struct {
		struct root_blob *v;
		size_t n, cap;
	} packed;
	struct strv cached;  /* digests of layers that the build cache knows */
	struct strv pending; /* names in tmp/ */
	struct strv left;    /* digests of what resets went away from, once each for each */
	struct {
		struct root_damage *v;
		size_t n;
	} damaged;
};

int roots_read(struct arena *a, const struct store *s, struct roots *ret, struct err *err);

/* Is the layer needed? */
bool roots_need(const struct roots *r, const char *digest);

/* Is the blob one that is needed as it is?  Those of layers (`packed`) are not among them. */
bool roots_need_blob(const struct roots *r, const char *digest);

/* Does the build cache know it? */
bool roots_cached(const struct roots *r, const char *digest);

/* Could a reset that was a mistake be undone with it? */
bool roots_left(const struct roots *r, const char *digest);

#endif
