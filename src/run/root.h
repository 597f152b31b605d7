/*
 * root — the root filesystem of a sandbox, built in U.
 *
 * The building ground is a tmpfs over some folder of the host's that is not needed, in a mount
 * namespace of its builder's own.  In it all names are ours and short, so that no mount option needs
 * escaping:
 *
 *     env/       the environment's folder: the upper folder, work/, home/
 *     base/      the host's root (run/hostfs.h), or the folder of `image = dir:…`, mounted there
 *     standin/   the plan's stand-ins, over the base
 *     0/ 1/ …    the layers, the topmost first
 *     root/      the whole, mounted
 *     empty/ and nothing   an empty folder and an empty file, for masks
 */
#ifndef SBX_RUN_ROOT_H
#define SBX_RUN_ROOT_H

struct err;
struct plan;
struct service;
struct sources;

/* What it is built of; all borrowed. */
struct root_parts {
	const struct sources *sources; /* run/source.h */
	int hostfs;                    /* for hostfs_mount, where the base is the host; else -1 */
	int lock_fd;                   /* handed to fuse-overlayfs, or -1 */
};

/*
 * Build it.  The current folder is the environment's, in this mount namespace (unshare(2) moves a
 * current folder along, but no fd); afterwards it is the building ground.
 * Where the driver is fuse-overlayfs, ret_fuse is it, running.
 */
int root_build(const struct plan *plan, const struct root_parts *parts, struct service *ret_fuse,
	       struct err *err);

/*
 * The same, but only what lies below the upper folder, without stand-ins, and read-only: for whoever
 * wants to look.  ret_fd: it, opened for reading.
 */
int root_build_lower(const struct plan *plan, const struct root_parts *parts, int *ret_fd,
		     struct service *ret_fuse, struct err *err);

#define ROOT_STANDIN "standin"

/* What the kernel's overlay makes at each start, and does not need to find. */
#define ROOT_WORK "env/work/work"

/* The parts, for root.c alone; each works in the building ground. */
int root_standins(const struct plan *plan, struct err *err);
/* `overlay`: its options, of names in the building ground. */
int root_fuse(const struct plan *plan, const char *overlay, int lock_fd, struct service *ret_fuse,
	      struct err *err); /* root/ */

#endif
