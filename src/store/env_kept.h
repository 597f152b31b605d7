/*
 * env_kept — what a commit leaves uncommitted: paths that go on from the old upper folder, which
 * becomes a layer, into the new one.
 */
#ifndef SBX_STORE_ENV_KEPT_H
#define SBX_STORE_ENV_KEPT_H

#include "base/str.h"

struct err;

/* Add one to a list: a path, and the time of the folder that holds it, which the layer keeps. */
int env_kept_add(struct buf *list, const char *path, int parent_fd, struct err *err);

/*
 * Move what the file `list` in list_fd says (no such file: nothing) from one upper folder to the
 * other, by rename, making folders above it as they are in `from`.  What was moved before is
 * left out: it can be done again after a crash.
 */
int env_kept_move(int list_fd, const char *list, int from, int to, struct err *err);

#endif
