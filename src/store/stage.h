/*
 * stage — a folder of one's own in the store's tmp/: PREFIX-<boot>-<pid>-<random>/, flocked.
 *
 * One that nobody has flocked is litter (litter.h): it ends with the process that made it.
 */
#ifndef SBX_STORE_STAGE_H
#define SBX_STORE_STAGE_H

struct err;
struct store;

#define STAGE_NAME 64

/* *ret_fd is the folder (O_RDONLY); it holds the lock.  The prefix has at most 8 bytes. */
int stage_make(const struct store *s, const char *prefix, char ret_name[STAGE_NAME], int *ret_fd,
	       struct err *err);

#endif
