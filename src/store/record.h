/*
 * record — the small JSON files of the store: versioned, replaced whole or not at all.
 *
 * A path name holds any byte but NUL, a JSON string only UTF-8.  So bytes are
 * written percent-encoded (RFC 3986 section 2.1): '%', control bytes, DEL and
 * every byte from 0x80 on as %XX, all else as it is.  That loses nothing.
 */
#ifndef SBX_STORE_RECORD_H
#define SBX_STORE_RECORD_H

#include <jansson.h>

struct arena;
struct err;

/*
 * Read `name` in dir_fd: a JSON object with an integer "version" of 1..version.
 * Not there: errnum ENOENT.  No such object: EBADMSG.  A newer version: EPROTO, with a hint.
 */
int record_load(int dir_fd, const char *name, int version, json_t **ret, struct err *err);

/* Write `obj` with "version" set; mode 0600. */
int record_save(int dir_fd, const char *name, int version, json_t *obj, struct err *err);

/* Any bytes as a JSON string (a new reference), and back. */
json_t *record_bytes(const char *s);
/* NULL where the value is no string, is badly encoded or holds NUL. */
char *record_text(struct arena *a, const json_t *value);
char *record_get_bytes(struct arena *a, const json_t *obj, const char *key);

#endif
