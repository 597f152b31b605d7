/*
 * place — files of a context put into a root, as COPY and ADD do: every path is looked up inside the root, so that no
 * link of an image leads out of it.
 *
 * In the user namespace and as the root of that root (run/view.h).
 */
#ifndef SBX_STORE_PLACE_H
#define SBX_STORE_PLACE_H

#include <stdbool.h>
#include <sys/types.h>
#include <time.h>

struct arena;
struct context_item;
struct err;
struct links;

struct place_time; /* private */

struct place {
	struct arena *a;
	int root;         /* a descriptor */
	bool one_id;      /* there is no other owner than this process': none is set */
	bool keep_owners; /* of the items; else 0:0 */
	bool set_owner;   /* to these, new folders on the way too */
	uid_t uid;
	gid_t gid;
	bool set_mode;
	mode_t mode;
	struct links *links;      /* of the items, or NULL */
	struct place_time *times; /* zeroed at first */
};

/* Is there a folder at that path? */
bool place_is_folder(const struct place *p, const char *path);

/* mkdir -p; existing ones stay as they are. */
int place_folder(const struct place *p, const char *path, struct err *err);

/* Put the item at `path`: over a file, into a folder that is there already; never a file over a folder. */
int place_item(struct place *p, const char *path, const struct context_item *item, struct err *err);

/*
 * The same for a file whose contents the caller writes: an empty one, open for writing, of which nobody but root may read;
 * and when they are written, its owner, mode and time.
 */
int place_file_begin(const struct place *p, const char *path, int *ret_fd, struct err *err);
int place_file_end(const struct place *p, const char *path, int fd, const struct context_item *item,
		   struct err *err);

/* Another name for the file `first` of the root, a link not followed. */
int place_link(const struct place *p, const char *path, const char *first, struct err *err);

/* Folders get their times when nothing is put into them any more. */
int place_finish(struct place *p, struct err *err);

#endif
