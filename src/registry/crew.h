/*
 * crew — several threads, each with a client of its own, work through a list; the first failure ends all.
 */
#ifndef SBX_REGISTRY_CREW_H
#define SBX_REGISTRY_CREW_H

#include <stddef.h>

#include "registry/client.h"

struct err;

#define CREW_SIZE 4

/* One piece of work. */
typedef int (*crew_fn)(struct client *c, void *ctx, size_t i, struct err *err);

/* Pieces 0..n-1 are begun in this order. The caller's thread and client are one of the crew. */
int crew_work(struct client *own, crew_fn fn, void *ctx, size_t n, struct err *err);

#endif
