/*
 * worker — a stream of bytes that is worked off in a thread of its own, in order, while its owner makes the next.
 *
 *     struct worker *b = worker_new(update, ctx);      NULL: no thread can be had; call update yourself
 *     worker_add(b, p, n);                             as often as wanted
 *     worker_end(&b);                                  all of it has been worked off
 */
#ifndef SBX_BASE_WORKER_H
#define SBX_BASE_WORKER_H

#include <stddef.h>

struct worker; /* opaque */

/* Called in the thread, never twice at once. */
typedef void (*worker_fn)(void *ctx, const void *p, size_t n);

/* The thread takes no signals, so that they interrupt who waits for them.  NULL with errno where it cannot be made. */
struct worker *worker_new(worker_fn fn, void *ctx);

/* The bytes are copied; waits where the thread is some megabytes behind. */
void worker_add(struct worker *b, const void *p, size_t n);

/* Waits until the last byte is worked off, and frees it.  NULL and an empty one are fine. */
void worker_end(struct worker **b);

#endif
