/*
 * doctor — what sbx needs of a machine, looked at one by one, and what mends it.
 */
#ifndef SBX_CLI_DOCTOR_H
#define SBX_CLI_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct err;

struct check {
	const char *name; /* "/dev/fuse" */
	const char *what; /* what it is for */
	bool needed;      /* else sbx does without, with less */
	bool ok;
	const char *found; /* the version, or why it is not right; may be NULL */
	const char *fix;   /* a command or a step that mends it; NULL where ok */
};

/* All of them, needed or not; a failing check is a result, not a failure. */
int doctor_look(struct arena *a, struct check **ret, size_t *ret_n, struct err *err);

/*
 * Can a /proc be mounted in namespaces of its own, as every sandbox needs it?  What an outer
 * container masks there makes the kernel refuse.  Tried in a child process.
 */
int doctor_probe_proc(struct err *err);

#endif
