/*
 * env — environments on disk: <store>/envs/<id>/{env.json,upper/,work/,home/,run/,lock}
 *
 * The store is $XDG_DATA_HOME/sbx (else ~/.local/share/sbx), 0700.  An
 * environment belongs to a project folder and has a name there ("default").
 * Its id is NAME-HASH, NAME from the folder, HASH from its path and the environment's name.
 *
 *     version            "1": the form of the whole store
 *     envs/ID/env.json   what `struct env` says; the project percent-encoded (record.h)
 *     envs/ID/{upper,work,home,run}/
 *     allow/HASH.json    what the user allowed (project.h)
 *     tmp/               half-made and half-removed things, never looked into
 *     host.json          cached facts about the machine (plan/host.h)
 */
#ifndef SBX_STORE_ENV_H
#define SBX_STORE_ENV_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct err;

struct store {
	const char *dir; /* absolute */
	int fd;          /* the folder, O_PATH-less directory fd */
};

/* Open the store, making what is missing (0700, owner checked).  store_done closes it. */
int store_open(struct arena *a, struct store *ret, struct err *err);
void store_done(struct store *s);

/* Add the hint that fits a failure to write into the store (read-only, no space); returns -1. */
int store_hint(struct err *err);

struct env {
	const char *id;
	const char *dir;     /* absolute */
	int fd;              /* its folder */
	const char *project; /* absolute */
	const char *name;    /* "default" or what -e said */
	int rung;            /* enum id_rung, or -1 while none was used yet */
	int as;              /* 1 + enum user_as, which is a part of the map; 0: not known */
	long long created;   /* seconds since the epoch */
};

/* Open the environment `name` of `project`.  Not there: errnum ENOENT. */
int env_open(struct arena *a, const struct store *s, const char *project, const char *name,
	     struct env *ret, struct err *err);

/* The same, but make it where missing: whole or not at all, in tmp/ and renamed. */
int env_open_or_make(struct arena *a, const struct store *s, const char *project, const char *name,
		     struct env *ret, struct err *err);

int env_open_id(struct arena *a, const struct store *s, const char *id, struct env *ret,
		struct err *err);
void env_done(struct env *e); /* closes the fd */

/* The id that `project` (absolute, clean) and `name` give: in `a`. */
const char *env_id(struct arena *a, const char *project, const char *name);

/* Record the map used: rung and as, as above (env.json, atomically). */
int env_set_map(struct env *e, int rung, int as, struct err *err);

/* All environments, sorted by id; each opened with fd -1. A damaged one is skipped with a warning. */
int env_list(struct arena *a, const struct store *s, struct env **ret, size_t *ret_n,
	     struct err *err);

/* Forget: rename into tmp/ under a unique name, which is returned for deletion
 * (its upper may hold subordinate ids, which only the user namespace can remove: run/). */
int env_retire(struct arena *a, const struct store *s, const struct env *e, const char **ret_tmp,
	       struct err *err);

#endif
