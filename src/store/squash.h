/*
 * squash — the layers of an environment, over its image, become one, which shows the same.
 *
 * In the environment's user namespace, with a view of the base and the image alone; the caller holds the
 * environment.
 */
#ifndef SBX_STORE_SQUASH_H
#define SBX_STORE_SQUASH_H

#include "store/commit.h"

/* `lower` is the base without any layer but the image's; `upper`, `running` and `exclude` of the input mean
 * nothing here.  In the result, `digest` and `bytes` are filled in.  Once it returns 0, all is on disk. */
int squash(struct arena *a, const struct commit_input *in, struct commit_result *ret,
	   struct err *err);

#endif
