/*
 * fuzz_authfile — a file of logins: any bytes give a login whose parts can be used, or a message; and what is
 * set in it is found in it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/authfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct auth mine = {.user = "u", .password = "p:w"};
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf text = {0};
	_cleanup_buf_ struct buf again = {0};
	struct auth auth = {0};
	struct err err = {0};
	bool there = false;

	buf_add(&text, data, size);
	if (authfile_find(a, &text, "r.x", "me/a", &auth, &err) < 0) {
		if (auth.user || auth.token || auth.helper || err.msg[0] == '\0')
			abort();
	}
	if (auth.helper && (strchr(auth.helper, '/') || strchr(auth.helper, '.') || !auth.server))
		abort();
	if (authfile_set(&text, "r.x/me/a", &mine, &again, &there, &err) < 0)
		return 0;
	auth = (struct auth){0};
	if (authfile_find(a, &again, "r.x", "me/a", &auth, &err) < 0)
		return 0; /* a bad word of a helper stays one */
	if (!auth.helper && (!str_eq(auth.user, "u") || !str_eq(auth.password, "p:w")))
		abort();
	return 0;
}
