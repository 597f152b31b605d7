/*
 * service — a program of the host's that serves a sandbox from outside (fuse-overlayfs,
 * slirp4netns): started by the supervisor in U, and never alive without it.
 */
#ifndef SBX_RUN_SERVICE_H
#define SBX_RUN_SERVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

#define SERVICE_TAIL 512

/* Zeroed with pid 0 and err_fd -1: not started. */
struct service {
	const char *program; /* absolute path; borrowed from the plan */
	pid_t pid;
	int err_fd; /* what it says on stderr */
	size_t n;
	char tail[SERVICE_TAIL]; /* the end of that */
};
#define SERVICE_NONE         \
	{                    \
		.err_fd = -1 \
	}

struct service_how {
	const char *const *argv;
	const int *fds; /* stay open, under their numbers */
	size_t n_fds;
	int in, out;  /* its standard input and output; 0: /dev/null */
	bool as_root; /* as U's root; else as the user, with all capabilities in U kept */
};

int service_start(const struct service_how *how, struct service *ret, struct err *err);

/* Read what it says, so that it never waits for a reader; what is not the end is dropped. */
void service_listen(struct service *s);

/* Say why it ended, by its own last words; returns -1. */
int service_failed(struct service *s, int wait_status, struct err *err);

/* Close the fd.  The process is the supervisor's to end. */
void service_done(struct service *s);

#endif
