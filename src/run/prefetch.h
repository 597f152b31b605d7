/*
 * prefetch — the files that nearly every command reads first, asked for before one runs.
 *
 * What the host's root shows is not in the kernel's cache at a cold start, and a command that maps its
 * loader and libc would wait for our server at each of some twenty page faults.
 */
#ifndef SBX_RUN_PREFETCH_H
#define SBX_RUN_PREFETCH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct plan;

struct prefetch {
	int root;            /* -1: there is nothing left to do */
	const char *program; /* still looked for, or NULL */
	const char *path;    /* where */
	size_t n;            /* files that are done with */
	int fd;              /* of what is read, from `at` on; or -1 */
	off_t at, size;
};
#define PREFETCH_NONE ((struct prefetch){.root = -1, .fd = -1, .path = ""})

/*
 * Start reading them below the folder `root`, which it takes, and don't wait.  What is not there is left
 * out.  Before them comes `program`, which is looked for as execvpe(3) does, in the list of folders `path`:
 * then what is not there is known as well.  The strings are borrowed.
 */
void prefetch_begin(int root, const char *program, const char *path, struct prefetch *ret);

/* The same in the building ground, for a root over the host's that the kernel merges; else there is nothing to do.
 * `program`: the plan's shell where NULL. */
void prefetch_first(const struct plan *plan, const char *program, struct prefetch *ret);

/* A little of it, for somebody who has something else to do as well.  False: that was all. */
bool prefetch_step(struct prefetch *p);

void prefetch_done(struct prefetch *p);

#endif
