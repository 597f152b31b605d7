/*
 * env — environments on disk: <store>/envs/<id>/{env.json,upper.<N>/,work/,home/,run/,lock,start}
 *
 * The store is $XDG_DATA_HOME/sbx (else ~/.local/share/sbx), 0700.  An
 * environment belongs to a project folder and has a name there ("default").
 * Its id is NAME-HASH, NAME from the folder, HASH from its path and the environment's name.
 *
 *     version            "2": the form of the whole store
 *     lock               layer.h
 *     envs/ID/env.json   what `struct env` says; the project percent-encoded (record.h)
 *     envs/ID/{upper.<N>,work,home,run}/   N counts the uppers that were used up by commit and reset
 *     layers/DIFFID/     layer.h
 *     tags/NAME.json     tag.h
 *     allow/HASH.json    what the user allowed (project.h)
 *     tmp/               half-made and half-removed things, never looked into
 *     host.json          cached facts about the machine (plan/host.h)
 */
#ifndef SBX_STORE_ENV_H
#define SBX_STORE_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

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

/* One link of a chain: a layer, and why it is there. */
struct commit {
	const char *digest;  /* of the layer: 64 hex digits */
	const char *message; /* "" where none was given */
	const char *by;      /* what made it: "sbx commit" */
	const char
		*tree;   /* its tree for the map of the environment, a name in the layer's folder */
	int64_t created; /* seconds since the epoch */
};

/* The lowest, which lies on the base, first. */
struct chain {
	struct commit *v;
	size_t n;
};

/* The image that an environment stands on: its layers are the lowest of the chain. */
struct env_image {
	const char *ref;               /* as the profile said it; NULL: none */
	char manifest[DIGEST_HEX + 1]; /* its digest */
	size_t n;                      /* so many layers are the image's */
	bool over_host;                /* which lie on the host's root */
	/* The topmost of which the profile's [build] made: what it said (cli/build_recipe.h).  "": it made none. */
	char build[DIGEST_HEX + 1];
};

struct env {
	const char *id;
	const char *dir;     /* absolute */
	int fd;              /* its folder */
	const char *project; /* absolute */
	const char *name;    /* "default" or what -e said */
	int rung;            /* enum id_rung, or -1 while none was used yet */
	int as;              /* 1 + enum user_as, which is a part of the map; 0: not known */
	int64_t created;     /* seconds since the epoch */
	struct chain chain;
	struct env_image image;
	/* The upper lies on so many layers of the chain.  Fewer than all: the others were committed
	 * while it ran (floating.h), until that is settled (env_chain.h). */
	size_t below;
	uint64_t upper_n;      /* the N of its upper folder */
	const char *upper;     /* "upper.<N>" */
	struct chain previous; /* what the last reset went away from, to which one can go back */
	bool fuse;             /* fuse-overlayfs wrote to this upper: whiteout.h has its dialect */
	/* A commit that a crash left half-done, beyond the point where it counts: env_chain.h ends it.
	 * Only then, and the chain above does not have it yet. */
	const char *stage; /* its staging folder in tmp/, or NULL */
	struct commit pending;
};

/* Open the environment `name` of `project`.  Not there: errnum ENOENT. */
int env_open(struct arena *a, const struct store *s, const char *project, const char *name,
	     struct env *ret, struct err *err);

/* What a new environment begins with, where it stands on an image: whose trees are for that map. */
struct env_from {
	struct env_image image;
	struct chain chain; /* image.n layers */
	int rung, as;       /* as in struct env */
};

/* The same, but make it where missing: whole or not at all, in tmp/ and renamed. */
int env_open_or_make(struct arena *a, const struct store *s, const char *project, const char *name,
		     struct env *ret, struct err *err);

/* The same, on an image (`from` NULL: on none).  The caller keeps its layers from gc meanwhile. */
struct env_want {
	const char *project, *name;
	const struct env_from *from;
};
int env_open_or_make_on(struct arena *a, const struct store *s, const struct env_want *want,
			struct env *ret, struct err *err);

/* Make one that must not be there yet (errnum EEXIST), with that chain, and the map and image of `like`. */
int env_make_fork(struct arena *a, const struct store *s, const struct env *like, const char *name,
		  const struct chain *chain, struct err *err);

int env_open_id(struct arena *a, const struct store *s, const char *id, struct env *ret,
		struct err *err);
void env_done(struct env *e); /* closes the fd */

/* A short name of the environment's id map, which tells the trees of a layer apart. */
const char *env_map_name(const struct env *e);

/* The id that `project` (absolute, clean) and `name` give: in `a`. */
const char *env_id(struct arena *a, const char *project, const char *name);

/* Record how it is started: the map (rung and as, as above), and that fuse-overlayfs will write to
 * the upper, which stays so until that is another (env.json, atomically). */
int env_set_used(struct env *e, int rung, int as, bool fuse, struct err *err);

/* All environments, sorted by id; each opened with fd -1. A damaged one is skipped with a warning. */
int env_list(struct arena *a, const struct store *s, struct env **ret, size_t *ret_n,
	     struct err *err);

/* Forget: rename into tmp/ under a unique name, which is returned for deletion
 * (its upper may hold subordinate ids, which only the user namespace can remove: run/). */
int env_retire(struct arena *a, const struct store *s, const struct env *e, const char **ret_tmp,
	       struct err *err);

#endif
