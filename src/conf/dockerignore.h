/*
 * dockerignore — .containerignore and .dockerignore: what of a build's context is not in it.
 *
 * A line is a pattern, relative to the context: `*`, `?`, `[…]` and `\` as in Go's path.Match, which never match a
 * slash, and `**`, which matches any number of folders.  `!` takes back what an earlier line left out: the last that
 * matches counts.  What lies in a folder that matches, matches.  `#` at the start: a comment.
 */
#ifndef SBX_CONF_DOCKERIGNORE_H
#define SBX_CONF_DOCKERIGNORE_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct err;

#define DOCKERIGNORE_MAX ((size_t)1 << 18)

struct dockerignore {
	struct ignore_pattern {
		const char *glob; /* clean, without slashes around it */
		bool back;        /* '!' */
	} * v;
	size_t n;
};

/* Fails with "FILE:LINE: …". */
int dockerignore_parse(struct arena *a, const char *file, const char *text, size_t len,
		       struct dockerignore *ret, struct err *err);

/* Is the path (relative, clean) left out? */
bool dockerignore_matches(const struct dockerignore *ignore, const char *path);

/* Could something below the folder, which is left out, be taken back? */
bool dockerignore_may_return(const struct dockerignore *ignore);

/* Go's path.Match of one pattern and one path; with `deep`, `**` is any number of folders. */
bool dockerignore_glob(const char *glob, const char *path, bool deep);

/* False where a '[' has no end, or an escape nothing behind it. */
bool dockerignore_valid(const char *glob);

#endif
