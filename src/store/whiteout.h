/*
 * whiteout — deletions in the upper folder of an overlay, and the dialects in which they are written.
 *
 * The store's one form is the kernel's: a 0:0 character device says that a name is deleted, the
 * attribute user.overlay.opaque=y that a folder hides what lies below it.  fuse-overlayfs reads
 * that, and writes whatever it can: the same, or files `.wh.NAME`, `.wh..wh..opq`, and
 * user.fuseoverlayfs.opaque.  All that is known about it is here.
 *
 * In an upper that the kernel wrote, a file named `.wh.x` is nothing but a file.
 */
#ifndef SBX_STORE_WHITEOUT_H
#define SBX_STORE_WHITEOUT_H

#include <stdbool.h>
#include <sys/stat.h>

struct err;

/* Who wrote the upper. */
enum whiteout_dialect { WHITEOUT_KERNEL, WHITEOUT_FUSE };

enum whiteout {
	WHITEOUT_NONE,   /* an entry like any other */
	WHITEOUT_DELETE, /* *ret_name, which points into `name`, is deleted */
	WHITEOUT_MARK,   /* no entry at all: marks its folder as opaque */
};

/* What the entry `name`, whose lstat is `st`, says. */
enum whiteout whiteout_entry(enum whiteout_dialect dialect, const char *name, const struct stat *st,
			     const char **ret_name);

/* The kernel's whiteout, as it is: a 0:0 device. */
bool whiteout_is_device(const struct stat *st);

/* Whether the folder hides what lies below it. */
int whiteout_opaque(enum whiteout_dialect dialect, int dir_fd, bool *ret, struct err *err);

/* True for the attributes of an overlay's own bookkeeping (user.overlay.*, user.fuseoverlayfs.*,
 * trusted.overlay.*, user.containers.*): never a part of a layer. */
bool whiteout_is_overlay_xattr(const char *name);

/* Make the two marks in the store's form. */
int whiteout_make(int dir_fd, const char *name, struct err *err);
int whiteout_make_opaque(int dir_fd, struct err *err);

/*
 * Turn an upper of fuse-overlayfs, which nobody uses meanwhile, into the store's form, in place.
 * At every moment it shows the same to fuse-overlayfs; a second call ends what a killed one began.
 */
int whiteout_normalise(int upper_fd, struct err *err);

#endif
