/*
 * digest — SHA-256 (libcrypto) as lower-case hex.
 */
#ifndef SBX_BASE_DIGEST_H
#define SBX_BASE_DIGEST_H

#include <stddef.h>

#define DIGEST_HEX 64 /* without the NUL */

void digest_sha256(const void *p, size_t n, char ret_hex[DIGEST_HEX + 1]);

/* The same piece by piece: new, add, end (which frees it). NULL is fine for digest_free. */
struct digest; /* opaque */
struct digest *digest_new(void);
void digest_add(struct digest *d, const void *p, size_t n);
void digest_end(struct digest *d, char ret_hex[DIGEST_HEX + 1]);
void digest_free(struct digest **d);
#define _cleanup_digest_ __attribute__((cleanup(digest_free)))

#endif
