/*
 * layer_load — a stranger's layer, compressed or not, becomes a layer of the store, in one pass:
 * inflated, hashed, unpacked (unpack.h) and its skeleton written at once.
 *
 * Runs in the user namespace of `map` (userns_call in run/view.h).
 */
#ifndef SBX_STORE_LAYER_LOAD_H
#define SBX_STORE_LAYER_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "store/emit.h"
#include "store/untar.h"

struct err;
struct store;

struct layer_load {
	const struct store *store;
	/* The bytes: plain, gzip or zstd, told apart by how they begin. */
	untar_read_fn read;
	void *ctx;
	/* What the bytes must be, or NULL: the digest of what is read, compressed as it is … */
	const char *blob;
	/* … and of the tar inside. */
	const char *diff_id;
	const char *map;
	bool owners;                       /* false: that map has but one id (unpack.h) */
	const struct untar_limits *limits; /* NULL: layer_load_limits */
	const char *host;                  /* for layer.json: as in struct layer_info */
	int64_t now;
	uint64_t size;             /* of what is read, for progress; 0: not known */
	emit_progress_fn progress; /* or NULL */
	void *progress_ctx;
};

/* What a layer of so many compressed bytes may become: 10 million entries; a tar of at most 1000 times that and 1 TiB. */
struct untar_limits layer_load_limits(uint64_t compressed);

/*
 * Publish it; one that is there already is as good (*ret_new false).  Nothing of it is left in the
 * store after a failure.  Another digest than asked for: EBADMSG.
 */
int layer_load(const struct layer_load *in, char ret_digest[DIGEST_HEX + 1], bool *ret_new,
	       struct err *err);

#endif
