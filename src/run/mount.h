/*
 * mount — what lies over the root: /dev, /tmp, /run, /sys, /proc, the home, the project and the
 * profile's own mounts.  Done by pid 1 while it is still in U, in a mount namespace of its own,
 * so that nothing in V can be unmounted there: mount_namespaces(7).
 */
#ifndef SBX_RUN_MOUNT_H
#define SBX_RUN_MOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "plan/plan.h"

struct err;
struct sources;

struct mounting;

/*
 * The plan's steps, in two parts.  First what needs no root: the new filesystems, which are nowhere yet,
 * and what is made in them.  Then all in their order, over root/ of the building ground, which is the
 * current folder by then.  Between the two the mount namespace may change.  *ret is done with after a
 * failure, too, of either.
 */
int mount_make(const struct plan *plan, struct mounting *ret, struct err *err);
int mount_put(struct mounting *m, const struct sources *sources, struct err *err);

/* Made zeroed. */
void mounting_done(struct mounting *m);

/* Make root/ the root; nothing of the host's stays.  The current folder is then "/". */
int mount_enter(struct err *err);

/* What the files mount*.c share; for nobody else. */

/* A mount that a step made: what later steps put into it needs no look at the root, which
 * somebody else may have shaped. */
struct mount_own {
	const char *target;
	int fd;
	bool borrowed; /* of made[] */
};

#define MADE_NOTHING (-1)
#define MADE_ALL (-2) /* there is nothing left to do */

struct mounting {
	const struct plan *plan;
	int root; /* -1 at first */
	/* For each step what mount_make has made of it: a mount that is to be put there, or one of these. */
	int *made;
	struct mount_own *own; /* room for one each step */
	size_t n_own;
};

/* The fd to start from for `target`, which is borrowed, and the path from there. */
int mount_start(const struct mounting *m, const char *target, const char **ret_rest);

/* The folder `target` inside, made where missing. */
int mount_folder(const struct mounting *m, const char *target, int *ret_fd, struct err *err);

/* From now on `fd`, of which it keeps a copy, is what `target` means. */
int mount_remember(struct mounting *m, const char *target, int fd, struct err *err);

/* One step of kind MOUNT_BIND; tree: its source (run/source.h), borrowed. */
int mount_bind(struct mounting *m, const struct mount_step *step, int tree, struct err *err);

#endif
