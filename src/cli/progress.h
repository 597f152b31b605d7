/*
 * progress — how far long work is: one line on standard error that renews itself, on a terminal
 * alone, and only when it has taken more than half a second.
 */
#ifndef SBX_CLI_PROGRESS_H
#define SBX_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	const char *what; /* "hashing" */
	uint64_t begun_ms, shown_ms;
	bool terminal, shown;
};

void progress_begin(struct progress *p, const char *what);

/* `ctx` is the struct; bytes of how many. An emit_progress_fn. */
void progress_tell(void *ctx, uint64_t done, uint64_t total);

/* Take the line away. */
void progress_end(struct progress *p);

#endif
