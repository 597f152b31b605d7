/* diff_internal — what the files of diff share. */
#ifndef SBX_STORE_DIFF_INTERNAL_H
#define SBX_STORE_DIFF_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "store/descent.h"
#include "store/diff.h"
#include "store/listing.h"

struct ahead;
struct err;

#define DIFF_BUFFER 131072

/* A name in a folder of the upper, or one that an opaque folder hides. */
struct diff_child {
	const char *name;
	enum entry_verdict verdict; /* ENTRY_ADDED: to be compared; or SAME, DELETED, HIDDEN */
	const struct stat *st;
	struct listed *listed; /* of ENTRY_ADDED */
};

struct diff_children {
	struct listing upper; /* what the names and stats are of */
	struct arena *a;      /* of the lower's; NULL: there are none */
	struct diff_child *v;
	size_t n;
	size_t cap;
	size_t next; /* where the walk is */
};

struct diff_walk {
	const struct diff_input *in;
	struct descent upper;
	struct descent lower; /* as deep as the upper, or less deep where it has no such folder */
	struct ahead *ahead;  /* of the upper; or NULL */
	char *buffers[2];     /* for contents */
	struct err *err;
};

/* Is there a folder of the lower beside the upper's? */
bool diff_has_lower(const struct diff_walk *w);

/* What happens when a file is taken away while it is looked at. */
bool diff_vanished(int errnum);

/*
 * Fill *ret with what the folder where the walk is says, in the order of the tar.  `opaque`: what is only
 * in the lower is hidden.  `at`: its entry in the folder above it; NULL of the root.
 */
int diff_list(const struct diff_walk *w, bool opaque, struct listed *at, struct diff_children *ret);
void diff_children_done(const struct diff_walk *w, struct diff_children *c);

/*
 * Compare an entry of the upper with the lower's of the same name: e->verdict and e->what.  *ret_was is the
 * lower's, zeroed where there is none.  1, 0: it has vanished, -1.
 */
int diff_compare(const struct diff_walk *w, const char *name, struct entry *e,
		 struct stat *ret_was);

/* A file of the upper with more than one name. */
struct diff_link {
	dev_t dev, lower_dev;
	ino_t ino, lower_ino; /* lower_ino 0: there was none of this name */
	size_t entry;
};

struct diff_links {
	struct diff_link *v;
	size_t n;
	size_t cap;
};

void diff_links_done(struct diff_links *links);

/* Note the entry, if it is such a file. */
void diff_links_add(struct diff_links *links, size_t entry, const struct stat *upper,
		    const struct stat *lower);

/*
 * Names of one file belong together: where one of them is new or different, or they were not one file
 * before, those that are the same become ENTRY_TIME, so that a layer has them too, and their folders
 * ENTRY_PARENT.  parents[i] is the entry of the folder of v[i], SIZE_MAX at the root.
 */
void diff_links_mark(struct diff_links *links, struct entry *v, const size_t *parents);

#endif
