/*
 * jupyter — a Jupyter server in the sandbox, reached by a port of this machine's own.
 */
#ifndef SBX_CLI_JUPYTER_H
#define SBX_CLI_JUPYTER_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/open.h"

struct arena;
struct err;

struct jupyter {
	const char *kind;        /* "lab" or "notebook" */
	const char *const *args; /* further ones, for Jupyter */
	uint16_t port;           /* 0: 8888, or the next that is free */
	bool browser;            /* open one, where there is a display */
	bool yes;                /* install what is missing without asking */
	bool new_token;          /* in place of the one that the environment keeps */
};

/*
 * Does one run in the environment already?  Then its address is printed, as jupyter_run does it, and *ret is true; an
 * error where something else was asked for than what it is.
 */
int jupyter_other(struct arena *a, struct workplace *w, const struct jupyter *j, bool *ret,
		  struct err *err);

/*
 * Is it installed inside?  kind NULL: lab where it is there, else the notebook; set to what it is.  What is missing
 * is installed by apt-get (and pip), inside, which is said and, on a terminal, asked.
 */
int jupyter_install(struct arena *a, struct workplace *w, struct jupyter *j, struct err *err);

/*
 * Run it, until it ends.  It listens on a Unix socket inside; its URL, with the token that the environment keeps, is
 * printed when it answers.
 */
int jupyter_run(struct arena *a, struct workplace *w, const struct jupyter *j, int *ret_status,
		struct err *err);

#endif
