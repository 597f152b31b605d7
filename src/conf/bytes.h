/*
 * bytes — which bytes may stand in a line of a profile.
 *
 * A profile is read by a person before it is allowed; so nothing may stand in
 * it that a terminal or an editor shows as something else (THREATS.md A11).
 */
#ifndef SBX_CONF_BYTES_H
#define SBX_CONF_BYTES_H

#include <stddef.h>

struct err;

/* Check one line (without its newline): valid UTF-8, no control character but tab, none that
 * turns or hides text.  Fails with the cause alone; the caller adds where. */
int bytes_check(const char *s, size_t n, struct err *err);

#endif
