/*
 * form — in which compressed forms a layer is known, and where: <store>/forms/<diffID>.json
 *
 * A help, no more: it spares compressing and sending.  It may be lost or wrong at any time.
 */
#ifndef SBX_STORE_FORM_H
#define SBX_STORE_FORM_H

#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct arena;
struct err;
struct store;

struct form {
	char digest[DIGEST_HEX + 1]; /* of the blob */
	uint64_t size;
	const char *media_type;
	const char *const
		*seen; /* "registry.example:5000/me/tools", newest first, NULL-terminated */
	size_t n_seen;
};

/* Newest first; none is fine. */
int form_list(struct arena *a, const struct store *s, const char *diff_id, struct form **ret,
	      size_t *ret_n, struct err *err);

/* Add it, or to the one of its digest the repository `seen` (NULL: none). */
int form_add(struct arena *a, const struct store *s, const char *diff_id, const struct form *f,
	     const char *seen, struct err *err);

#endif
