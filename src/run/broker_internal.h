/*
 * broker_internal — the broker's own; for broker*.c alone.
 */
#ifndef SBX_RUN_BROKER_INTERNAL_H
#define SBX_RUN_BROKER_INTERNAL_H

#include "run/broker.h"
#include "run/datagrams.h"
#include "run/dialing.h"
#include "run/joint.h"
#include "run/loop.h"

/* A port of the list. */
struct published {
	struct watch watch; /* the first field; fd -1: it could not be had, port.errnum says why */
	struct broker *b;
	struct port port;
	uint32_t tag;                /* of its connections */
	struct datagrams *datagrams; /* of UDP, and the descriptor is its; else NULL */
	struct published *next;
};

struct broker {
	struct watch door; /* the first field */
	const struct broker_how *how;
	struct loop loop;
	struct joints joints;
	struct dialing dialing;
	struct datagrams_common udp;
	struct published *published;
	size_t n_controls;
	size_t max_joints;
	uint32_t last_tag;
	int short_of;   /* ENFILE and the like, or 0 */
	bool accepting; /* the listeners are watched */
	uint64_t expired_ms;
};

int broker_publish(struct broker *b, const struct port *port, struct published **ret,
		   struct err *err);
void broker_unpublish(struct broker *b, struct published *p);
uint32_t broker_connections(const struct broker *b, const struct published *p);

/* Write the list to the table. */
void broker_save(const struct broker *b);

/* broker_control.c: let clients in.  -1 with errno. */
int broker_listen(struct broker *b);

#endif
