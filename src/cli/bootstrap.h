/*
 * bootstrap — a base without a registry: mmdebstrap, in a sandbox on the host's root, from the mirror that the host uses.
 */
#ifndef SBX_CLI_BOOTSTRAP_H
#define SBX_CLI_BOOTSTRAP_H

struct arena;
struct err;

/* "debian:bookworm" → "localhost/debian:bookworm", as the image will be called.  What else it is: ERR_USAGE. */
int bootstrap_name(struct arena *a, const char *what, const char **ret, struct err *err);

/* Make it, for the project in the folder `dir`; what mmdebstrap says is shown. */
int bootstrap_make(struct arena *a, const char *dir, const char *what, struct err *err);

#endif
