/*
 * litter — what killed commands have left in the store's tmp/.
 *
 * Whoever makes something there holds a lock on it (flock(2)) until it is renamed to its place or is
 * removed; so what nobody has locked is litter.  Two things are not, though nobody has locked them: the staging
 * folder of a commit that env.json says is pending (env_chain.h), and what a process that
 * lives is making without a lock, whose number is in the name.
 */
#ifndef SBX_STORE_LITTER_H
#define SBX_STORE_LITTER_H

#include <stddef.h>
#include <stdint.h>

struct arena;
struct err;
struct store;

struct litter {
	const char **names; /* in tmp/ */
	int *fds;           /* each locked by us; -1: no folder */
	size_t n;
};

/* At most this many at once: each costs a descriptor. */
#define LITTER_MAX 64

/* Find and lock it.  Where there is none, that costs no more than a look into a folder. */
int litter_find(struct arena *a, const struct store *s, struct litter *ret, struct err *err);
void litter_done(struct litter *l); /* closes; removes nothing */

/*
 * Remove it; *ret_bytes, if not NULL: what it took of the disk.  For the user namespace
 * (run/view.h): there are files of any id in it.
 */
int litter_remove(const struct store *s, const struct litter *l, uint64_t *ret_bytes,
		  struct err *err);

#endif
