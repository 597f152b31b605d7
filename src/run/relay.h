/*
 * relay — what comes to sockets outside goes to Unix sockets inside, byte by byte, in a process of its own.
 *
 *     struct relay r = {.env = &env, .routes = routes, .n = 5, .watched = -1};
 *     relay_start(&r, &pid, err);
 *     … run the command …
 *     relay_stop(pid);
 *
 * It takes a connection only when the socket inside answers: whoever is early waits, as for a program that has
 * not yet called accept(2).  It needs no network inside, and gives the inside nothing of the outside's.
 */
#ifndef SBX_RUN_RELAY_H
#define SBX_RUN_RELAY_H

#include <stddef.h>
#include <sys/types.h>

struct env;
struct err;

#define RELAY_MAX_ROUTES 8
#define RELAY_MAX_PAIRS 512 /* connections at a time; more wait in the backlog */

struct relay_route {
	int fd;           /* listens, outside; non-blocking; borrowed */
	const char *path; /* of the socket inside */
};

struct relay {
	const struct env *env; /* its dir and project are used; it need not be there yet */
	const struct relay_route *routes;
	size_t n;
	int watched; /* a pidfd, borrowed: when that process ends, the caller gets SIGTERM.  -1: none */
	/* Called once in that process, when the first route's socket inside answers.  NULL: nobody asks. */
	void (*ready)(void *arg);
	void *arg;
};

/*
 * A child process of the caller, which dies with it.  Signals from the terminal, or for the caller's process
 * group, are not for it.
 */
int relay_start(const struct relay *r, pid_t *ret_pid, struct err *err);
void relay_stop(pid_t pid);

#endif
