/*
 * root — the root filesystem of a sandbox, built by the supervisor in U.
 *
 * The building ground is a tmpfs over some folder of the host's that is not needed, in a mount
 * namespace of the supervisor's own.  In it all names are ours and short, so that no mount option needs escaping:
 *
 *     env/       the environment's folder: upper/, work/, home/, and
 *     env/base/  what shows of the host's root, or the folder of `image = dir:…`, mounted there
 *     env/standin/NAME/   the plan's stand-ins, the topmost lower
 *     root/      the whole, mounted
 *     empty/ and nothing   an empty folder and an empty file, for masks
 */
#ifndef SBX_RUN_ROOT_H
#define SBX_RUN_ROOT_H

#include <stdbool.h>

struct arena;
struct err;
struct plan;
struct service;

/*
 * Build it.  The current folder is the environment's, in this mount namespace (unshare(2) moves a
 * current folder along, but no fd); afterwards it is the building ground.
 * `base_dir`: the source of plan->base_dir (run/source.h), borrowed.
 * `lock_fd` is handed to fuse-overlayfs, where that is the driver: ret_fuse is it, running.
 */
int root_build(const struct plan *plan, int base_dir, int lock_fd, struct service *ret_fuse,
	       struct err *err);

/*
 * Only the building ground and in it, at ROOT_BASE, what lies below the upper folder, for whoever
 * wants to look.  The current folder before and after: as for root_build.
 */
struct root_base;
int root_lower(const struct plan *plan, struct root_base *base, struct err *err);

#define ROOT_BASE "env/base"

/* What the parts of root_build, and they alone, tell each other. */
struct root_base {
	/* All of the base and the environment are on one filesystem, and nothing is mounted in it: then
	 * an inode number alone tells files apart. */
	bool one_filesystem;
	char standin[64]; /* the folder of the stand-ins, from the building ground */
	int dir;          /* the folder of `image = dir:` (run/source.h), borrowed, or -1 */
};

/* The parts; each works in the building ground. */
int root_host(const struct plan *plan, struct root_base *ret_base, struct err *err);
int root_standins(const struct plan *plan, struct root_base *ret_base, struct err *err);
int root_fuse(const struct plan *plan, const struct root_base *base, int lock_fd,
	      struct service *ret_fuse, struct err *err); /* root/ */

/*
 * The options of the overlay, for either driver: relative names of the building ground, no byte
 * of a path of the user's.
 */
const char *root_options(struct arena *a, const struct plan *plan, const struct root_base *base,
			 const char *more);

#endif
