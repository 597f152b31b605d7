/*
 * fsck — is the whole store what it should be?
 *
 * What needs a user namespace is fsck_tree's; here is all else: the folders of the layers, environments,
 * tags, and what is put aside.
 */
#ifndef SBX_STORE_FSCK_H
#define SBX_STORE_FSCK_H

#include <stdbool.h>
#include <stddef.h>

#include "store/layer.h"
#include "store/roots.h"

struct arena;
struct err;
struct store;

enum fsck_kind { FSCK_LAYER, FSCK_ENVIRONMENT, FSCK_TAG, FSCK_IMAGE, FSCK_BLOB };

struct finding {
	enum fsck_kind kind;
	const char *name; /* digest, id, tag or ref */
	const char *tree; /* of a layer: only this tree, which can be made anew; else NULL */
	const char *what;
	const char *hint; /* or NULL */
};

struct findings {
	struct arena *a;
	struct finding *v;
	size_t n, cap;
};

void findings_add(struct findings *f, const struct finding *finding); /* copies the texts */

/* A tree of a layer that is to be looked at. */
struct fsck_job {
	const char *digest;
	const char *tree;
	const char *map;
	uint64_t tar_size;
	bool main; /* tree/: where it is damaged, so is the layer */
};

struct fsck_jobs {
	struct fsck_job *v;
	size_t n, cap;
};

/* All layers: layer.json, and which trees there are. */
int fsck_layers(const struct store *s, struct findings *f, struct fsck_jobs *ret, struct err *err);

/* Environments, tags and images that cannot be read, or that lack a layer, by what was found of those. */
void fsck_roots(const struct store *s, const struct roots *roots, struct findings *f);

#define FSCK_QUARANTINE "quarantine"

/* Put the damaged layers and blobs aside, as quarantine/DIGEST-TIME and quarantine/blob-NAME-TIME. */
struct fsck_aside {
	size_t layers, blobs; /* how many */
};
int fsck_quarantine(const struct store *s, const struct findings *f, struct fsck_aside *ret,
		    struct err *err);

/* Make litter of the damaged trees of further maps, of `map`; in its user namespace. */
int fsck_drop_trees(const struct store *s, const struct findings *f, const char *map,
		    struct err *err);

#endif
