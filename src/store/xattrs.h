/*
 * xattrs — the extended attributes of a file that are a part of a layer.
 */
#ifndef SBX_STORE_XATTRS_H
#define SBX_STORE_XATTRS_H

#include <stdbool.h>
#include <stddef.h>

#include "store/tar.h"

struct arena;

/*
 * Those of `name` (one part; "." for the folder itself) in dir_fd, a link not followed; sorted bytewise by name.  Left out: an
 * overlay's bookkeeping (whiteout.h), security.selinux, and what this user namespace cannot be
 * shown (EOVERFLOW).  A filesystem without attributes has none.  0, or -1 with errno.
 */
int xattrs_read(struct arena *a, int dir_fd, const char *name, struct tar_xattr **ret,
		size_t *ret_n);

/* Are there the same ones in both places?  1, 0, or -1 with errno. */
int xattrs_same(int a_fd, int b_fd, const char *name);

#endif
