/*
 * creds — who the user is at a registry: out of the files of authfile.h, or from a credential helper.
 */
#ifndef SBX_REGISTRY_CREDS_H
#define SBX_REGISTRY_CREDS_H

#include "store/authfile.h"

struct arena;
struct err;

/* `named` as in authfile_paths; repository may be NULL.  Nothing known: all NULL.  No helper remains in it. */
int creds_find(struct arena *a, const char *named, const char *registry, const char *repository,
	       struct auth *ret, struct err *err);

/*
 * Ask docker-credential-NAME of `path_list` for the server: github.com/docker/docker-credential-helpers.
 * One that knows nothing of it is no failure.
 */
int creds_ask_helper(struct arena *a, const struct auth *which, const char *path_list,
		     struct auth *ret, struct err *err);

#endif
