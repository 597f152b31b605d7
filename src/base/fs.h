/*
 * fs — files by directory fd.
 *
 * Every path that somebody else may have shaped (a root, a layer, an image, a
 * project) is resolved once, by openat2(2), to an fd, and used through the fd.
 */
#ifndef SBX_BASE_FS_H
#define SBX_BASE_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

struct err;
struct buf;

/*
 * Open `path` inside the tree at `root_fd` as if that were "/"
 * (RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS): absolute links and ".." stay
 * inside.  O_CLOEXEC is added.  EAGAIN (a rename raced) is tried again.
 * Returns the fd through ret_fd.
 */
int fs_open_in_root(int root_fd, const char *path, int flags, mode_t mode, int *ret_fd,
		    struct err *err);

/* The same, strictly below dir_fd (RESOLVE_BENEATH): a link or ".." that leaves is an error. */
int fs_open_beneath(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd,
		    struct err *err);

/*
 * mkdir -p of `path` inside the root: what is there is followed as in
 * fs_open_in_root (a link to what is missing makes its target), what is missing
 * is made with `mode` less the umask.  *ret_fd is an O_PATH directory fd of the last part.
 */
int fs_mkdirs_in_root(int root_fd, const char *path, mode_t mode, int *ret_fd, struct err *err);

/* mkdir -p of a path of our own (the store, a runtime folder), mode for each new folder. */
int fs_mkdirs(const char *path, mode_t mode, struct err *err);

/*
 * Read a whole file of at most `limit` bytes; more is an error (EFBIG).  Adds to
 * `ret`.  dir_fd AT_FDCWD: any path of our own; else strictly below dir_fd, so that a
 * link which leaves it is an error.
 */
int fs_read_at(int dir_fd, const char *name, size_t limit, struct buf *ret, struct err *err);

/*
 * Replace `name` in dir_fd (as for fs_read_at) whole or not at all: written beside
 * it under a temporary name, fsync, rename, fsync of the folder.
 */
int fs_write_atomic(int dir_fd, const char *name, const void *p, size_t n, mode_t mode,
		    struct err *err);

/* Write all of it, going on after EINTR and short writes. -1 with errno. */
int fs_write_all(int fd, const void *p, size_t n);

/* Write a short text into an existing file by path (a /proc or /sys knob) in one write(2).
 * -1 with errno. */
int fs_write_knob(const char *path, const char *text);

/*
 * flock(2) on `name` in dir_fd (made 0600 where missing).  wait_ms: 0 tries
 * once, negative waits for ever, positive that long.  The lock lives as long as the fd.
 * Not had in time: errnum EWOULDBLOCK.
 */
int fs_lock_at(int dir_fd, const char *name, bool exclusive, int wait_ms, int *ret_fd,
	       struct err *err);

/*
 * rm -rf `name` below dir_fd, following no link, crossing no mount, however
 * deep it is.  Missing is fine.  Folders of ours without the rights for it get them first.
 * What can be removed is, even when something cannot; `err` names the first that could not.
 */
int fs_remove_tree_at(int dir_fd, const char *name, struct err *err);

#endif
