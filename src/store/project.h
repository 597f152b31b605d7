/*
 * project — finding sbx.ini, named profiles, and what the user allowed.
 */
#ifndef SBX_STORE_PROJECT_H
#define SBX_STORE_PROJECT_H

#include "conf/profile.h"

struct arena;
struct err;
struct store;
struct trust_request;

#define PROJECT_FILE "sbx.ini"

/* Walk up from `start` (absolute; NULL: the current folder) to the folder that holds sbx.ini. Not found:
 * errnum ENOENT, hint `sbx init`. */
int project_find(struct arena *a, const char *start, const char **ret_dir, struct err *err);

/* Read and parse <dir>/sbx.ini with everything it extends. */
int project_profile(struct arena *a, const char *dir, const struct profile **ret, struct err *err);

/* As profile_parse_rest.  One that cannot be read at all is as an empty one. */
int project_profile_rest(struct arena *a, const char *dir, const struct profile **ret,
			 struct err *err);

/* A named profile: ~/.config/sbx/profiles/NAME.ini, then the installed ones (or $SBX_PROFILES,
 * or profiles/ beside the build folder for a binary that is not installed).  A profile_find_fn. */
int project_find_named(void *ctx, struct arena *a, const char *name, struct profile_source *ret,
		       struct err *err);

struct named_profile {
	const char *name;
	const char *file;
	const char *summary; /* its first comment line */
};
int project_list_named(struct arena *a, struct named_profile **ret, size_t *ret_n, struct err *err);

/* The record of `sbx allow`: the digest of the profile's text, by project. */
int allow_get(const struct store *s, const char *project, const char *digest, bool *ret_allowed,
	      struct err *err);
int allow_put(const struct store *s, const char *project, const char *digest, struct err *err);

/* Did the project's last sandbox have no network?  Then one is more than it had, whatever other profiles may have. */
bool allow_was_closed(const struct store *s, const char *project);
int allow_set_closed(const struct store *s, const char *project, bool closed, struct err *err);

/* Was the user told of what a text of the profile does unasked?  `allow_set_told` puts it in place of an older one. */
bool allow_was_told(const struct store *s, const char *project, const char *digest);
int allow_set_told(const struct store *s, const char *project, const char *digest, struct err *err);

#endif
