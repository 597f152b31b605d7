/*
 * fuzz_connection — any bytes give a connection, whose file for inside can be read again, or a message.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/connection.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf inside = {0};
	struct connection c = {0};
	struct err err = {0};

	if (connection_parse(a, (const char *)data, size, &c, &err) < 0) {
		if (c.ip || err.msg[0] == '\0')
			abort();
		return 0;
	}
	if (connection_inside((const char *)data, size, "/tmp/x", &inside, &err) < 0 ||
	    connection_parse(a, inside.p, inside.len, &c, &err) < 0 || !c.ipc)
		abort();
	return 0;
}
