/*
 * loop — epoll(7) for one process: descriptors, and what is called when they are ready.
 */
#ifndef SBX_RUN_LOOP_H
#define SBX_RUN_LOOP_H

#include <stddef.h>
#include <stdint.h>

struct err;

/* Part of what it belongs to; that stays where it is until it is discarded. */
struct watch {
	int fd; /* borrowed; -1: not watched any more */
	void (*ready)(struct watch *w, uint32_t events);
};

struct loop {
	int epoll;
	void **trash;
	size_t n_trash, cap_trash;
};

int loop_init(struct loop *l, struct err *err);
void loop_done(struct loop *l);

/* -1 with errno. */
int loop_add(struct loop *l, struct watch *w, uint32_t events);
int loop_change(struct loop *l, struct watch *w, uint32_t events);
/* Before its descriptor is closed; w->fd is -1 then. */
void loop_remove(struct loop *l, struct watch *w);

/* free(3) `p` at the end of this turn: an event of it may still be under way. */
void loop_discard(struct loop *l, void *p);

/* CLOCK_MONOTONIC in milliseconds. */
uint64_t loop_now_ms(void);

/* Wait up to `timeout_ms` (-1: for ever), call what is ready, free what was discarded. */
void loop_turn(struct loop *l, int timeout_ms);

#endif
