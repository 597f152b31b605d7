/*
 * client — the caller's side of a running sandbox: connect, run a command, ask, stop.
 *
 *     if (client_connect(env, &sock, err) < 0 && err.errnum == ENOENT)
 *         client_start(...)
 *     client_run(sock, &request, &status, err)
 */
#ifndef SBX_RUN_CLIENT_H
#define SBX_RUN_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct env;
struct err;
struct plan;
struct store;

/* A connection to pid 1.  Not running: errnum ENOENT. */
int client_connect(const struct env *env, int *ret_sock, struct err *err);

/* A connection for run/ports.h.  Not running: errnum ENOENT. */
int client_connect_ports(const struct env *env, int *ret_sock, struct err *err);

/*
 * Connect, starting the sandbox where it does not run, for that request.  Safe in any number of
 * processes at once: one starts it, the others join.  Waits for one that is
 * just ending.
 */
struct client_request;
int client_start(const struct plan *plan, const struct env *env,
		 const struct client_request *request, int *ret_sock, struct err *err);

/* Exactly these, instead of the one that the profile says: for `sudo -u`. */
struct client_ids {
	uint32_t uid, gid;
};

struct client_request {
	const char *const *argv; /* NULL: the user's login shell */
	const char *const *env;  /* NAME=value, over the plan's environment */
	const char *cwd;         /* inside; falls back to the project where it is not there */
	bool strict_cwd;         /* it does not, and is an error */
	bool as_root;
	const struct client_ids *ids; /* NULL as a rule; comes before as_root */
	const char *profile_digest;   /* to tell whether the sandbox runs an older profile */
};

/*
 * Run a command: stdin, stdout and stderr are the caller's own; those that are
 * terminals become a pty of the sandbox.  Signals, window size, stop and continue are passed on.
 * *ret_status is the exit status as a shell counts it (128+N for signals).
 * Could not start: err->kind says 126 or 127.
 */
int client_run(int sock, const struct client_request *request, int *ret_status, struct err *err);

/* client_start: errnum ESTALE: the environment was removed meanwhile: open it anew. */
/* errnum EAGAIN: the sandbox went away before it took the request: start it again. */

/*
 * Connect to the Unix socket at `path` inside, as the sandbox's user: the connected socket, non-blocking, which
 * may be of anybody inside.  errnum EAGAIN: it does not run; ENOENT and ECONNREFUSED: nobody listens there (yet).
 */
int client_dial(const struct env *env, const char *path, int *ret_fd, struct err *err);

/*
 * Call fn in a child process that has joined the user namespace U, with all capabilities there, with the root as the
 * sandbox sees it now (an O_PATH folder): what is resolved in it (fs_open_in_root) is what commands inside see, and
 * what is written is written through the sandbox's own mounts.  The process itself stays outside of all its other
 * namespaces, where nobody inside can see it.  What fn changes in memory is lost; its failure comes back in `err`.
 */
int client_root(const struct env *env, int (*fn)(int root, void *arg, struct err *err), void *arg,
		struct err *err);

struct client_info {
	pid_t guard_pid; /* outside */
	uint64_t uptime_ms;
	uint32_t commands;  /* running now, this query not counted */
	uint32_t processes; /* in its pid namespace, without sbx's own */
	char profile_digest[65];
};
int client_info(int sock, struct client_info *ret, struct err *err);

/*
 * Hold the environment still: while these are open it does not run, and nobody starts or ends it.
 * Runs it, errnum EBUSY.
 */
struct client_hold {
	int start, lock;
};
#define CLIENT_HOLD_NONE                \
	{                               \
		.start = -1, .lock = -1 \
	}
int client_hold(const struct env *env, struct client_hold *ret, struct err *err);
/* The same for one that runs: nobody ends it by `sbx stop`, or changes its layers. */
int client_hold_start(const struct env *env, struct client_hold *ret, struct err *err);
void client_hold_done(struct client_hold *h);

/* End it and wait until nothing of it is left; errnum ENOENT where it does not run. */
int client_stop(const struct env *env, struct err *err);

#endif
