/*
 * split_header — one header of a tar, as split.h reads it: of which kind, how long what follows is, and what
 * the extended headers before an entry say of that.
 */
#ifndef SBX_STORE_SPLIT_HEADER_H
#define SBX_STORE_SPLIT_HEADER_H

#include <stdbool.h>
#include <stdint.h>

struct buf;
struct err;

struct split_header {
	char type;
	uint64_t size;
	char name[101]; /* as far as the header holds it: for messages */
};

/* What extended headers have been, since the last entry. */
struct split_pending {
	bool pax, long_name, long_link, global;
	bool has_size;
	uint64_t size;
};

int split_header_read(const unsigned char *block, struct split_header *ret, struct err *err);
/* Its contents belong to the entry that follows. */
bool split_is_extended(const struct split_header *h);
int split_pending_add(struct split_pending *p, const struct split_header *h, struct err *err);
bool split_pending_any(const struct split_pending *p);
/* The contents of the extended header are there. */
int split_extended_read(struct split_pending *p, const struct split_header *h,
			const struct buf *body, struct err *err);
/* How much follows an entry's header. */
int split_entry_size(const struct split_pending *p, const struct split_header *h,
		     uint64_t *ret_size, struct err *err);

#endif
