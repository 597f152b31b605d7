/*
 * inflate — a layer's tar out of its compressed form: gzip (RFC 1952, also of several members), zstd
 * (RFC 8878, also of several frames), or plain; told apart by how it begins.
 *
 * What is damaged, cut, or has anything behind its end, is refused (EBADMSG).
 */
#ifndef SBX_STORE_INFLATE_H
#define SBX_STORE_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/untar.h"

struct err;
struct inflate; /* opaque */

/* `read` gives the compressed bytes. */
struct inflate *inflate_new(untar_read_fn read, void *ctx);
/* An untar_read_fn, whose ctx is the struct inflate. */
ssize_t inflate_read(void *ctx, void *p, size_t n, struct err *err);
/* Behind the first byte that was read: is it not compressed? */
bool inflate_is_plain(const struct inflate *f);
void inflate_free(struct inflate **f); /* NULL or an empty one is fine */
#define _cleanup_inflate_ __attribute__((cleanup(inflate_free)))

#endif
