/*
 * diff_patch — a change as a unified diff, by the host's diff(1).
 */
#ifndef SBX_CLI_DIFF_PATCH_H
#define SBX_CLI_DIFF_PATCH_H

struct buf;
struct entry;
struct err;

/* The absolute path of diff(1), malloc'd; without it an error with a hint. */
int diff_patch_program(char **ret, struct err *err);

/*
 * Add the change: a unified diff of text against what the folder `lower` has (nothing: /dev/null), labels
 * a/… and b/…; that binary files differ; for all else the line of diff_print.h.  Bytes of
 * the files pass as they are.
 */
int diff_patch(const char *program, int lower, int upper, const struct entry *e, struct buf *ret,
	       struct err *err);

#endif
