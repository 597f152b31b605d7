/*
 * publish — the supervisor's part of published ports: the door in run/, and a broker when somebody wants one.
 */
#ifndef SBX_RUN_PUBLISH_H
#define SBX_RUN_PUBLISH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct ports_table;
struct sandbox;

struct publish {
	int door;     /* PORTS_SOCKET, listening; the broker serves it; -1: there is none */
	int netns;    /* of the sandbox, or -1 */
	int ready_fd; /* from a broker that the start waits for, or -1 */
	pid_t pid;    /* the broker's, or 0 */
	uint64_t started_ms;
	unsigned n_quick;          /* so many in a row ended as soon as they had started */
	struct ports_table *table; /* shared with the broker */
};
#define PUBLISH_NONE                                    \
	{                                               \
		.door = -1, .netns = -1, .ready_fd = -1 \
	}

/* The door, and the namespace of pid 1; nothing where that is the host's. */
int publish_open(struct publish *p, const struct sandbox *sb, pid_t init, struct err *err);

/* For the ports of the profile, if there are any: then p->ready_fd says more. */
int publish_start(struct publish *p, const struct sandbox *sb, struct err *err);

/* p->ready_fd can be read: 0, all are published. */
int publish_hear(struct publish *p, struct err *err);

/* A client is at the door. */
void publish_knocked(struct publish *p, const struct sandbox *sb);

/* The broker has ended: where it had something to do, another one goes on. */
void publish_ended(struct publish *p, const struct sandbox *sb);

/* The door goes away; the process is the supervisor's to end. */
void publish_close(struct publish *p, const struct sandbox *sb);

#endif
