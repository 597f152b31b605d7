/*
 * prefetch — the files that nearly every command reads first, asked for before one runs.
 *
 * What the host's root shows is not in the kernel's cache at a cold start, and a command that maps its
 * loader and libc would wait for our server at each of some twenty page faults.
 */
#ifndef SBX_RUN_PREFETCH_H
#define SBX_RUN_PREFETCH_H

struct plan;

/* In the building ground, for a root over the host's that the kernel merges; `program`: the plan's shell where NULL. */
void prefetch_first(const struct plan *plan, const char *program);

/*
 * Start reading them below the folder `root`, and don't wait.  What is not there is left out.  Before them comes
 * `program`, which is looked for as execvpe(3) does, in the list of folders `path`: then what is
 * not there is known as well.
 */
void prefetch(int root, const char *program, const char *path);

#endif
