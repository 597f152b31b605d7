/*
 * layer — the layers of the store: <store>/layers/<diffID>/{tree/,skeleton.zst,layer.json}
 *
 * A layer's name is the SHA-256 of its tar in hex, which is the OCI diffID.  It is never written after
 * it was published.  Files on disk belong to the ids of the map with which the tree was made
 * (`map` in layer.json, plan/ids); for another map the tree is made once more, as tree-MAP/.
 *
 * A layer is made in a staging folder tmp/layer-<boot>-<pid>-<random>/, which its maker has
 * flocked: one that nobody has flocked is litter, and any command may remove it.
 */
#ifndef SBX_STORE_LAYER_H
#define SBX_STORE_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct arena;
struct err;
struct store;

#define LAYER_TREE "tree"
#define LAYER_SKELETON "skeleton.zst"

/* What layer.json says. */
struct layer_info {
	char digest[DIGEST_HEX + 1];
	const char *map;  /* the id map of tree/: a short name such as "subids-self" */
	int64_t created;  /* seconds since the epoch */
	uint64_t entries; /* of the tar */
	uint64_t bytes;   /* contents of files */
	uint64_t tar_size;
	/* Over the host's root: its fingerprint (os-release's ID and VERSION_ID, architecture, digest of
	 * the package list), else NULL. */
	const char *host;
};

/* True for 64 lower-case hex digits. */
bool layer_is_digest(const char *s);

/* Its folder (O_RDONLY) and what layer.json says (NULL: not asked).  Not there: ENOENT, a hint. */
int layer_open(struct arena *a, const struct store *s, const char *digest, int *ret_fd,
	       struct layer_info *ret, struct err *err);

/* Is it there? */
bool layer_has(struct arena *a, const struct store *s, const char *digest);

/* The tree of that name in the layer's folder, to be listed. */
int layer_open_tree(struct arena *a, const struct store *s, const char *digest, const char *tree,
		    int *ret_fd, struct err *err);

/* The digests of all, sorted. */
int layer_list(struct arena *a, const struct store *s, char ***ret, size_t *ret_n, struct err *err);

/* A staging folder. */
struct layer_stage {
	const char *name; /* in tmp/ */
	int fd;           /* the folder; holds the lock */
};
int layer_stage_make(struct arena *a, const struct store *s, struct layer_stage *ret,
		     struct err *err);
void layer_stage_done(struct layer_stage *st); /* closes; removes nothing */
/* Remove the folder, where it was not published; what cannot be removed stays as litter. */
void layer_stage_remove(const struct store *s, const struct layer_stage *st);

/* Its tree, empty, where that is not the upper folder itself. */
int layer_stage_tree(const struct layer_stage *st, int *ret_fd, struct err *err);

/* Write layer.json into the staging folder, on disk. */
int layer_stage_info(const struct layer_stage *st, const struct layer_info *info, struct err *err);

/*
 * Rename the staging folder, which is complete and on disk, to layers/<digest>.  One of that name
 * that is there already is as good: *ret_new is then false, and the staging folder stays.
 */
int layer_publish(const struct store *s, const struct layer_stage *st, const char *digest,
		  bool *ret_new, struct err *err);

/*
 * The lock of the store: shared by what makes a layer reachable (from the look whether it is there
 * until env.json or a tag names it), exclusive for gc's mark and sweep.  Never held while hashing.
 * Order of locks: an environment's first, then this.
 */
int layer_lock(const struct store *s, bool exclusive, int *ret_fd, struct err *err);

#endif
