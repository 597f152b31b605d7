/*
 * build_env — an environment for one step of a build: in tmp/, so that no list shows it and that it is litter (litter.h)
 * as soon as nobody works with it, however that ended.
 *
 *     tmp/build-<boot>-<pid>-<random>/   flocked; in it what any environment has (env.h), but no home
 */
#ifndef SBX_STORE_BUILD_ENV_H
#define SBX_STORE_BUILD_ENV_H

#include "store/env.h"

struct arena;
struct err;

/* One that lies on `chain`.  Its fd holds the lock; env_done ends it. */
int build_env_make(struct arena *a, const struct store *s, const struct chain *chain,
		   struct env *ret, struct err *err);

/*
 * Remove it, if it may: what belongs to other ids only the user namespace can (run/view.h), or it stays as
 * litter.  Closes it.
 */
void build_env_remove(const struct store *s, struct env *e);

#endif
