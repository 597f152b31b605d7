/*
 * unpack_walk — the folders on the way to an entry of a layer that is being unpacked: made or found without following
 * a link, and kept open, since the next entry is mostly near.
 */
#ifndef SBX_STORE_UNPACK_WALK_H
#define SBX_STORE_UNPACK_WALK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct err;

/* So many are kept open; what is deeper is walked to again. */
#define UNPACK_WALK_OPEN 32

struct unpack_level {
	int fd;
	size_t len; /* of its path, in walk.path */
};

struct unpack_walk {
	int tree; /* borrowed: the root */
	struct unpack_level v[UNPACK_WALK_OPEN];
	size_t n;
	struct buf path; /* of the last of them */
	/* Called for each folder that had to be made, or NULL. */
	int (*made)(void *ctx, const char *path, int fd, struct err *err);
	void *ctx;
};

/* The folder where the walk is: that of the last call of the two below, or the root.  Borrowed. */
int unpack_walk_fd(const struct unpack_walk *w);

/* To the folder of the first n bytes of `path`; none is the root. */
int unpack_walk_to(struct unpack_walk *w, const char *path, size_t n, struct err *err);

/* Down to `path`, whose parent is where the walk is; *ret_new: it was made, which `made` is not told of. */
int unpack_walk_enter(struct unpack_walk *w, const char *path, bool *ret_new, struct err *err);

void unpack_walk_done(struct unpack_walk *w);

#endif
