/*
 * mnt — mounts by file descriptor: fsopen(2), fsmount(2), open_tree(2), move_mount(2),
 * mount_setattr(2).  No string path is looked up twice, and no mount option needs escaping.
 *
 * A mount that was made or cloned is detached at first: its fd is its root folder, which can be
 * filled, and mnt_attach puts it at its place.  The fd goes on to mean that mount.
 */
#ifndef SBX_RUN_MNT_H
#define SBX_RUN_MNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* A key of a filesystem's options; value NULL: a flag. */
struct mnt_option {
	const char *key;
	const char *value;
};

/* A new instance of a filesystem; attributes MOUNT_ATTR_…; options end with a NULL key, or NULL. */
int mnt_new(const char *type, const struct mnt_option *options, uint64_t attributes, int *ret_fd,
	    struct err *err);

/* A tmpfs with nosuid and nodev, owned by uid and gid (as U numbers them). */
struct mnt_tmpfs {
	uint32_t mode, uid, gid;
};
int mnt_new_tmpfs(const struct mnt_tmpfs *how, int *ret_fd, struct err *err);

/* A clone of what is at `fd` (O_PATH is enough; it must be of this mount namespace). */
int mnt_clone(int fd, bool recursive, int *ret_fd, struct err *err);

/* Add attributes to a mount (recursive: and to those below). */
int mnt_restrict(int fd, uint64_t attributes, bool recursive, struct err *err);

/* Put a detached mount over the file or folder `target_fd`. */
int mnt_attach(int fd, int target_fd, struct err *err);

/*
 * Everything in this mount namespace a slave of where it was copied from: nothing goes out, and
 * what is unmounted there is unmounted here, too, so that no disk of the host's stays busy.
 */
int mnt_make_slave(struct err *err);

/* Everything in this mount namespace private: nothing goes out or comes in. */
int mnt_make_private(struct err *err);

#endif
