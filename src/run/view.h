/*
 * view — look at, and change, an environment's files from outside any sandbox, with the ids that
 * its plan maps: for diff, commit and rm.
 */
#ifndef SBX_RUN_VIEW_H
#define SBX_RUN_VIEW_H

#include <stdbool.h>
#include <sys/types.h>

struct ahead;
struct err;
struct plan;

/*
 * Call fn in a child process in a user namespace of the plan's map.  It runs as the user's own id
 * there, so that what it makes is the user's, with all capabilities of that namespace, so that
 * it may read, change owners and remove whatever the map holds.  What fn changes in memory is lost;
 * its failure comes back in `err`.  The child dies with the caller.
 */
int userns_call(const struct plan *plan, int (*fn)(void *arg, struct err *err), void *arg,
		struct err *err);

/* The same in two steps: the caller gives fn what it reads meanwhile. */
struct userns_job {
	pid_t pid; /* of the child, which is the caller's to wait for: userns_call_end */
	int report;
};
int userns_call_begin(const struct plan *plan, int (*fn)(void *arg, struct err *err), void *arg,
		      struct userns_job *ret, struct err *err);
int userns_call_end(struct userns_job *job, struct err *err);

/* Folders, opened for reading. */
struct view {
	int lower; /* the base and the layers, merged, without the upper folder; read-only */
	int upper; /* the upper folder itself, as the overlay left it */
	struct ahead *ahead; /* lists that one; or NULL */
};

struct view_job {
	int (*fn)(const struct view *v, void *arg, struct err *err);
	void *arg;
	bool walks; /* over all of the upper: view.ahead begins while the rest is made ready */
};

/*
 * The same, in a mount namespace of its own that shows the environment's parts.  The sandbox may
 * run meanwhile: nothing of it is disturbed, as long as fn only reads.  When this returns, or
 * the caller is killed, nothing is left mounted or running.
 */
int view_call(const struct plan *plan, const struct view_job *job, struct err *err);

/* Whole roots, opened for reading. */
struct view_roots {
	int root; /* with the stand-ins and the upper folder, written through an overlay; -1: none */
	int from; /* another environment's, below its upper folder and read-only; -1: none */
};

/*
 * The same with roots: that of `plan`, which must not run meanwhile, to be changed from outside, and that of `from` (or
 * NULL) to be read.  fn runs as the root of these roots.
 */
int view_call_roots(const struct plan *plan, const struct plan *from,
		    int (*fn)(const struct view_roots *v, void *arg, struct err *err), void *arg,
		    struct err *err);

#endif
