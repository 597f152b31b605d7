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

/*
 * The same, hashed in a thread of its own while the caller fetches the next bytes: for a long stream, where the
 * hash takes as long as all the rest.  digest_add copies what it is given, and waits where the thread is
 * far behind.  Where no thread can be made it is digest_new.  The thread takes no signals.  Not for a process that
 * forks while it is open.
 */
struct digest *digest_new_beside(void);
#define _cleanup_digest_ __attribute__((cleanup(digest_free)))

#endif
