/*
 * images — what the commands on images share: unpacking one for the user's ids, and making one of an environment.
 */
#ifndef SBX_CLI_IMAGES_H
#define SBX_CLI_IMAGES_H

#include <stdbool.h>

#include "base/digest.h"
#include "conf/trust.h"
#include "store/env.h"
#include "store/layer_pack.h"
#include "store/untar.h"

struct arena;
struct err;
struct image;
struct image_info;
struct image_ref;
struct pin;
struct plan;
struct store;
struct where;
struct workplace;

/* A plan for userns_call, of the map that an environment of this user has as a rule (`as = self`): no project, no environment. */
int images_plan(struct arena *a, const struct store *s, const struct plan **ret, struct err *err);

/* Keep all that the image names from gc: its manifest, config, blobs and layers. */
int images_pin(const struct pin *pin, const struct image_info *info, struct err *err);

/*
 * See that every layer of the image is in layers/, with a tree for the map of `plan`: what is missing is
 * unpacked from its blob, with progress.  Then its chain.  The caller holds a pin on what it names.
 */
int images_unpack(struct arena *a, const struct store *s, const struct plan *plan,
		  const struct image_info *info, struct chain *ret, struct err *err);

/*
 * A plain tar becomes a layer of the store, with its tree for the map of the plan: an archive_layer_fn (archive_in.h),
 * whose ctx is a struct images_taker.  SIGPIPE is ignored.
 */
struct images_taker {
	const struct store *store;
	const struct plan *plan;
};
int images_take_layer(void *ctx, const char *hex, uint64_t size, untar_read_fn read, void *read_ctx,
		      struct err *err);

/*
 * An image of the environment of `w` up to `chain` (history.h): its layers packed as blobs, config and manifest
 * made.  Where the chain is just that of the image it stands on, it is that image's manifest, bit for bit.
 */
struct images_env {
	struct workplace *w;
	const struct chain *chain;
	enum layer_form how;
	const struct pin *pin; /* gets what is made */
};
int images_of_env(struct arena *a, const struct images_env *in, char ret_manifest[DIGEST_HEX + 1],
		  struct err *err);

/*
 * The image with all its blobs there.  It is the same one, unless compressed layers were left only unpacked (gc --blobs),
 * or some are not in the form that is asked for (`any` false): these are packed anew, and the manifest is another.
 */
struct images_whole {
	const struct store *store;
	const char *manifest;
	enum layer_form how;
	bool any; /* whatever form a blob has */
	const struct pin *pin;
};
int images_whole(struct arena *a, const struct images_whole *in, char ret_manifest[DIGEST_HEX + 1],
		 struct err *err);

/*
 * The image that people mean by WHAT: the name of one, or a tag or layer of the environment (with all below it), or
 * NULL, the environment as it is.  *ret_ref: what it is called, NULL where it has no name that is one.
 */
struct images_what {
	struct workplace *w; /* its store is open; opened with its project where that is needed */
	const struct where *where;
	const char *word;
	enum layer_form how;
	bool any; /* as in images_whole */
	const struct pin *pin;
};
int images_what(struct arena *a, const struct images_what *in, char ret_manifest[DIGEST_HEX + 1],
		const char **ret_ref, struct err *err);

/*
 * A whole reference of what people and archives write: "tools" is localhost/tools:latest; with `docker`,
 * as docker has it, "debian:12" docker.io/library/debian:12.
 */
int images_name(struct arena *a, const char *name, bool docker, const char **ret, struct err *err);

/*
 * What the store has of a registry's image: under its name, or where that is by digest, of the same repository.  A blob
 * alone, which another image may have brought, is none.  ENOENT: nothing.
 */
int images_of_registry(struct arena *a, const struct store *s, const struct image_ref *ref,
		       struct image *ret, struct err *err);

/* Whose is the image of that manifest (*ret, if it has a name here)?  What the [build] of `project` made is no one's. */
enum trust_image images_of_manifest(struct arena *a, const struct store *s, const char *manifest,
				    const char *project, struct image *ret);

/* The source of an image that [build] of a project made: image.h. */
const char *images_built_by(struct arena *a, const char *project);

/* A name of this store for what is called `word` (a tag, a folder, a file): localhost/WORD:latest, whatever its bytes. */
const char *images_name_for(struct arena *a, const char *word, const char *tag);

#endif
