/*
 * base64 — RFC 4648 section 4, with padding.
 */
#ifndef SBX_BASE_BASE64_H
#define SBX_BASE_BASE64_H

#include <stddef.h>

struct buf;

/* Add the text of n bytes. */
void base64_encode(struct buf *ret, const void *p, size_t n);

/* Add the bytes of n characters; padding may be missing.  -1: it is none, and nothing was added. */
int base64_bytes(struct buf *ret, const char *s, size_t n);

#endif
