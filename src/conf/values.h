/*
 * values — the types of a profile's single values: see struct value_type in keys.h.
 */
#ifndef SBX_CONF_VALUES_H
#define SBX_CONF_VALUES_H

#include <stdbool.h>

#include "conf/keys.h"

extern const struct value_type value_name;     /* struct text_value: a name */
extern const struct value_type value_image;    /* profile.base */
extern const struct value_type value_enum;     /* an enum, by key->names */
extern const struct value_type value_bool;     /* struct bool_value */
extern const struct value_type value_size;     /* struct u64_value: bytes */
extern const struct value_type value_cpus;     /* struct u64_value: thousandths */
extern const struct value_type value_count;    /* struct u64_value */
extern const struct value_type value_duration; /* uint64_t: milliseconds */

/* A letter or digit, then letters, digits, '.', '_', '-'; 63 bytes at most: a host name's part. */
bool value_is_name(const char *s);

#endif
