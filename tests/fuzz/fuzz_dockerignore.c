/*
 * fuzz_dockerignore — any bytes give patterns or a message, and each pattern is matched against some paths.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "conf/dockerignore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const paths[] = {
		"a", "a/b/c",    "node_modules/x/y",
		"[", "a/[b]/\\", "aaaaaaaaaaaaaaaaaaaaaaaaaa/aaaaaaaaaaaaaaaaaaaa/b"};
	_cleanup_arena_ struct arena *a = arena_new();
	struct dockerignore ignore = {0};
	struct err err = {0};

	if (dockerignore_parse(a, ".dockerignore", (const char *)data, size, &ignore, &err) < 0) {
		if (ignore.n || err.msg[0] == '\0')
			abort();
		return 0;
	}
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		(void)dockerignore_matches(&ignore, paths[i]);
	for (size_t i = 0; i < ignore.n; i++)
		if (!dockerignore_valid(ignore.v[i].glob))
			abort();
	return 0;
}
