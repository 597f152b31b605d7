/*
 * floating — layers that were committed while the sandbox ran (env.h, `below`).
 *
 * The upper folder of such an environment lies on what was there when the sandbox started, and not on
 * them.  What one of them has and is deleted after that commit leaves nothing in the upper: no
 * whiteout, for there was nothing below it to hide.  So what they have and the upper has not is deleted.
 */
#ifndef SBX_STORE_FLOATING_H
#define SBX_STORE_FLOATING_H

struct arena;
struct diff_input;
struct entries;
struct env;
struct err;
struct store;

/*
 * diff_entries against the whole chain of the environment, whatever of it the upper lies on: with floating
 * layers, what they have and is gone comes as ENTRY_DELETED.
 */
int floating_diff(struct arena *a, const struct store *s, const struct env *e,
		  const struct diff_input *in, struct entries *ret, struct err *err);

/*
 * Make the upper folder, which nobody uses, lie on the whole chain: whiteouts for what is gone, on disk.
 * That does not change what it shows on the old ground; env.json has to say then that it lies on all.
 */
int floating_settle(struct arena *a, const struct store *s, const struct env *e, struct err *err);

#endif
