/*
 * prefetch — the files that nearly every command reads first, asked for before one runs.
 *
 * What the host's root shows is not in the kernel's cache at a cold start, and a command that maps its
 * loader and libc would wait for our server at each of some twenty page faults.
 */
#ifndef SBX_RUN_PREFETCH_H
#define SBX_RUN_PREFETCH_H

/* Start reading them below the folder `root`, and don't wait.  What is not there is left out. */
void prefetch(int root);

#endif
