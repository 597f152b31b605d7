/*
 * broker — publishes ports of a sandbox on the host, and carries what goes over them.
 *
 * A child of the supervisor's in the host's network namespace, without capabilities: it listens, has its dialer
 * (run/dialer.h) connect inside, and joins the two sockets (run/joint.h, run/datagrams.h).  It also answers the user's
 * client (run/ports.h).  Started when the first port is to be published; it ends when there is nothing left to do.
 */
#ifndef SBX_RUN_BROKER_H
#define SBX_RUN_BROKER_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/port.h"
#include "run/ports.h"

struct plan;
struct title;

/* What is published, in memory that is shared with the supervisor: the next broker goes on with it. */
struct ports_table {
	uint32_t n;
	struct port port[PORTS_MAX];
};

struct broker_how {
	const struct plan *plan;
	const struct title *title;
	int door;    /* where clients connect: PORTS_SOCKET, listening */
	int netns;   /* the sandbox's network namespace */
	int lock_fd; /* held open */
	int ready_fd; /* gets a byte when the table is published, or a struct err; -1: nobody waits */
	struct ports_table *table;
};

/* In a fresh child of `parent`; does not come back. */
_Noreturn void broker_main(const struct broker_how *how, int parent);

#endif
