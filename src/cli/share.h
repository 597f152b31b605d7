/*
 * share — what has to be made at each start for what a profile shares.
 */
#ifndef SBX_CLI_SHARE_H
#define SBX_CLI_SHARE_H

#include "cli/open.h"

struct arena;
struct err;

/* For x11: a cookie of the untrusted kind, from the X server through xauth(1), in the private home's .Xauthority. */
int share_prepare(struct arena *a, const struct workplace *w, struct err *err);

#endif
