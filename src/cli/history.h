/*
 * history — what the commands on an environment's layers share: its plan, holding it still, and layers by
 * the words that people use for them.
 */
#ifndef SBX_CLI_HISTORY_H
#define SBX_CLI_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/open.h"
#include "run/client.h"

struct arena;
struct env;
struct err;
struct plan;

/*
 * Project, store, the environment, which must be there, and the profile: the whole of it, or what can be read of it where
 * only its base counts.
 */
int history_open(struct arena *a, const struct where *where, bool whole, struct workplace *w,
		 struct err *err);

/*
 * A plan for view_call and userns_call: the ids, the base and the layers of the environment.  Of the
 * profile, only its base counts (NULL: the host's root): nothing that it asks for can be in the way.
 */
int history_plan(struct arena *a, const struct workplace *w, const struct plan **ret,
		 struct err *err);

/*
 * End the sandbox of w->env where nothing runs in it; one that does not run is as well.  EBUSY where something
 * does; `why` says what cannot be done ("reset").
 */
int history_end_idle(const struct workplace *w, const char *why, struct err *err);

/*
 * Hold the environment still (run/client.h), ending a sandbox in which nothing runs any more; what is
 * left of an earlier crash is settled, and w->env read anew.  Where commands run: EBUSY; `why` says what cannot be
 * done ("reset").
 */
int history_hold(struct arena *a, struct workplace *w, const char *why, struct client_hold *ret,
		 struct err *err);

/* End what a crash left half-done, if nobody uses the environment; w->env is read anew. */
int history_settle(struct arena *a, struct workplace *w, struct err *err);

/* Read w->env again: it may have changed until it was held.  Removed meanwhile: errnum ENOENT. */
int history_read_anew(struct arena *a, struct workplace *w, struct err *err);

/* A commit that a crash left half-done counts: add it to the chain, as its end will. */
void history_add_pending(struct arena *a, struct env *e);

/* What the layers lie on, for a tag: "host", "dir:/path", "image:MANIFEST" (of which they hold the layers). */
const char *history_base(struct arena *a, const struct workplace *w);

/* May the environment have a tag of that name?  Not where it is one of another project: it would lose it. */
int history_check_tag(struct arena *a, const struct workplace *w, const char *name,
		      struct err *err);

/* Name a chain of the environment, which is held. */
int history_put_tag(struct arena *a, const struct workplace *w, const char *name,
		    const struct chain *chain, struct err *err);

/* The patterns of `[commit] exclude`, ended by NULL; NULL where there are none. */
const char *const *history_excluded(struct arena *a, const struct workplace *w);

/* The paths of the layers' trees, topmost first, ended by NULL. */
const char *const *history_trees(struct arena *a, const struct store *s, const struct env *e);

/*
 * The chain that `word` means: "base" (the image's layers, or none), "-" (the one that the last reset went away from), a
 * layer of the environment, or of that one, by at least four digits of its digest (the chain up to
 * it), or a tag.
 */
int history_chain(struct arena *a, const struct workplace *w, const char *word, struct chain *ret,
		  struct err *err);

/*
 * Where the host's root is the base: the fingerprint of the host over which the last layer was made,
 * if that is not this one; else NULL.  Without `packages`, only the system counts, not its package list.
 */
const char *history_other_host(struct arena *a, const struct workplace *w, bool packages);

/* For messages: twelve digits. */
#define HISTORY_SHORT 12

#endif
