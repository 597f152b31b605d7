/*
 * proto — what a client and a sandbox say to each other, over a SOCK_SEQPACKET socket.
 *
 *   client                              shim (the process that pid 1 forks for a connection)
 *   PROTO_RUN + fds            →
 *                              ←        PROTO_TAKEN     before anything is done: an end of file
 *                                                       ahead of it means "start it again";
 *                                                       info: the digest of the profile
 *                              ←        PROTO_STARTED   + the master of the pty, if one was asked
 *                              ←     or PROTO_FAILED    with a struct err: the end
 *   PROTO_SIGNAL, _SIZE, _CONT →
 *                              ←        PROTO_STOPPED   the command was stopped (Ctrl-Z)
 *                              ←        PROTO_EXITED    the end
 *   PROTO_INFO                 →
 *                              ←        PROTO_INFO_IS
 *   PROTO_STOP                 →
 *                              ←        PROTO_TAKEN     the sandbox ends
 *   PROTO_SHOW_ROOT            →
 *                              ←        PROTO_ROOT_IS   + its root (O_PATH)
 *   PROTO_DIAL                 →
 *                              ←        PROTO_DIALLED   + the connected socket
 *                              ←     or PROTO_FAILED    with errnum
 *
 * Both sides are this program, perhaps of another version: the first field tells, and anything
 * but PROTO_VERSION is answered with PROTO_FAILED.  Numbers are in host byte order.
 *
 * The long part of a request (arguments, variables, folder) does not fit a message; it travels
 * as a memfd, the first fd of PROTO_RUN, in the form of proto_body_encode.
 */
#ifndef SBX_RUN_PROTO_H
#define SBX_RUN_PROTO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct arena;
struct buf;

#define PROTO_VERSION 1u

enum proto_type {
	PROTO_RUN = 1,
	PROTO_INFO,
	PROTO_STOP,
	PROTO_SIGNAL, /* number: deliver to the command's process group */
	PROTO_SIZE,   /* rows, cols of the terminal */
	PROTO_CONT,   /* go on after PROTO_STOPPED: foreground says whether it gets the terminal */
	PROTO_DIAL,   /* path: connect to the Unix socket there, as the sandbox's user */
	PROTO_SHOW_ROOT, /* hand out the root */
	PROTO_TAKEN = 64,
	PROTO_STARTED,
	PROTO_FAILED,  /* err */
	PROTO_STOPPED, /* number: by which signal */
	PROTO_EXITED,  /* number: exit status as a shell counts it */
	PROTO_INFO_IS, /* info */
	PROTO_DIALLED,
	PROTO_ROOT_IS,
};

/* As long as an address of a Unix socket can be: unix(7). */
#define PROTO_PATH_MAX 108

/* Who the command runs as. */
enum proto_user {
	PROTO_SELF, /* as the profile says: the user, or root with `as = root` */
	PROTO_ROOT,
	PROTO_UID, /* uid and gid of the message; only on the rung of subordinate ids */
};

struct proto_run {
	uint32_t user; /* enum proto_user */
	uint32_t uid, gid;
	uint32_t umask;
	uint32_t
		terminal; /* bit N: the caller's fd N (0, 1, 2) is a terminal: it becomes the pty */
	uint32_t closed;  /* bit N: it is closed: the command gets /dev/null there */
	uint32_t strict;  /* the folder must be there; else the project will do */
	uint16_t rows, cols;
	/* The fds: first the body, then 0, 1, 2 in order, less those of `terminal` and `closed`. */
};

struct proto_info {
	int32_t guard_pid; /* as the host numbers it */
	uint32_t commands;
	uint32_t processes;
	uint64_t uptime_ms;
	char profile_digest[65];
};

struct proto_msg {
	uint32_t version; /* PROTO_VERSION */
	uint32_t type;    /* enum proto_type */
	int32_t number;
	uint32_t foreground;
	union {
		struct proto_run run;
		struct proto_info info;
		struct {
			uint16_t rows, cols;
		} size;
		struct err err;
		char path[PROTO_PATH_MAX]; /* absolute, NUL-terminated */
	} u;
};

/* The long part of a request.  argv NULL: the user's login shell. */
struct proto_body {
	const char *const *argv;
	const char *const *env; /* NAME=value, over the plan's environment; never NULL */
	const char *cwd;
};

/* No request is longer: execve(2) takes at most a quarter of the stack, and that is 8 MiB. */
#define PROTO_BODY_MAX (8u << 20)

/* Three counts and then the strings, each ended by NUL.  Too long: E2BIG in err->errnum. */
int proto_body_encode(const struct proto_body *body, struct buf *ret, struct err *err);

/* The reverse, of untrusted bytes; `ret` points into the arena. */
int proto_body_decode(struct arena *a, const void *p, size_t n, struct proto_body *ret,
		      struct err *err);

/*
 * Send one message (version and type are set here) with fds; -1 with errno.
 * proto_recv: 1 a message, 0 end of file, -1 failed.  A message that is too short or of another
 * version is a failure (EPROTO).  ret_fds has room for PROC_MAX_FDS; may be NULL with ret_nfds.
 */
int proto_send(int sock, enum proto_type type, struct proto_msg *msg, const int *fds, size_t nfds);
int proto_recv(int sock, struct proto_msg *ret, int *ret_fds, size_t *ret_nfds, struct err *err);

/*
 * Answer with `fd`; where that cannot be passed on, PROTO_FAILED says why.  Whoever does not listen any more hears
 * nothing.
 */
void proto_answer_fd(int sock, enum proto_type type, int fd);

/*
 * Ask for something that is answered at once with *msg, and perhaps a descriptor: *ret_fd is the first one, or -1; with
 * NULL none is taken.  Whoever should answer may have been stopped from inside: it is waited for some seconds.
 * errnum EAGAIN: the sandbox is ending.  PROTO_FAILED is an answer, too; its texts are untrusted.
 */
int proto_ask(int sock, enum proto_type type, struct proto_msg *msg, int *ret_fd, struct err *err);

/* The errno of PROTO_FAILED: one that there is, and not EAGAIN. */
int proto_failed_errno(const struct proto_msg *msg);

#endif
