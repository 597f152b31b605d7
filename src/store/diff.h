/*
 * diff — what an upper folder changes of what lies below it.
 *
 * One walk over the upper, O(changed); each of its entries is looked up in `lower`, which is
 * the merged view of everything below.  Deterministic: entries come in the order of the canonical
 * tar (bytewise by path, where a folder counts as "path/"), so a folder comes before what is in it.
 */
#ifndef SBX_STORE_DIFF_H
#define SBX_STORE_DIFF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "store/whiteout.h"

struct ahead;
struct arena;
struct err;

enum entry_verdict {
	ENTRY_SAME, /* copied up, and as it was: no change */
	ENTRY_TIME, /* only its modification time differs, or it is one file with what has changed:
			 * no change to show, but a layer with other changes has it */
	ENTRY_PARENT, /* a folder that is as it was, with changes below it */
	ENTRY_ADDED,
	ENTRY_MODIFIED,
	ENTRY_DELETED, /* there is a whiteout in the upper */
	ENTRY_HIDDEN,  /* deleted too, by an opaque folder above it: nothing in the upper.  The
			 * topmost deleted one stands for all below it. */
};

/* Of ENTRY_MODIFIED: what is different. */
#define CHANGE_CONTENT 1U /* a file's bytes, a link's target, a device's number */
#define CHANGE_MODE 2U
#define CHANGE_OWNER 4U
#define CHANGE_XATTR 8U
#define CHANGE_TYPE 16U

struct entry {
	const char *path; /* from the root, no leading slash; any bytes but NUL */
	enum entry_verdict verdict;
	unsigned what;
	/* A folder that hides one of the lower, unless one above it does already. */
	bool opaque;
	/* Below such a folder that is not ENTRY_SAME: the upper alone has it, so that a layer needs it
	 * even where it is as it was.  Never a whiteout. */
	bool covered;
	bool excluded;          /* it, or a folder above it, matches a pattern */
	struct stat st;         /* the upper's; of what is deleted: the lower's */
	const struct stat *was; /* of what is modified: the lower's; else NULL */
};

/* Is it a change that a person wants to see? */
bool diff_is_change(const struct entry *e);

struct entries {
	struct entry *v;
	size_t n;
};

struct diff_input {
	int lower, upper; /* directory fds */
	enum whiteout_dialect dialect;
	bool owners;                /* owners count (not where there is but one id) */
	const char *const *exclude; /* patterns (diff_excluded), ends with NULL; or NULL */
	const char *under;   /* only this path and what is below it (and its parents); or NULL */
	struct ahead *ahead; /* of the upper, begun already; NULL: one is made */
};

/* The root folder itself is no entry.  What vanishes while it is looked at (a running
 * sandbox) is left out. */
int diff_entries(struct arena *a, const struct diff_input *in, struct entries *ret,
		 struct err *err);

/*
 * Does a pattern of `[commit] exclude` match the path?  As in .gitignore(5), without '!': one without
 * a slash (but at the end) matches a name in any folder, one with a slash the whole path from
 * the root; `*`, `?` and `[…]` never match a slash, `**` any number of folders; a slash at
 * the end: folders only.
 */
bool diff_excluded(const char *const *patterns, const char *path, bool is_dir);

#endif
