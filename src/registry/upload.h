/*
 * upload — one blob to a registry: not at all where it is there, by a mount where another of its repositories has
 * it, else sent, and gone on with where it was cut.
 */
#ifndef SBX_REGISTRY_UPLOAD_H
#define SBX_REGISTRY_UPLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "registry/client.h"

struct err;
struct store;

struct upload {
	const struct store *store;
	char digest[DIGEST_HEX + 1];
	uint64_t size;
	const char *const *seen; /* "registry/repository" that may have it; NULL-terminated */
	const char *refused;     /* NULL, or why it may only be there already */
};

/* *ret_sent: its bytes went over the line. */
int upload_blob(struct client *c, const struct upload *u, bool *ret_sent, struct err *err);

#endif
