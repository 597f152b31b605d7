/*
 * title — what ps(1) shows of a process that was forked and never exec'd.
 *
 * Such a process has its parent's command line and environment, readable in /proc: inside a
 * sandbox that would be the caller's (THREATS.md A13).
 */
#ifndef SBX_RUN_TITLE_H
#define SBX_RUN_TITLE_H

#include <stddef.h>

/* Where the command line lies, in this process and in those that it forks. */
struct title {
	char *text;
	size_t room; /* 0: nowhere */
};

/* Overwrite the command line and the environment with nothing; environ becomes empty. */
void title_take(struct title *ret);

/* Let it be `title`, cut where there is no room.  `comm`: the short name, at most 15 bytes. */
void title_set(const struct title *t, const char *comm, const char *title);

#endif
