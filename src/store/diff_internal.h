/* diff_internal — what the files of diff share. */
#ifndef SBX_STORE_DIFF_INTERNAL_H
#define SBX_STORE_DIFF_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "store/descent.h"
#include "store/diff.h"

struct err;

#define DIFF_BUFFER 131072

/* A name in a folder of the upper, or one that an opaque folder hides. */
struct diff_child {
	const char *name;
	enum entry_verdict verdict; /* ENTRY_ADDED: to be compared; or SAME, DELETED, HIDDEN */
	struct stat st;
};

struct diff_children {
	struct arena *a; /* theirs */
	struct diff_child *v;
	size_t n;
	size_t cap;
	size_t next; /* where the walk is */
};

struct diff_walk {
	const struct diff_input *in;
	struct descent upper;
	struct descent lower; /* as deep as the upper, or less deep where it has no such folder */
	char *buffers[2];     /* for contents */
	struct err *err;
};

/* Is there a folder of the lower beside the upper's? */
bool diff_has_lower(const struct diff_walk *w);

/* What happens when a file is taken away while it is looked at. */
bool diff_vanished(int errnum);

/* Fill *ret with what the folder where the walk is says, in the order of the tar.  `opaque`: what is only
 * in the lower is hidden. */
int diff_list(const struct diff_walk *w, bool opaque, struct diff_children *ret);
void diff_children_done(struct diff_children *c);

/*
 * Compare an entry of the upper with the lower's of the same name: e->verdict and e->what; where it is
 * ENTRY_MODIFIED, *ret_was is the lower's.
 * 1, 0: it has vanished, -1.
 */
int diff_compare(const struct diff_walk *w, const char *name, struct entry *e,
		 struct stat *ret_was);

#endif
