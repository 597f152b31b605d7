/*
 * fuzz_challenge — a server's words on how to log in: any bytes give a scheme that is known, or a message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "conf/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_free_ char *text = xmalloc(size + 1);
	struct challenge c = {0};
	struct err err = {0};

	memcpy(text, data, size);
	text[size] = '\0';
	if (challenge_parse(a, text, &c, &err) < 0) {
		if (c.realm || err.msg[0] == '\0')
			abort();
		return 0;
	}
	if (c.scheme == CHALLENGE_OTHER || !c.realm || !c.service ||
	    strlen(c.realm) + strlen(c.service) > size)
		abort();
	return 0;
}
