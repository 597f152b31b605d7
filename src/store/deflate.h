/*
 * deflate — compression that gives the same bytes for the same bytes, whatever the machine: gzip
 * (level 6, no name, no time) or zstd (level 3, one thread), or none.
 */
#ifndef SBX_STORE_DEFLATE_H
#define SBX_STORE_DEFLATE_H

#include <stddef.h>

#include "store/layer_pack.h"

struct err;
struct deflate; /* opaque */

/* Where the compressed bytes go. */
typedef int (*deflate_write_fn)(void *ctx, const void *p, size_t n, struct err *err);

int deflate_new(enum layer_form form, deflate_write_fn write, void *ctx, struct deflate **ret,
		struct err *err);
int deflate_add(struct deflate *d, const void *p, size_t n, struct err *err);
/* All of it goes out. */
int deflate_end(struct deflate *d, struct err *err);
void deflate_free(struct deflate **d); /* NULL or an empty one is fine */
#define _cleanup_deflate_ __attribute__((cleanup(deflate_free)))

#endif
