/*
 * untar — the entries of a layer's tar (ustar, pax, GNU), checked, whoever wrote it.
 *
 * What comes out can be made below a folder as it is: names are clean, lead nowhere else, and
 * each entry is of a kind that a layer may hold.  What does not hold is refused, and the message names
 * the entry: absolute names, "..", empty ones, a part of more than 255 bytes; `.wh.` names that say
 * nothing; a 0:0 character device (it would forge a deletion); more entries or bytes than the
 * limits; a header that is damaged, or that readers of tar understand differently; anything but
 * zeros behind the end.
 */
#ifndef SBX_STORE_UNTAR_H
#define SBX_STORE_UNTAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/tar.h"

struct err;
struct untar; /* opaque */

/* Fill p with at most n bytes of the tar; 0 at its end, -1 and `err`. */
typedef ssize_t (*untar_read_fn)(void *ctx, void *p, size_t n, struct err *err);

/* Bytes: the sizes of all files, holes included. */
struct untar_limits {
	uint64_t entries;
	uint64_t bytes;
};

enum untar_kind {
	UNTAR_FILE,
	UNTAR_FOLDER,
	UNTAR_SYMLINK,
	UNTAR_FIFO,
	UNTAR_HARDLINK, /* of the file `link`, which may come later: not checked here */
	UNTAR_WHITEOUT, /* the name is deleted in what lies below */
	UNTAR_OPAQUE,   /* the folder hides what lies below it; never the root */
	UNTAR_DEVICE,   /* left out of a tree: a sandbox has a /dev of its own */
};

struct untar_entry {
	enum untar_kind kind;
	const char *path; /* "a/b"; only a UNTAR_FOLDER may be "", the root */
	mode_t mode;      /* 07777 */
	uid_t uid;
	gid_t gid;
	int64_t mtime; /* whole seconds; fractions are dropped */
	uint64_t size; /* of a UNTAR_FILE */
	const char *link;
	const struct tar_xattr *xattrs; /* sorted bytewise; those that untar_keeps_xattr */
	size_t n_xattrs;
};

/* Attributes that a tree has: the user's own, file capabilities, access control lists.  No
 * bookkeeping of an overlay's, and none that depends on the machine (labels, trusted.*). */
bool untar_keeps_xattr(const char *name);

/* "cannot unpack 'path' of the layer's tar: why", errnum EBADMSG; returns -1.  The second one has
 * an errnum of its own, whose text is added. */
int untar_refuse(const char *path, const char *why, struct err *err);
int untar_failed(const char *path, const char *what, int errnum, struct err *err);

int untar_open(untar_read_fn fn, void *ctx, const struct untar_limits *limits, struct untar **ret,
	       struct err *err);
/* The next entry, valid until the next call.  At the end, *ret_end; `fn` has then given all it had. */
int untar_next(struct untar *u, struct untar_entry *ret, bool *ret_end, struct err *err);
/* The next piece of the current file's contents; what lies between pieces is zeros. */
int untar_data(struct untar *u, const void **ret_p, size_t *ret_n, uint64_t *ret_offset,
	       bool *ret_end, struct err *err);
/*
 * Tell `fn` of each entry before untar_next gives it, with the offset of the first of its headers in
 * the tar; where it fails, untar_next does.
 */
typedef int (*untar_watch_fn)(void *ctx, const struct untar_entry *e, uint64_t at, struct err *err);
void untar_watch(struct untar *u, untar_watch_fn fn, void *ctx);
void untar_close(struct untar **u);
#define _cleanup_untar_ __attribute__((cleanup(untar_close)))

#endif
