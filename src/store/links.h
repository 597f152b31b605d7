/*
 * links — which names of a tree are one file: a table of inodes by the path that came first.
 */
#ifndef SBX_STORE_LINKS_H
#define SBX_STORE_LINKS_H

#include <sys/stat.h>

struct links; /* opaque */

struct links *links_new(void);
void links_free(struct links **l); /* NULL and an empty one are fine */
#define _cleanup_links_ __attribute__((cleanup(links_free)))

/*
 * The path under which the inode of `st` was met first; NULL where this is the first time, and
 * from now on it is `path`.  Also NULL for folders, and for what has but one name.
 */
const char *links_first(struct links *l, const struct stat *st, const char *path);

#endif
