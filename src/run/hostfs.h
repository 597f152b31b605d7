/*
 * hostfs — the host's root as a read-only filesystem, as the ids of a sandbox see it: a FUSE server
 * of our own, and the lower of every root that is based on the host.
 *
 *     hostfs_start     in the host's namespaces, whose stat(2) tells true owners: forks the server
 *     hostfs_mount     in U: mounts it, and hands the server its end
 *
 * What shows: the plan's entries, and of those what everybody may read.  A file or folder that is
 * closed to others shows empty, with its true mode and owner: what only this user or his groups
 * may read is his, and not for what runs inside.  So do foreign mounts and the plan's hidden folders.
 * Sockets, pipes and devices do not show.  An owner is the host's where U has that id, and the user
 * himself where it is he; else root.
 *
 * The kernel keeps what it has seen of a folder or a file for some seconds: only later a change on the
 * host is sure to show.  What is not kept is looked at anew: a file that was closed to others is
 * stale from then on.
 */
#ifndef SBX_RUN_HOSTFS_H
#define SBX_RUN_HOSTFS_H

#include <sys/types.h>

struct err;
struct plan;
struct prefault;
struct title;

/* Made HOSTFS_NONE. */
struct hostfs {
	pid_t pid; /* a child of the caller, and never alive without it */
	int sock;  /* for hostfs_mount, in any process */
};

#define HOSTFS_NONE        \
	{                  \
		.sock = -1 \
	}

/* `lock_fd`: held by the server, or -1.  What the caller does next runs beside it. */
int hostfs_start(const struct plan *plan, int lock_fd, struct hostfs *ret, struct err *err);

/* Its two halves: the sockets, of which [0] is the server's and [1] for hostfs_mount, and the fork. */
struct hostfs_how {
	const struct plan *plan;
	int sock;
	int lock_fd;
	const struct title *title;     /* where the caller has taken its own, else NULL */
	const struct prefault *memory; /* the same */
};
int hostfs_sockets(int ret_pair[2], struct err *err);
int hostfs_fork(const struct hostfs_how *how, pid_t *ret_pid, struct err *err);

/* The mount, detached (run/mnt.h).  Once for each hostfs_start. */
int hostfs_mount(int sock, int *ret_fd, struct err *err);

/* /dev/fuse, opened; for run/root_fuse as well. */
int hostfs_device(int *ret_fd, struct err *err);

/* End the server, if it runs, and wait for it. */
void hostfs_done(struct hostfs *h);

#endif
