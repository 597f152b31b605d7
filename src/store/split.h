/*
 * split — the bytes of a tar, apart into what a skeleton keeps and the contents of files.
 *
 * A reader of its own, small and strict, beside untar.h's: it goes over the raw bytes, and for each
 * entry both must agree where it begins and how long its contents are.  So what is in the tree is what
 * the skeleton says of it, and what two readers of tar would understand differently is refused:
 * extended headers of both dialects for one entry, or twice; global ones that change entries;
 * contents of what is no file; numbers that are none.  Sparse files are refused too.
 */
#ifndef SBX_STORE_SPLIT_H
#define SBX_STORE_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "store/untar.h"

struct err;
struct skeleton_writer;
struct split; /* opaque */

/* What is kept goes to the writer, which is borrowed. */
struct split *split_new(struct skeleton_writer *w);
/* The next bytes of the tar. */
int split_feed(struct split *s, const void *p, size_t n, struct err *err);
/* An untar_watch_fn, whose ctx is the struct split: the other reader's next entry. */
int split_entry(void *ctx, const struct untar_entry *e, uint64_t at, struct err *err);
/* Both have come to the end. */
int split_end(struct split *s, struct err *err);
uint64_t split_entries(const struct split *s);  /* so far */
uint64_t split_contents(const struct split *s); /* bytes */
void split_free(struct split **s);              /* NULL or an empty one is fine */
#define _cleanup_split_ __attribute__((cleanup(split_free)))

#endif
