/*
 * fuzz_profile — sbx.ini is text of a stranger: any bytes give a profile or a message.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/profile.h"
#include "conf/trust.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `extends = self` finds the same text again, `extends = base` a small one. */
static int find(void *ctx, struct arena *a, const char *name, struct profile_source *ret,
		struct err *err)
{
	static const char small[] = "[network]\nmode = none\n";

	(void)a;
	if (str_eq(name, "self")) {
		*ret = *(const struct profile_source *)ctx;
		return 0;
	}
	if (str_eq(name, "base")) {
		*ret = (struct profile_source){"base.ini", small, sizeof(small) - 1, true};
		return 0;
	}
	return err_set(err, "there is no profile '%s'", name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf out = {0};
	struct profile_source top = {"sbx.ini", (const char *)data, size, false};
	const struct profile *rest = NULL;
	const struct profile *p = NULL;
	struct trust_request *requests;
	const struct trust_facts facts = {.project = "/home/me/project", .home = "/home/me"};
	struct err err = {0};
	struct err why = {0};
	size_t n;

	(void)profile_parse_rest(a, &top, find, &top, &rest, &why);
	profile_print(rest, &out);
	buf_done(&out);
	if (profile_parse(a, &top, find, &top, &p, &err) < 0) {
		/* The contract: nothing comes back but a message, which is also what the rest lacks. */
		if (p || err.msg[0] == '\0' || !str_eq(err.msg, why.msg))
			abort();
		return 0;
	}
	if (why.msg[0])
		abort();
	profile_print(p, &out);
	trust_requests(a, p, &facts, &requests, &n);
	return 0;
}
