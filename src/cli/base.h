/*
 * base — from `[base] image =` to an image of the store that is there and unpacked.
 *
 *     registry/name:tag     the store's, else pulled
 *     localhost/name:tag    the store's alone: what build, load and bootstrap name
 *     oci:DIR[:TAG]         an image layout, read anew where its index names another manifest
 *     tar:FILE              a root, as one layer; read anew where the file changed
 *     layer:DIGEST          one of the store
 *
 * A lock file (conf/lockfile.h) beside the profile pins what it is.
 */
#ifndef SBX_CLI_BASE_H
#define SBX_CLI_BASE_H

#include <stdbool.h>

#include "store/env.h"
#include "store/image.h"
#include "store/pin.h"

struct arena;
struct err;
struct plan;
struct plan_image;
struct profile;
struct store;

/* What an environment begins with. */
struct base {
	struct image_info info; /* zeroed where there is no image: host, dir */
	const char *ref;        /* as the profile has it; NULL: no image */
	struct chain chain;     /* the image's layers */
	char build[DIGEST_HEX +
		   1];  /* it is what this [build] made on `ref` (build_recipe.h); "": no build */
	struct pin pin; /* keeps them from gc until base_done, or the end of the process */
};

/* Whom it is for: the project, to which paths are relative, and whose ids it is unpacked for (images_plan, or the
 * plan of an environment). */
struct base_for {
	const struct store *store;
	const char *project;
	const struct plan *plan;
	bool allowed; /* the user's own images, and logins: else what anybody is given (trusted.h) */
};

/* Find it, or get it. */
int base_get(struct arena *a, const struct base_for *f, const struct profile *p, struct base *ret,
	     struct err *err);

/* The same for a reference at hand, as a profile may say it: FROM of a Containerfile.  No lock file counts. */
int base_get_ref(struct arena *a, const struct base_for *f, const char *ref, struct base *ret,
		 struct err *err);

/* A zeroed one is fine. */
void base_done(const struct store *s, struct base *b);

/* What an environment on it begins with. */
struct env_from base_from(const struct base *b, const struct plan *plan);

/* The name under which the store keeps a reference: with its tag, paths absolute.  `ref` as a profile may say it. */
int base_name(struct arena *a, const char *ref, const char *project, const char **ret,
	      struct err *err);

/* The manifest that the store has for the reference by now; NULL: none that is known. */
const char *base_known(struct arena *a, const struct store *s, const char *ref,
		       const char *project);

/*
 * What the plan needs to know of the image that `e` stands on.  Without its config (a damaged store) the
 * rest is filled in, and the failure is a warning.  `shell` is the user's.
 */
void base_facts(struct arena *a, const struct store *s, const struct env *e, const char *shell,
		struct plan_image *ret);

/* For base.c alone: the kinds that are read from files.  Each names the image (image_put), whose blobs are there. */
struct base_source {
	const struct store *store;
	const struct plan *plan;
	const struct pin *pin;
	const char *name;    /* in the store */
	const char *path;    /* absolute */
	const char *project; /* what lies in it is opened without following a link out */
	const char *tag;     /* oci: or NULL */
	bool allowed;        /* as in base_for */
	const char *
		source; /* tar: what made it, and no link; NULL: a file that is read anew where it changed */
};
int base_read_oci(struct arena *a, const struct base_source *src, char ret_manifest[DIGEST_HEX + 1],
		  struct err *err);
int base_read_tar(struct arena *a, const struct base_source *src, char ret_manifest[DIGEST_HEX + 1],
		  struct err *err);
int base_read_layer(struct arena *a, const struct base_source *src, const char *digest,
		    char ret_manifest[DIGEST_HEX + 1], struct err *err);
/* Open it for reading, as `src` says. */
int base_open(const struct base_source *src, int flags, int *ret_fd, struct err *err);

#endif
