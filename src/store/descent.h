/*
 * descent — a place in a tree that moves down and up again, with one descriptor however deep it is.
 *
 *     struct descent d = DESCENT_EMPTY;          // _cleanup_descent_
 *     descent_begin(&d, root_fd, O_RDONLY);
 *     descent_down(&d, "usr");                   // d.fd is usr
 *     descent_up(&d);                            // d.fd is the root
 *
 * No link is followed.  Who changes the tree meanwhile may make a step fail, but not lead it out:
 * a folder that was moved away is found again by its path, or not at all.
 */
#ifndef SBX_STORE_DESCENT_H
#define SBX_STORE_DESCENT_H

#include <stddef.h>
#include <sys/types.h>

#include "base/str.h"

struct descent_step {
	dev_t dev;
	ino_t ino;
	size_t path_len; /* of the folder's path */
};

struct descent {
	int root; /* borrowed */
	int flags;
	int fd;          /* the folder where it is */
	struct buf path; /* from the root, no leading slash; p is NULL at first */
	struct descent_step *steps;
	size_t n; /* how deep: 0 at the root */
	size_t cap;
};

#define DESCENT_EMPTY                 \
	{                             \
		.fd = -1, .root = -1, \
	}

/* `flags`: O_RDONLY or O_PATH, of the descriptor.  Each gives 0, or -1 with errno. */
int descent_begin(struct descent *d, int root_fd, int flags);
int descent_down(struct descent *d, const char *name);

/* Failing (ENOENT …), it is one level higher all the same, with fd -1: go on going up. */
int descent_up(struct descent *d);

/*
 * To the folder that holds the entry `path` (from the root, no leading slash), from wherever it is.
 * Failing, it is somewhere above that, and can be used again.
 */
int descent_to_parent(struct descent *d, const char *path);

void descent_done(struct descent *d);
#define _cleanup_descent_ __attribute__((cleanup(descent_done)))

#endif
