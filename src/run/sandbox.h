/*
 * sandbox — what a starting or running sandbox is: a plan, and the handles of its parts.
 *
 * The parts, each forked by the one before (run/launch.h has the whole picture):
 *
 *     client ─┬─ guard ─┬─ hostfs
 *             │         └─ supervisor (in U) ─┬─ fuse-overlayfs (in U)
 *             │                               ├─ slirp4netns (in U)
 *             │                               ├─ ports (in U) ── dialer
 *             │                               └─ pid 1 (in V) ── shims ── commands
 *             └─ goes on alone
 */
#ifndef SBX_RUN_SANDBOX_H
#define SBX_RUN_SANDBOX_H

#include <stdint.h>
#include <sys/types.h>

#include "base/prefault.h"
#include "plan/plan.h"
#include "run/title.h"

/* The name of the request socket, in the run/ folder of the environment. */
#define SANDBOX_SOCKET "sock"

/*
 * Made by the client before the first fork, inherited by all parts and borrowed from there.
 * Each part closes what is not its own.
 */
struct sandbox {
	const struct plan *plan;
	const char *profile_digest;
	const char *program; /* that the starter asks for first, or NULL */
	pid_t guard_pid;
	int env_fd;         /* the environment's folder */
	int run_fd;         /* its run/ */
	int lock_fd;        /* its lock: held by every part, so that it is free when all are gone */
	int listen_fd;      /* the request socket, bound by the supervisor when all is ready */
	int first_fd;       /* the starter's own connection, there from the beginning */
	int hostfs_fd;      /* from the guard on: for hostfs_mount, or -1 */
	struct title title; /* from the guard on */
	struct prefault memory; /* each part begins with taking its faults of it */
	int report_fd; /* where a failure is told (err_send); its end of file means: ready */
};

/* The id of root, and of the user, as U numbers them. */
static inline uint32_t sandbox_self_uid(const struct plan *plan)
{
	return plan->rung == RUNG_SUBIDS ? plan->self_uid : 0;
}

static inline uint32_t sandbox_self_gid(const struct plan *plan)
{
	return plan->rung == RUNG_SUBIDS ? plan->self_gid : 0;
}

#endif
