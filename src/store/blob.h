/*
 * blob — files as registries have them, by their digest: <store>/blobs/<hex>
 *
 * Manifests, indexes, configs and compressed layers.  A blob is complete, on disk and of its digest
 * from the moment it has its name, and is never written after.  What is read may have been
 * damaged since: blob_read checks again, and whoever reads a large one does so himself.
 * Digests are the hex digits alone, without "sha256:".
 */
#ifndef SBX_STORE_BLOB_H
#define SBX_STORE_BLOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct buf;
struct err;
struct store;
struct blob_writer; /* opaque */

/* A new blob; nothing of it is seen until blob_finish. */
int blob_create(const struct store *s, struct blob_writer **ret, struct err *err);

/*
 * Go on with a download that was cut, or begin it: *ret_offset bytes are there (and hashed).
 * Somebody else is at it: waits for him; when he has made it, errnum EEXIST.
 */
int blob_resume(const struct store *s, const char *hex, struct blob_writer **ret,
		uint64_t *ret_offset, struct err *err);

/* Throw away what is there: the server cannot go on in the middle. */
int blob_restart(struct blob_writer *w, struct err *err);

int blob_write(struct blob_writer *w, const void *p, size_t n, struct err *err);

/*
 * Check size (UINT64_MAX: any) and digest (NULL: any), write it to the disk, name it.  Of another
 * digest or size: EBADMSG, and nothing of it is kept.  The writer is freed in either case.
 */
int blob_finish(struct blob_writer *w, const char *hex, uint64_t size, char ret_hex[DIGEST_HEX + 1],
		struct err *err);

/* Give up.  What blob_resume began stays, to be resumed.  NULL or an empty one is fine. */
void blob_abort(struct blob_writer **w);
#define _cleanup_blob_ __attribute__((cleanup(blob_abort)))

bool blob_has(const struct store *s, const char *hex);

/* Open it for reading.  Not there: ENOENT. */
int blob_open(const struct store *s, const char *hex, int *ret_fd, uint64_t *ret_size,
	      struct err *err);

/* All of a small one, checked against its digest (EBADMSG); larger than `limit`: EFBIG. Adds to ret. */
int blob_read(const struct store *s, const char *hex, size_t limit, struct buf *ret,
	      struct err *err);

/* Make one out of bytes at hand. */
int blob_put(const struct store *s, const void *p, size_t n, char ret_hex[DIGEST_HEX + 1],
	     struct err *err);

#endif
