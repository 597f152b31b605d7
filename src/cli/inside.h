/*
 * inside — run a command of sbx's own in the sandbox, with other standard streams than the caller's.
 */
#ifndef SBX_CLI_INSIDE_H
#define SBX_CLI_INSIDE_H

#include <stddef.h>

#include "cli/open.h"

struct arena;
struct err;

/* A text for the command's standard input is short: it has to fit into a pipe. */
#define INSIDE_TEXT_MAX 65536

/*
 * For a shell script before it starts a Python: the folder that `pip install` fills.  A Python that starts without it
 * does not look there later, and would not find what a notebook's own cell installs.
 */
#define INSIDE_USER_SITE "mkdir -p \"$(python3 -m site --user-site)\" 2>/dev/null\n"

struct inside_streams {
	const char *text; /* its standard input; NULL: /dev/null */
	size_t len;
	int out, err; /* borrowed; -1: as they are */
};

/* As open_run (cli/open.h). */
int inside_run(struct arena *a, struct workplace *w, const struct open_command *command,
	       const struct inside_streams *streams, int *ret_status, struct err *err);

/* Does `argv` end well inside, saying nothing? */
int inside_check(struct arena *a, struct workplace *w, const char *const *argv, bool *ret,
		 struct err *err);

#endif
