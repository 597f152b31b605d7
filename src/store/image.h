/*
 * image — images of the store: a name for a manifest, whose config, layers and blobs the store has.
 *
 *     images/<ref, percent-encoded>.json   {ref, manifest, created, source}
 *
 * A ref is what `[base] image =` may say: "registry.example/me/tools:1" (always with its tag or digest),
 * "localhost/NAME:TAG" for what was made here, "oci:/dir:TAG", "tar:/file".
 */
#ifndef SBX_STORE_IMAGE_H
#define SBX_STORE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "store/env.h"
#include "store/oci.h"

struct arena;
struct err;
struct strv;

struct image {
	const char *ref;
	char manifest[DIGEST_HEX + 1];
	int64_t created; /* when it was named so here */
	/* "load", "bootstrap", "oci", "build", or "build PROJECT" by its [build]; "pull" where a login
	 * was at hand, IMAGE_PUBLIC where anybody was given it. */
	const char *source;
};

#define IMAGE_PUBLIC "public"

/* Name it, in place of an older one of the name. */
int image_put(const struct store *s, const struct image *image, struct err *err);
/* Not there: ENOENT, with a hint; damaged: EBADMSG. */
int image_get(struct arena *a, const struct store *s, const char *ref, struct image *ret,
	      struct err *err);
int image_delete(const struct store *s, const char *ref, struct err *err);
/* Sorted by ref; damaged ones are warned of and counted. */
int image_list(struct arena *a, const struct store *s, struct image **ret, size_t *ret_n,
	       size_t *ret_damaged, struct err *err);

/* The same by the names of their files in images/, for whoever looks after the store. */
int image_files(struct arena *a, const struct store *s, struct strv *ret, struct err *err);
int image_get_file(struct arena *a, const struct store *s, const char *file, struct image *ret,
		   struct err *err);

/* A manifest and its config, read and checked against each other (as many diffIDs as layers). */
struct image_info {
	char digest[DIGEST_HEX + 1]; /* of the manifest */
	struct oci_manifest manifest;
	struct oci_config config;
	bool over_host;   /* its layers lie on the host's root */
	const char *host; /* the fingerprint of that host, or NULL */
};

/* From the blobs.  A missing one: ENOENT, a damaged one: EBADMSG. */
int image_info(struct arena *a, const struct store *s, const char *manifest, struct image_info *ret,
	       struct err *err);

/* Seconds since the epoch of a time in a history (RFC 3339); 0 where it is none. */
int64_t image_time(const char *text);

/*
 * The chain of its layers, whose trees are for `map` (the trees must be there: ENOENT names the first
 * that is not): by "image", the messages the first lines of its history.
 */
int image_chain(struct arena *a, const struct store *s, const struct image_info *info,
		const char *map, struct chain *ret, struct err *err);

/*
 * Config and manifest for a chain: over `from` (NULL: none), whose config and history go on; the blobs of
 * the layers are `layers`, one for each of the chain.  Both are written as blobs, which the caller pins
 * (pin.h); the result is the manifest's digest.  The same input gives the same digest anywhere.
 */
struct image_make {
	const struct image_info *from;
	size_t n_from; /* so many of the chain's lowest layers are from's */
	/* NULL: from's, or one with a shell as Cmd.  Its history, where it has one, tells of the lowest
	 * layers; what is missing is added from the chain. */
	const struct oci_config *config;
	const struct chain *chain;
	const struct oci_descriptor *layers;
	struct oci_pairs annotations;
	int64_t created; /* SOURCE_DATE_EPOCH's, or the newest layer's; nothing in it is newer */
};
int image_make(struct arena *a, const struct store *s, const struct image_make *in,
	       char ret_manifest[DIGEST_HEX + 1], struct err *err);

#endif
