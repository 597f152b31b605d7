/*
 * carry — files and folders from one tree into another, for a person: `sbx cp`.
 *
 * Modes and times are kept, setuid and setgid are not; owners are those of the place that they come to.  Links are
 * copied as links.  No link is followed on either side below the two folders, whatever happens there meanwhile.
 * Names are single components; the folders are descriptors.
 */
#ifndef SBX_STORE_CARRY_H
#define SBX_STORE_CARRY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;

struct carry {
	bool chown;     /* new entries belong to the owner of the folder that they are put into */
	size_t skipped; /* sockets and devices */
	dev_t into_dev; /* for carry.c: where it all goes to, which is not copied into itself */
	ino_t into_ino;
};

/*
 * The entry from_name of from_dir as to_name of to_dir.  A folder is merged into one that is there; a file or link takes
 * the place of one that is there, whole or not at all.  A folder over a file, or a file over a folder, is an error.
 */
int carry_entry(struct carry *c, int from_dir, const char *from_name, int to_dir,
		const char *to_name, struct err *err);

/* All that is in the folder `from`, into the folder `to`. */
int carry_contents(struct carry *c, int from, int to, struct err *err);

#endif
