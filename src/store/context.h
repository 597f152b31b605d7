/*
 * context — what COPY and ADD take: files of a build's context, or of another root, by their names and patterns.
 *
 * A context is somebody's folder, which may change meanwhile: each name is looked up by its folder's descriptor, and no
 * link leads out of it.
 */
#ifndef SBX_STORE_CONTEXT_H
#define SBX_STORE_CONTEXT_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/digest.h"

struct arena;
struct dockerignore;
struct err;
struct strv;

struct context {
	int fd;
	bool root; /* a root: absolute links stay in it; else links that leave it are refused */
	const struct dockerignore *ignore; /* or NULL */
};

struct context_item {
	const char *path; /* in the context, for messages */
	const char *to;   /* below what was asked for; "": that itself */
	struct stat st;
	int fd;           /* of a file or folder; else -1 */
	const char *link; /* of a symbolic link */
};

/* The call's -1 with `err` ends the walk. */
typedef int (*context_fn)(void *arg, const struct context_item *item, struct err *err);

/* The paths that a pattern (path.Match, dockerignore.h) stands for, sorted.  None: ENOENT. */
int context_find(struct arena *a, const struct context *c, const char *pattern, struct strv *ret,
		 struct err *err);

/*
 * Call fn for `path` (a link is followed) and all that is below it, a folder before what is in it, in the order of names.
 * Sockets and devices are left out.
 */
int context_walk(const struct context *c, const char *path, context_fn fn, void *arg,
		 struct err *err);

/* Add an item to a digest: its name, kind, mode, link, and for a file its contents.  Owners with `owners`. */
int context_digest(struct digest *d, const struct context_item *item, bool owners, struct err *err);

#endif
