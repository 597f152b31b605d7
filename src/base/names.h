/*
 * names — who a user or a group is, where /etc/passwd and /etc/group don't tell.
 *
 * The program may be linked statically, and then libc's getpwuid(3) would load the libraries of
 * the name service (LDAP, systemd-homed) into it; they belong to another libc.  getent(1) has them.
 */
#ifndef SBX_BASE_NAMES_H
#define SBX_BASE_NAMES_H

#include <stdint.h>
#include <stdio.h>

/*
 * What `getent DATABASE ID` prints, for fgetpwent(3) or fgetgrent(3); the caller closes it.  NULL: it
 * knows none, or it could not be run.
 */
FILE *names_ask(const char *database, uint32_t id);

#endif
