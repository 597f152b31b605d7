/*
 * fuzz_lockfile — sbx.lock is text of a stranger: any bytes give a lock, which is written as it was read, or a message.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/lockfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf out = {0};
	_cleanup_buf_ struct buf again = {0};
	struct lockfile lock = {0};
	struct err err = {0};

	if (lockfile_parse(a, (const char *)data, size, &lock, &err) < 0) {
		if (lock.base.image || err.msg[0] == '\0')
			abort();
		return 0;
	}
	lockfile_write(&lock, &out);
	if (lockfile_parse(a, out.p, out.len, &lock, &err) < 0)
		abort();
	lockfile_write(&lock, &again);
	if (out.len != again.len || memcmp(out.p, again.p, out.len) != 0)
		abort();
	return 0;
}
