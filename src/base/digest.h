/*
 * digest — SHA-256 (libcrypto) as lower-case hex.
 */
#ifndef SBX_BASE_DIGEST_H
#define SBX_BASE_DIGEST_H

#include <stddef.h>

#define DIGEST_HEX 64 /* without the NUL */

void digest_sha256(const void *p, size_t n, char ret_hex[DIGEST_HEX + 1]);

#endif
