/*
 * peer — whose the other end of a TCP connection is.
 */
#ifndef SBX_RUN_PEER_H
#define SBX_RUN_PEER_H

#include <stdbool.h>
#include <sys/types.h>

/* Of a program of this machine (of this network namespace), as the kernel has it.  -1: it is not known. */
int peer_uid(int fd, uid_t *ret);

/* It is another user's, for certain, and not root's. */
bool peer_is_foreign(int fd);

#endif
