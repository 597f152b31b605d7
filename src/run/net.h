/*
 * net — the network namespace of a sandbox, and slirp4netns(1), which joins it to the world.
 */
#ifndef SBX_RUN_NET_H
#define SBX_RUN_NET_H

#include <sys/types.h>

struct err;
struct plan;
struct service;

/*
 * In the new network namespace, whose owner U is: lo up; low ports and ping for everybody, since V
 * has no rights over the namespace; datagram queues of Unix sockets without a limit.  What an outer container forbids of that is left out.
 */
void net_prepare(const struct plan *plan);

/*
 * Start slirp4netns, as U's root, for the namespace of process `pid`.  *ret_ready_fd reads "1" when
 * the network is up, or the end of file when it will never be.
 */
int net_start_slirp(const struct plan *plan, pid_t pid, struct service *ret_slirp,
		    int *ret_ready_fd, struct err *err);

/*
 * The same with pasta(1), which says that it is up by its pid file alone: a fifo in run/ (`run_fd`), whose
 * other end *ret_ready_fd is.
 */
int net_start_pasta(const struct plan *plan, pid_t pid, int run_fd, struct service *ret_pasta,
		    int *ret_ready_fd, struct err *err);

/* The name of that fifo, to be removed. */
#define NET_FIFO "pasta"

#endif
