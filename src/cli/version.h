/*
 * version — which version a helper program is of.
 */
#ifndef SBX_CLI_VERSION_H
#define SBX_CLI_VERSION_H

#include <stdbool.h>

struct arena;
struct err;

struct version {
	unsigned major, minor;
	const char *text; /* "1.10" as it was printed */
};

/* The first N.N… in `text`; false where there is none. */
bool version_of(struct arena *a, const char *text, struct version *ret);

bool version_at_least(const struct version *v, unsigned major, unsigned minor);

/* Run `program --version` and look for it in what it prints. */
int version_ask(struct arena *a, const char *program, struct version *ret, struct err *err);

#endif
