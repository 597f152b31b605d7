/*
 * env_chain — how the chain of an environment changes: never half, whatever happens meanwhile.
 *
 * env.json is replaced as a whole, and that is the moment when a change counts.  Where folders have
 * to be moved too, env.json says so first ("pending"), and whoever opens the environment next moves
 * what was not moved yet (env_settle).  In upper.<N> N is counted up each time, so that one that
 * env.json does not name is litter.
 *
 * All of these are for a caller who holds the environment (client_hold in run/client.h) and is in
 * its user namespace (run/view.h), because the uppers hold files of any id; env_check_current alone
 * needs nothing.
 */
#ifndef SBX_STORE_ENV_CHAIN_H
#define SBX_STORE_ENV_CHAIN_H

#include <stdbool.h>

#include "store/env.h"
#include "store/layer.h"

/* In a staging folder: the list of what stays uncommitted (env_kept.h). */
#define CHAIN_KEPT "kept"

/* Put a commit on top: the chain gets memory of its own, in `a`. */
void chain_add(struct arena *a, struct chain *chain, const struct commit *c);

/* False where something is to be settled: a commit that a crash left pending, an upper folder too many
 * or too few, layers that were committed while the sandbox ran.  Cheap. */
bool env_is_settled(const struct env *e);

/* errnum ESTALE where env.json says something else by now than it did when `e` was read: open it anew. */
int env_check_current(const struct env *e, struct err *err);

/*
 * The commit `c`: its layer is complete in `st` but for the tree, and the tree is the upper folder.
 * From here on it counts.  What CHAIN_KEPT lists goes on into the new upper.  Moves everything, too.
 */
int env_commit_upper(struct arena *a, const struct store *s, struct env *e,
		     const struct layer_stage *st, const struct commit *c, struct err *err);

/* The same for a layer that is complete in `st`, with its tree, while the sandbox runs: the upper folder
 * stays as it is, and where it is (env.h, `below`). */
int env_commit_layer(struct arena *a, const struct store *s, struct env *e,
		     const struct layer_stage *st, const struct commit *c, struct err *err);

/* Likewise, but the layer takes the place of all that lie over the environment's image: it shows the same as
 * they. */
int env_replace_layers(struct arena *a, const struct store *s, struct env *e,
		       const struct layer_stage *st, const struct commit *c, struct err *err);

/* Another chain, of which the image's layers are the lowest, and an empty upper folder.  A chain that loses layers by it is kept as `previous`. */
int env_set_chain(struct arena *a, const struct store *s, struct env *e, const struct chain *chain,
		  struct err *err);

/* Another image (NULL: none) with its layers alone, and an empty upper folder.  What was there before is not kept
 * as `previous`: it lay on something else. */
int env_set_image(struct arena *a, const struct store *s, struct env *e,
		  const struct env_from *from, struct err *err);

/* Settle it: end what a crash left half-done, and so on. */
int env_settle(struct arena *a, const struct store *s, struct env *e, struct err *err);

#endif
