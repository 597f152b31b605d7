/*
 * detect — which profile fits a folder, by the files in it.
 */
#ifndef SBX_CLI_DETECT_H
#define SBX_CLI_DETECT_H

struct arena;

struct detected {
	const char *profile; /* NULL: nothing tells */
	const char *file;    /* what tells */
};

/* Looks at names alone.  Only profiles that are there are found. */
struct detected detect_profile(struct arena *a, const char *dir);

#endif
