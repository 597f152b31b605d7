/*
 * unpack — a layer's tar becomes a tree in the store's form (whiteout.h).
 *
 * Runs in the user namespace of the environment's map (run/view.h), where the tar's ids are ids.
 * Nothing outside the tree is ever touched, whatever the tar holds: each entry is made by its
 * name in a folder that was reached from the tree's root without following a link, and never
 * in place of something that is there.
 *
 * Beyond untar.h it refuses: the same name twice (but for folders, of which the last counts); what
 * lies below a link or a file; a hard link to what is no earlier file, fifo or symbolic link
 * (which is never followed).  A whiteout beside an entry of the same name, in either order,
 * makes a folder opaque and is nothing else, since the entry hides what lies below already.
 *
 * Devices are left out.  Folders that the tar does not name are made 0755, of root, at time 0.
 * Runs of zeros become holes.
 */
#ifndef SBX_STORE_UNPACK_H
#define SBX_STORE_UNPACK_H

#include <stdbool.h>

#include "store/untar.h"

/* Of the folders that no entry names. */
#define UNPACK_PARENT_MODE 0755

/*
 * Into the empty folder tree_fd.  Without `owners` (there is but one id) all belongs to the caller, and
 * security.capability is left out.  What is there after a failure is for the caller to remove.
 * Nothing is synced.
 */
int unpack(struct untar *u, int tree_fd, bool owners, struct err *err);

#endif
