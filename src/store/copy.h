/*
 * copy — entries of one tree of the store, made once more in another one.
 *
 * The caller is in the user namespace of the trees (run/view.h), with its capabilities: owners,
 * modes and attributes are copied whatever they are.
 */
#ifndef SBX_STORE_COPY_H
#define SBX_STORE_COPY_H

#include <stdbool.h>
#include <sys/stat.h>

struct entries;
struct err;

/* Owner, mode, times and attributes (but an overlay's own) of an open folder or file. `name`: for messages. */
int copy_attributes(int from_fd, int to_fd, const char *name, struct err *err);

/*
 * The entry `name` of the folder from_dir, whose lstat is `st`, in to_dir, where it must not be yet:
 * a file's bytes (a reflink where the filesystem can, holes kept), a link, a FIFO, a device that is a whiteout, or
 * an empty folder; with all attributes.  Sockets: 0, and nothing is made.
 */
int copy_entry(int from_dir, int to_dir, const char *name, const struct stat *st, struct err *err);

/*
 * All entries of the list (in its order, with every folder above one before it), from one tree in
 * another, empty one, in the store's form whatever the dialect of `from` was.  What vanishes meanwhile
 * is left out.  Hard links stay links among them.
 */
int copy_entries(int from, int to, const struct entries *list, struct err *err);

#endif
