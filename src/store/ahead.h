/*
 * ahead — lists the folders of a tree in threads of its own, before a walk comes to them.
 *
 * Most of what a walk over many files costs is the kernel's answers to stat(2), and two processors give them twice
 * as fast.  The threads go the way of the walk, by depth first and by name; where they were not yet, or failed, the
 * walk lists for itself.  So what it sees, and what it fails with, does not depend on them.
 *
 *     struct ahead *h = ahead_new(root_fd);            NULL: there is one processor alone
 *     ahead_list(h, NULL, fd, "", &top);               the root
 *     ahead_list(h, top.v[0], fd, "usr", &usr);        a folder in it, if the walk goes there
 *     ahead_leave(h, &usr);
 *     ahead_leave(h, &top);
 *     ahead_free(h);
 *
 * All but the threads are used by one thread, the walk's.
 */
#ifndef SBX_STORE_AHEAD_H
#define SBX_STORE_AHEAD_H

struct ahead; /* opaque */
struct listed;
struct listing;

/* The root is the caller's, and stays open.  Threads start when there is work for them. */
struct ahead *ahead_new(int root_fd);

/* Begin, before there is a walk: it will go everywhere.  `h` may be NULL. */
void ahead_begin(struct ahead *h);

/*
 * What the folder `fd` holds (listing_read, of an own descriptor); its path from the root is `path`, and `at` is its
 * entry in the listing of the folder above it.  `h` may be NULL.  -1 with errno.
 */
int ahead_list(struct ahead *h, struct listed *at, int fd, const char *path, struct listing *ret);

/* The walk leaves this folder, and goes to none in it any more: listing_done.  `h` may be NULL. */
void ahead_leave(struct ahead *h, struct listing *l);

/* All listings were left.  The threads end where they are.  NULL is fine. */
void ahead_free(struct ahead *h);

#endif
