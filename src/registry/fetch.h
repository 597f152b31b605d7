/*
 * fetch — blobs from a registry into the store, several at once, resumed where they were cut.
 */
#ifndef SBX_REGISTRY_FETCH_H
#define SBX_REGISTRY_FETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "registry/client.h"

struct err;
struct store;

struct fetch_item {
	char digest[DIGEST_HEX + 1];
	uint64_t size;
	/* Where the store has it already: get it all the same, and keep nothing.  That the registry gives it to us says
	 * that we may have it. */
	bool again;
};

/*
 * Get them all.  `v` is sorted and made unique: two processes then wait for each other's downloads in the
 * same order.  Each is checked against size and digest before it has its name in the store.  After a
 * failure, what came so far stays to be resumed.
 */
int fetch_blobs(struct client *c, const struct store *s, struct fetch_item *v, size_t n,
		struct err *err);

/* For fetch.c alone: the item that is to be got again. */
int fetch_again(struct client *c, const struct fetch_item *item, struct err *err);

#endif
