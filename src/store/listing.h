/*
 * listing — what a folder holds, with the stat(2) of each.
 */
#ifndef SBX_STORE_LISTING_H
#define SBX_STORE_LISTING_H

#include <stddef.h>
#include <sys/stat.h>

struct arena;
struct ahead_job;

struct listed {
	struct stat st;        /* of itself: no link is followed */
	struct ahead_job *job; /* store/ahead's; or NULL */
	char name[];
};

struct listing {
	struct arena *a; /* theirs */
	struct listed **v;
	size_t n;
	size_t cap;
	dev_t dev; /* the folder's own */
	ino_t ino;
};

/*
 * All but "." and "..", in the folder's own order; of a folder opened for reading at its beginning, which is at
 * its end then.  What vanishes meanwhile is left out.  -1 with errno.
 */
int listing_read(int dir_fd, struct listing *ret);

/* Nothing of store/ahead's may be left in it. */
void listing_done(struct listing *l);
#define _cleanup_listing_ __attribute__((cleanup(listing_done)))

#endif
