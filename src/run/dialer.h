/*
 * dialer — a process in the network namespace of a sandbox that connects to its loopback.
 *
 * It hands each socket out as it is, perhaps still connecting, and keeps none; it reads nothing of what
 * comes over them.  Over a SOCK_SEQPACKET pair: a struct dial_order in, a struct dial_answer out,
 * in order; the answer has the socket with it where errnum is 0.
 */
#ifndef SBX_RUN_DIALER_H
#define SBX_RUN_DIALER_H

#include <stdbool.h>
#include <stdint.h>

struct err;
struct title;

struct dial_order {
	uint16_t port;
	bool udp;
	bool six; /* ::1 alone; else 127.0.0.1 first, then ::1 */
};

struct dial_answer {
	int32_t errnum;
};

/*
 * Fork it, into the namespace `netns`; it ends with its parent.  *ret_sock is the channel.  Returns when it is
 * there.  `lock` (or -1) is what else it holds open.
 */
int dialer_start(int netns, int lock, const struct title *title, int *ret_sock, struct err *err);

/* In the namespace itself: the socket, or errno. */
int dialer_dial(const struct dial_order *order, int *ret_fd);

#endif
