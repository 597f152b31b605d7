/*
 * accounts — users and groups by the /etc/passwd and /etc/group of a root, which may be anything: a link, a FIFO, a
 * stranger's text.  They are looked up inside the root, and read only where they are plain files.
 */
#ifndef SBX_STORE_ACCOUNTS_H
#define SBX_STORE_ACCOUNTS_H

#include <stdbool.h>
#include <sys/types.h>

struct arena;
struct err;

struct account {
	uid_t uid;
	gid_t gid;
	const char *home; /* "/" where there is none */
	bool known;       /* it has a line in /etc/passwd */
};

/*
 * "USER[:GROUP]", each a name or a number.  Without a group it is that of the user's line; of a number without a line
 * it is 0.  A name that is not there: ENOENT.
 */
int accounts_find(struct arena *a, int root, const char *spec, struct account *ret,
		  struct err *err);

#endif
