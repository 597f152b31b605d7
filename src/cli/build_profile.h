/*
 * build_profile — the steps of a profile's [build], as a build on the profile's base: what the project's environments
 * stand on.
 *
 * The same engine as for Containerfiles (build.h), with the same cache.  Commands run as root, by /bin/sh -ec, where the
 * project is: it shows there read-only, so that they can read what it has (requirements.txt), and a file of it that one
 * names is a part of its key.
 */
#ifndef SBX_CLI_BUILD_PROFILE_H
#define SBX_CLI_BUILD_PROFILE_H

#include <stdbool.h>

#include "cli/base.h"

struct arena;
struct err;
struct plan;
struct profile;
struct store;

struct build_profile {
	const struct store *store;
	const char *project; /* absolute, clean */
	const struct profile *profile;
	const struct plan *plan; /* for whose ids the result is unpacked; NULL: the usual ones */
	const char *ref;         /* the image's name; NULL: as the folder's (build_default_ref) */
	bool allowed;            /* as in base_for */
	bool no_cache;
	bool check;
	bool unlocked; /* whatever a lock file says of the base */
	bool cached_only; /* only say what was built, and name nothing: errnum ENOENT where a step is missing */
};

/* Build what is not known; *ret stands for the result as a base does.  Standard streams are as before when it returns. */
int build_profile(struct arena *a, const struct build_profile *in, struct base *ret,
		  struct err *err);

/*
 * What an environment of the project begins with: the base (base_get), or where there are steps, what they make on it.
 * A lock file counts; the image that it pins is taken as it is, where the store has it.
 */
int build_base_of(struct arena *a, const struct base_for *f, const struct profile *p,
		  struct base *ret, struct err *err);

#endif
