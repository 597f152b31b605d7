/*
 * open — from the words of a command line to an opened project, and to a command that runs in it.
 *
 *     struct workplace w = WORKPLACE_EMPTY;      // _cleanup_workplace_
 *     open_project(a, &values->where, &w, err);  // the project folder and the store
 *     open_profile(a, &w, err);                  // sbx.ini, with the digest
 *     open_run(a, &w, &command, &status, err);   // allowed? running? run it
 */
#ifndef SBX_CLI_OPEN_H
#define SBX_CLI_OPEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"
#include "cli/opt.h"
#include "store/env.h"

struct arena;
struct err;
struct plan;
struct profile;

/* The options that every command on a project has; they come first in its struct of values. */
struct where {
	const char *env; /* NULL: "default" */
	const char *dir; /* NULL: the current folder */
	bool create;     /* make the environment where it is missing, whatever its name is */
};

#define OPT_ENV(type)                                              \
	{                                                          \
		"env", 'e', "NAME", offsetof(type, where.env),     \
			"the environment of the project [default]" \
	}
#define OPT_CREATE(type)                                                \
	{                                                               \
		"create", 0, NULL, offsetof(type, where.create),        \
			"make the environment NAME where there is none" \
	}
#define OPT_DIRECTORY(type)                                                                    \
	{                                                                                      \
		"directory", 'C', "DIR", offsetof(type, where.dir), "act as if started in DIR" \
	}

struct workplace {
	const char *cwd;     /* absolute: the caller's folder, or -C */
	const char *project; /* absolute: the folder that holds sbx.ini */
	const char *env_name;
	bool create; /* a missing one of another name than "default" is to be made */
	struct store store;
	struct env env; /* fd -1: not there */
	const struct profile *profile;
	char digest[DIGEST_HEX + 1]; /* of the profile's text */
	bool allowed; /* by open_check_allowed: what is the user's own may be used for it */
};

#define WORKPLACE_EMPTY                                 \
	{                                               \
		.store = {.fd = -1}, .env = {.fd = -1 } \
	}

void workplace_done(struct workplace *w);
#define _cleanup_workplace_ __attribute__((cleanup(workplace_done)))

/* The absolute folder that `dir` (NULL: the current one) means; changes to it. */
int open_cwd(struct arena *a, const char *dir, const char **ret, struct err *err);

/* cwd, project, env_name, store. */
int open_project(struct arena *a, const struct where *where, struct workplace *w, struct err *err);

/*
 * env.  Not there: errnum ENOENT, with a hint, where the next command may make it: "default", or any with --create.
 * Another name is an error without errnum, and the hint has the nearest of those that are there: a slip is not to
 * make an environment.
 */
int open_env(struct arena *a, struct workplace *w, struct err *err);

/* All of the above but the profile, of an environment that is there: the project's, or by its id. */
int open_env_of(struct arena *a, const struct where *where, const char *id, struct workplace *w,
		struct err *err);

/* profile and digest. */
int open_profile(struct arena *a, struct workplace *w, struct err *err);

/* The same, for what tells of an environment or undoes something in it: what is wrong in it is warned of and left out. */
void open_profile_rest(struct arena *a, struct workplace *w);

/* An error that names each request of the profile that was not allowed, with its file and line.  Sets w->allowed. */
int open_check_allowed(struct arena *a, struct workplace *w, struct err *err);

/*
 * Does the environment stand on the base that the profile names, and that its lock file pins?  Only what it was
 * made with counts: another is never taken in silence.
 */
int open_check_base(struct arena *a, const struct workplace *w, struct err *err);

/* What to tell of an environment that is there, where [build] says another thing by now; or NULL. */
const char *open_build_note(struct arena *a, const struct workplace *w);

/* What is to be done on this machine; the environment may be missing yet. */
int open_plan(struct arena *a, const struct workplace *w, const struct plan **ret, struct err *err);

/* The folder inside that --workdir means: absolute and clean, relative to `cwd`.  Magic links are refused. */
int open_workdir(struct arena *a, const char *cwd, const char *workdir, const char **ret,
		 struct err *err);

/*
 * A connection to the sandbox of `w` (opened so far: project and profile), which is started where it does not run,
 * as open_run does it.
 */
int open_sandbox(struct arena *a, struct workplace *w, int *ret_sock, struct err *err);

struct open_command {
	const char *const *argv; /* NULL: the user's shell */
	const char *const *
		env; /* variables of ours, NULL-terminated; the profile's go before them; or NULL */
	const char *workdir; /* as given, or NULL: where the caller is */
	bool as_root;
};

/*
 * Run it in the sandbox of `w` (opened so far: project and profile).  Refuses what was not allowed,
 * makes the environment where missing, starts the sandbox where it does not run.
 */
int open_run(struct arena *a, struct workplace *w, const struct open_command *command,
	     int *ret_status, struct err *err);

#endif
