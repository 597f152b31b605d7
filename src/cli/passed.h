/*
 * passed — which of the caller's variables a command inside gets.
 */
#ifndef SBX_CLI_PASSED_H
#define SBX_CLI_PASSED_H

struct arena;
struct profile;

/*
 * NAME=value of those in `environment` (NULL-terminated) that tell of the terminal and the language, or
 * that the profile passes, less those that it sets itself.  The list ends with NULL and lives in `a`.
 * The same whether the sandbox runs already or is just being started.
 */
const char *const *passed_env(struct arena *a, const struct profile *p,
			      const char *const *environment);

/* The same, and `own` (NULL-terminated, or NULL) before it, less what the profile sets or passes by these names. */
const char *const *passed_env_and(struct arena *a, const struct profile *p,
				  const char *const *environment, const char *const *own);

#endif
