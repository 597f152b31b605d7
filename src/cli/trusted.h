/*
 * trusted — what the profile of a project asks for, with what the store knows of its images, and whether the user
 * allowed it.
 */
#ifndef SBX_CLI_TRUSTED_H
#define SBX_CLI_TRUSTED_H

#include <stdbool.h>
#include <stddef.h>

#include "base/digest.h"
#include "conf/trust.h"

struct arena;
struct err;
struct workplace;

struct trusted {
	struct trust_request *v;
	size_t n;
	size_t n_asked; /* of them without which nothing is done: those that are not optional; they come first */
	char key[DIGEST_HEX +
		 1]; /* what is allowed: the profile's text, and the image that a lock names */
	bool allowed;
};

/* Of a workplace with its project and profile open. */
int trusted_look(struct arena *a, const struct workplace *w, struct trusted *ret, struct err *err);

/*
 * A sandbox of that profile begins: remember whether it has a network, and tell of what it does unasked for others
 * to see, once for each text of the profile.
 */
void trusted_begin(struct arena *a, const struct workplace *w);

/* Record that it is. */
int trusted_allow(const struct workplace *w, const struct trusted *t, struct err *err);

/* "FILE:LINE", or the file alone. */
const char *trusted_at(struct arena *a, const struct trust_request *r);

#endif
