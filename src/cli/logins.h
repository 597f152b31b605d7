/*
 * logins — the file that `sbx login` keeps passwords in, changed as a whole or not at all.
 */
#ifndef SBX_CLI_LOGINS_H
#define SBX_CLI_LOGINS_H

#include <stdbool.h>

struct arena;
struct auth;
struct err;

/* HOST[:PORT], perhaps with the beginning of a repository; no address of the web. */
int logins_check_name(struct arena *a, const char *registry, struct err *err);

/*
 * Set (user NULL: remove) the entry of `registry` in `file` (authfile_own), mode 0600.  All else in it stays.
 */
int logins_set(struct arena *a, const char *file, const char *registry, const struct auth *auth,
	       bool *ret_was_there, struct err *err);

#endif
