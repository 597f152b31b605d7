/*
 * fsck_tree — is a tree of a layer what the layer's tar says, to the byte?
 */
#ifndef SBX_STORE_FSCK_TREE_H
#define SBX_STORE_FSCK_TREE_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/* Something that is wrong, in words. */
typedef void (*fsck_tell_fn)(void *ctx, const char *what);

struct fsck_tree {
	int layer_fd;
	const char *tree;   /* its name there */
	const char *digest; /* of the layer */
	uint64_t tar_size;  /* as layer.json says; 0: not known */
	bool owners;        /* the map has more than one id (unpack.h) */
	fsck_tell_fn tell;
	void *ctx;
};

/* After so many differences in one tree the others are only counted. */
#define FSCK_TOLD_MAX 10

/*
 * Tell all that is wrong: the digest of skeleton and tree together, and what an entry of the tree is
 * (kind, mode, owner, time, attributes, target, hard links), what is missing and what is too many.
 * For the user namespace of the tree's map.  0, however much was told; -1: it could not be looked at.
 */
int fsck_tree(const struct fsck_tree *t, struct err *err);

#endif
