/*
 * unpack_into — ADD of an archive: its entries put into a root (place.h), with the owners that it says.
 */
#ifndef SBX_STORE_UNPACK_INTO_H
#define SBX_STORE_UNPACK_INTO_H

#include <stdbool.h>

struct err;
struct place;

/* A tar, as it is or compressed: by how it begins. */
bool unpack_into_is_archive(int fd);

/* In the folder `path` of the root.  What layers hold beyond that, deletions, is refused; devices are left out. */
int unpack_into(struct place *p, int fd, const char *path, struct err *err);

#endif
