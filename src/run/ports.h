/*
 * ports — the published ports of a running sandbox: what the client outside asks of the broker.
 *
 *     client                                broker (run/broker.h)
 *     PORTS_ADD, port[0]        →
 *                               ←           PORTS_DONE, the port as it is published, or PORTS_FAILED
 *     PORTS_REMOVE, port[0]     →
 *                               ←           PORTS_DONE, what was removed, or PORTS_FAILED
 *     PORTS_LIST                →
 *                               ←           PORTS_SOME, up to PORTS_BATCH of them, again and again;
 *                                           an empty one ends the list
 *
 * One request a connection, over a SOCK_SEQPACKET socket in run/ of the environment, where nothing inside
 * reaches.
 */
#ifndef SBX_RUN_PORTS_H
#define SBX_RUN_PORTS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "conf/profile.h"

struct arena;
struct env;

/* Its name in run/. */
#define PORTS_SOCKET "ports"

struct port {
	char address[INET6_ADDRSTRLEN]; /* numeric; to remove: "" is any */
	uint16_t host;                  /* to add: 0 is any that is free */
	uint16_t inside;
	bool udp;
	bool from_profile;
	int32_t errnum;       /* why it is not published; 0: it is */
	uint32_t connections; /* now; of UDP, peers */
};

#define PORTS_VERSION 1u
#define PORTS_BATCH 32

enum ports_type {
	PORTS_ADD = 1,
	PORTS_REMOVE,
	PORTS_LIST,
	PORTS_DONE = 64,
	PORTS_FAILED,
	PORTS_SOME,
};

struct ports_msg {
	uint32_t version;
	uint32_t type; /* enum ports_type */
	uint32_t n;
	union {
		struct port port[PORTS_BATCH];
		struct err err;
	} u;
};

/* -1 with errno; version and type are set here. */
int ports_send(int sock, enum ports_type type, struct ports_msg *msg);
/* 1 a message, 0 end of file, -1 failed; what comes in is checked, and its texts are ended. */
int ports_recv(int sock, struct ports_msg *ret, struct err *err);

/* A port as a profile has it, and back; the address stays that of `p`. */
struct port ports_of(const struct port_value *v);
struct port_value ports_value(const struct port *p);

/*
 * Of the running sandbox of `env`; errnum ENOENT where it does not run.  *ret is the port as published: with
 * the number that was free, where 0 was asked for.
 */
int ports_add(const struct env *env, const struct port *port, struct port *ret, struct err *err);
int ports_remove(const struct env *env, const struct port *port, struct port *ret, struct err *err);
int ports_list(struct arena *a, const struct env *env, struct port **ret, size_t *ret_n,
	       struct err *err);

#endif
