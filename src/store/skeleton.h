/*
 * skeleton — a layer's tar without the contents of its files, zstd-compressed (skeleton.zst).
 *
 * With the tree it gives back the exact bytes of that tar, also of one that came from somebody else.
 * Inside the compression, after the 8 bytes "sbxskel1", a list of records, numbers little-endian:
 *
 *     'R' u32 n, n bytes              these bytes of the tar
 *     'F' u64 size, u32 n, n bytes    `size` bytes out of the tree's file of that name
 *     'E'                             the end
 */
#ifndef SBX_STORE_SKELETON_H
#define SBX_STORE_SKELETON_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

struct skeleton_writer; /* opaque */

/* Make the file `name` (which must not be there) in dir_fd, 0600. */
int skeleton_create(int dir_fd, const char *name, struct skeleton_writer **ret, struct err *err);
int skeleton_raw(struct skeleton_writer *w, const void *p, size_t n, struct err *err);
/* `path` as in struct entry; its padding is raw bytes again. */
int skeleton_file(struct skeleton_writer *w, const char *path, uint64_t size, struct err *err);
/* The end; the caller syncs it.  The writer is freed in either case. */
int skeleton_finish(struct skeleton_writer *w, struct err *err);
/* Give up: the file stays, half. NULL or an empty one is fine. */
void skeleton_abort(struct skeleton_writer **w);

struct skeleton_reader; /* opaque */

/* The tar of the skeleton `name` in dir_fd and the tree at tree_fd (borrowed). */
int skeleton_open(int dir_fd, const char *name, int tree_fd, struct skeleton_reader **ret,
		  struct err *err);
/*
 * The next bytes, at most n; 0 at the end; -1 and `err`.  EBADMSG: the skeleton is damaged, or a
 * file of the tree is missing, no plain file, or not of its size: the message names it.
 */
ssize_t skeleton_read(struct skeleton_reader *r, void *p, size_t n, struct err *err);
void skeleton_close(struct skeleton_reader **r);
#define _cleanup_skeleton_ __attribute__((cleanup(skeleton_close)))

#endif
