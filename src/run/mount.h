/*
 * mount — what lies over the root: /dev, /tmp, /run, /sys, /proc, the home, the project and the
 * profile's own mounts.  Done by pid 1 while it is still in U, in a mount namespace of its own,
 * so that nothing in V can be unmounted there: mount_namespaces(7).
 */
#ifndef SBX_RUN_MOUNT_H
#define SBX_RUN_MOUNT_H

#include "plan/plan.h"

struct err;
struct sources;

/* The plan's steps in order, over root/ of the building ground, which is the current folder. */
int mount_all(const struct plan *plan, const struct sources *sources, struct err *err);

/* Make root/ the root; nothing of the host's stays.  The current folder is then "/". */
int mount_enter(struct err *err);

/* What the files mount*.c share; for nobody else. */

/* A mount that a step made: what later steps put into it needs no look at the root, which
 * somebody else may have shaped. */
struct mount_own {
	const char *target;
	int fd;
};

struct mounting {
	const struct plan *plan;
	int root;
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
