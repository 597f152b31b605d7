/*
 * image — the grammar of registry references and digests, as text.
 */
#ifndef SBX_CONF_IMAGE_H
#define SBX_CONF_IMAGE_H

#include <stdbool.h>

struct err;

/*
 * REGISTRY[:PORT]/PATH[:TAG][@sha256:HEX], as the OCI distribution specification and the
 * "distribution" project's reference grammar have it; the registry's name may not be left out.
 * Fails with the cause alone.
 */
int image_check_reference(const char *s, struct err *err);

/* 64 lower-case hexadecimal digits. */
bool image_is_hex(const char *s);

#endif
