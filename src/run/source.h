/*
 * source — the host paths that a plan shows inside: the project, the profile's mounts, the root
 * folder of `image = dir:`.  Each is opened and checked once, before anything is built, and goes
 * on as a detached clone of its mounts (run/mnt.h): what its path means later is of no account.
 */
#ifndef SBX_RUN_SOURCE_H
#define SBX_RUN_SOURCE_H

#include <stddef.h>

struct err;
struct plan;

/* Made zeroed.  No source: -1; that of an optional step that is not there, too. */
struct sources {
	int *step; /* one for each of the plan's mounts */
	size_t n;
	int base;   /* of plan->base_dir */
	int *layer; /* one for each of the plan's layers, and a -1 */
};

/* In the mount namespace that the clones are to be of.  Fails with the profile's file and line. */
int sources_open(const struct plan *plan, struct sources *ret, struct err *err);
/* Only what the root is made of, the base and the layers, for a look at it: read-only. */
int sources_open_root(const struct plan *plan, struct sources *ret, struct err *err);
/*
 * Those of the steps, from the supervisor to pid 1, which was forked before they were opened: over a
 * SOCK_SEQPACKET socket.  -1 with errno.
 */
int sources_send(const struct sources *s, int sock);
int sources_receive(const struct plan *plan, int sock, struct sources *ret);

void sources_done(struct sources *s);

/* "FILE:LINE: cannot mount at 'TARGET': ", or for a step of sbx's own without a place; returns -1. */
struct mount_step;
int source_failed(const struct mount_step *step, struct err *err);

#endif
