/*
 * layer_tree — the tree of a layer for an id map: tree/ for the map it was made with, tree-MAP/ for others.
 */
#ifndef SBX_STORE_LAYER_TREE_H
#define SBX_STORE_LAYER_TREE_H

#include <stdbool.h>

struct arena;
struct err;
struct layer_info;
struct store;

/* The name, in the layer's folder, of its tree for `map`; in `a`. */
const char *layer_tree_name(struct arena *a, const struct layer_info *info, const char *map);

struct layer_tree {
	const struct store *store;
	const char *digest;
	const char *map;
	bool owners; /* false: that map has but one id (unpack.h) */
};

/* Its name; *ret_there: whether it is there, so that nothing has to be made. */
int layer_tree_find(struct arena *a, const struct layer_tree *t, const char **ret_name,
		    bool *ret_there, struct err *err);

/*
 * Make it where it is missing, whole or not at all: the layer's tar is unpacked in tmp/, its digest
 * checked, all of it written to the disk, and renamed.  For the user namespace of `map`
 * (userns_call in run/view.h; t is a struct layer_tree).
 */
int layer_tree_make(void *t, struct err *err);

#endif
