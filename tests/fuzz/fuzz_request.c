/*
 * fuzz_request — the long part of a request comes from inside, too: any bytes give a request, which
 * encoded again is the same bytes, or a message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "run/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf again = {0};
	struct proto_body body = {0};
	struct err err = {0};

	if (proto_body_decode(a, data, size, &body, &err) < 0) {
		/* The contract: nothing comes back but a message. */
		if (body.argv || body.env || body.cwd || err.msg[0] == '\0')
			abort();
		return 0;
	}
	if (proto_body_encode(&body, &again, &err) < 0)
		abort();
	if (again.len != size || memcmp(again.p, data, size) != 0)
		abort();
	return 0;
}
