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

enum fsck_kind { FSCK_LAYER, FSCK_ENVIRONMENT, FSCK_TAG };

struct finding {
	enum fsck_kind kind;
	const char *name; /* digest, id or tag */
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

/* Environments and tags, by what was found of the layers. */
void fsck_roots(const struct store *s, const struct roots *roots, struct findings *f);

#define FSCK_QUARANTINE "quarantine"

/* Put the damaged layers aside, as quarantine/DIGEST-TIME/; *ret_n counts them. */
int fsck_quarantine(const struct store *s, const struct findings *f, size_t *ret_n,
		    struct err *err);

/* Make litter of the damaged trees of further maps, of `map`; in its user namespace. */
int fsck_drop_trees(const struct store *s, const struct findings *f, const char *map,
		    struct err *err);

#endif
