/*
 * kernel_exec — a Jupyter kernel in the sandbox, for a front end outside.
 */
#ifndef SBX_CLI_KERNEL_EXEC_H
#define SBX_CLI_KERNEL_EXEC_H

#include "cli/open.h"

struct arena;
struct err;

/*
 * Run `argv` in the sandbox of `w` (opened: project and profile) as the kernel of the connection file: wherever
 * argv has the file's path, it gets that of the file inside.  The sockets that the file names are listened on
 * outside, and lead to Unix sockets inside, whatever the network is.
 */
int kernel_exec(struct arena *a, struct workplace *w, const char *connection,
		const char *const *argv, int *ret_status, struct err *err);

#endif
