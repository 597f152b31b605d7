/*
 * dialing — the broker's end of the channel to its dialer (run/dialer.h): what was asked for and has not
 * come yet, in order.
 */
#ifndef SBX_RUN_DIALING_H
#define SBX_RUN_DIALING_H

#include <stdbool.h>
#include <stddef.h>

#include "run/dialer.h"
#include "run/loop.h"

struct dial;

/* More than this at once would not fit the socket. */
#define DIALING_MAX 64

struct dialing {
	struct watch watch; /* the first field */
	struct loop *loop;
	struct dial *first, **end;
	size_t n;
	bool over; /* the dialer is gone */
};

/* Gets the socket, its own from there, or fd -1 with errno. */
typedef void (*dialing_done_fn)(void *ctx, int fd, int errnum);

/* `sock` stays the caller's.  -1 with errno. */
int dialing_init(struct dialing *d, struct loop *loop, int sock);
/* Calls back with ECANCELED whatever waits. */
void dialing_done(struct dialing *d);

/* -1: there is no room, or no dialer; `done` is not called then. */
int dialing_ask(struct dialing *d, const struct dial_order *order, dialing_done_fn done, void *ctx);

/* What was asked for this one is closed when it comes. */
void dialing_forget(struct dialing *d, const void *ctx);

#endif
