/*
 * title — what ps(1) shows of a process that was forked and never exec'd.
 *
 * Such a process has its parent's command line and environment, readable in /proc: inside a
 * sandbox that would be the caller's (THREATS.md A13).
 */
#ifndef SBX_RUN_TITLE_H
#define SBX_RUN_TITLE_H

/* Overwrite the command line with `title` (cut where there is no room), and the environment
 * with nothing; environ becomes empty.  `comm`: the short name, at most 15 bytes. */
void title_set(const char *comm, const char *title);

#endif
