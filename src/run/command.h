/*
 * command — one connection of a client: the shim that pid 1 forks for it, and the command.
 *
 * The shim is the leader of a session of its own and has the command as a child in a process
 * group of its own.  So the group is not orphaned, and the kernel lets a Ctrl-Z stop it
 * (setpgid(2)); and with a terminal, the shim is who moves the foreground.
 */
#ifndef SBX_RUN_COMMAND_H
#define SBX_RUN_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "run/seccomp.h"

struct arena;
struct plan;
struct prefault;
struct proto_body;
struct proto_run;

/* What pid 1 knows at the moment of the fork. */
struct command_context {
	const struct plan *plan;
	const struct seccomp_filters *filters;
	const struct prefault *memory; /* or NULL */
	int conn;
	bool inner; /* it came from inside, by sudo: only PROTO_RUN, and any user */
	int devpts; /* the sandbox's own, O_PATH */
	int proc;   /* the sandbox's own, O_PATH */
	/* Where the one id is 0: a user namespace below V, for root's commands.  -1: V itself has a
	 * root. */
	int root_ns;
	/* for PROTO_INFO */
	int32_t guard_pid;
	uint32_t commands;
	uint64_t started_ms; /* of CLOCK_BOOTTIME */
	const char *profile_digest;
};

/* How a shim ends. */
#define COMMAND_DONE 0
#define COMMAND_QUERY 7 /* it was no command: the linger clock goes on */

/* The shim: serve the connection to its end.  The value is for _exit(2). */
int command_serve(const struct command_context *context);

/*
 * The same for one that was forked before there is anything to do: it waits for an order, which comes
 * over `sock` with the connection.  Until then it has nothing of anybody's.
 */
struct command_order {
	bool inner;
	uint32_t commands;
};
int command_wait(const struct command_context *context, int sock);

/* CLOCK_BOOTTIME in milliseconds. */
uint64_t command_now_ms(void);

/*
 * PROTO_DIAL: the shim becomes the sandbox's user, connects to the Unix socket at `path` inside, and hands the
 * connection out.  So a socket of the sandbox is reached by no path that the outside follows, and from inside
 * nothing outside can be reached: only command.c calls it, for a client from outside.
 */
struct proto_msg;
int command_dial(const struct command_context *context, const struct proto_msg *msg);

/* PROTO_SHOW_ROOT: the shim hands out its own root.  The same. */
int command_root(const struct command_context *context);

/* What the child of the shim needs to become the command; for command*.c alone. */
struct command_exec {
	const struct command_context *context;
	const struct proto_run *run;
	const struct proto_body *body;
	int stdio[3]; /* borrowed */
	int terminal; /* the slave of the pty, or -1; borrowed */
	struct arena *arena;
	struct err err; /* why there was no exec; the child shares the memory (proc_vfork) */
};

/* In that child: exec, or the reason in c->err and a value for _exit(2). */
int command_exec(struct command_exec *c);

#endif
