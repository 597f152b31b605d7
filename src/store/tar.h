/*
 * tar — the headers of the canonical tar of a layer: POSIX.1-2001 pax interchange format.
 *
 * The same entry gives the same bytes on any machine: numeric ids, no names of users, whole
 * seconds, nothing that this file does not say.  A pax header comes first only where ustar's fields
 * cannot hold a value: a path or link of more than 100 bytes, numbers that are too large or negative,
 * attributes (SCHILY.xattr.NAME).  Names may be any bytes (hdrcharset=BINARY where they are no UTF-8).
 *
 * Whiteouts are OCI's (image-spec, "layer"): an empty file `.wh.NAME`, and `.wh..wh..opq`.
 */
#ifndef SBX_STORE_TAR_H
#define SBX_STORE_TAR_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct arena;
struct buf;

#define TAR_BLOCK 512U
#define TAR_WHITEOUT ".wh."
#define TAR_OPAQUE ".wh..wh..opq"

struct tar_xattr {
	const char *name;
	const void *value;
	size_t size;
};

struct tar_entry {
	const char *path;      /* a folder's without the slash, which is added */
	const char *link;      /* a symlink's target, a hard link's earlier path; else NULL */
	const struct stat *st; /* st_mode (type too), ids, st_size of a file, st_rdev */
	int64_t mtime;         /* seconds */
	const struct tar_xattr *xattrs; /* sorted bytewise by name */
	size_t n_xattrs;
};

/* Add the header blocks of the entry. `link` of what is no symlink makes it a hard link. */
void tar_header(struct buf *out, const struct tar_entry *e);

/*
 * The name of an attribute out of the keyword of a pax header, in `a`: a keyword ends at '=', so that one
 * is written %3D and '%' %25, as GNU tar does.
 */
char *tar_xattr_name(struct arena *a, const char *keyword);

/* How many zero bytes follow `size` bytes of content, to fill the last block. */
size_t tar_padding(uint64_t size);

/* Add the two zero blocks of the end. */
void tar_end(struct buf *out);

#endif
