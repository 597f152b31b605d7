/*
 * userns — user namespaces and their id maps: user_namespaces(7), newuidmap(1).
 */
#ifndef SBX_RUN_USERNS_H
#define SBX_RUN_USERNS_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/proc.h"

struct id_map;
struct plan;

/*
 * fork(2) with the namespaces of `flags` (CLONE_NEWUSER, …) for the child, which is 0 here as
 * there; the child's signal at its end is SIGCHLD.  -1 with errno.
 */
pid_t userns_fork(int flags);

/* The same for a user namespace: a failure says why in `err`, with a hint. */
int userns_fork_new(pid_t *ret_pid, struct err *err);

/*
 * Map the namespace U of the child `pid`, which waits meanwhile.  With subordinate ids through
 * newuidmap and newgidmap, run side by side; with one id directly, and setgroups(2) is denied before.
 */
int userns_map_outer(const struct plan *plan, pid_t pid, struct err *err);

/* The same in two steps: the caller does something else while the helpers run. */
struct userns_mapping {
	bool helpers; /* they run, and userns_map_end waits for them */
	struct proc_child uids, gids;
	bool gids_failed;
	struct err why; /* why they did */
};
int userns_map_begin(const struct plan *plan, pid_t pid, struct userns_mapping *ret,
		     struct err *err);
int userns_map_end(struct userns_mapping *m, struct err *err);

/* Map the namespace V of `pid`; the caller is in U, with all capabilities there. */
int userns_map_inner(const struct plan *plan, pid_t pid, struct err *err);

#endif
