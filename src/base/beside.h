/*
 * beside — a stream of bytes that is worked off in a thread of its own, in order, while its owner makes the next.
 *
 *     struct beside *b = beside_new(update, ctx);      NULL: no thread can be had; call update yourself
 *     beside_add(b, p, n);                             as often as wanted
 *     beside_end(&b);                                  all of it has been worked off
 */
#ifndef SBX_BASE_BESIDE_H
#define SBX_BASE_BESIDE_H

#include <stddef.h>

struct beside; /* opaque */

/* Called in the thread, never twice at once. */
typedef void (*beside_fn)(void *ctx, const void *p, size_t n);

/* The thread takes no signals, so that they interrupt who waits for them.  NULL with errno where it cannot be made. */
struct beside *beside_new(beside_fn fn, void *ctx);

/* The bytes are copied; waits where the thread is some megabytes behind. */
void beside_add(struct beside *b, const void *p, size_t n);

/* Waits until the last byte is worked off, and frees it.  NULL and an empty one are fine. */
void beside_end(struct beside **b);

#endif
