#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/challenge.h"

static void test_good(void **state)
{
	static const struct {
		const char *text;
		struct challenge want;
	} cases[] = {
		{"Basic realm=\"x\"", {CHALLENGE_BASIC, "x", ""}},
		{"basic", {CHALLENGE_BASIC, "", ""}},
		{"Bearer realm=\"https://a.example/t?x=1\",service=\"s p\",scope=\"a:b:c,d\"",
		 {CHALLENGE_BEARER, "https://a.example/t?x=1", "s p"}},
		{"BEARER service = s , Realm = r", {CHALLENGE_BEARER, "r", "s"}},
		{"Negotiate, Digest realm=\"d\", nonce=n, Bearer realm=\"r\"",
		 {CHALLENGE_BEARER, "r", ""}},
		{"Bearer realm=\"a\\\"b\\\\\"", {CHALLENGE_BEARER, "a\"b\\", ""}},
		{"Bearer realm=\"r\", Basic realm=\"b\"", {CHALLENGE_BEARER, "r", ""}},
	};
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct challenge got = {0};
		struct err err = {0};

		if (challenge_parse(a, cases[i].text, &got, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.msg);
		assert_int_equal(got.scheme, cases[i].want.scheme);
		assert_string_equal(got.realm, cases[i].want.realm);
		assert_string_equal(got.service, cases[i].want.service);
	}
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		",",
		"Negotiate",
		"\"Bearer\"",
		"Bearer realm=\"open",
		"Bearer realm=\"open\\",
		"Bearer realm=",
	};
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct challenge got = {0};
		struct err err = {0};

		if (challenge_parse(a, bad[i], &got, &err) == 0)
			fail_msg("no error for '%s'", bad[i]);
		assert_true(str_starts(err.msg, "it asks for neither Basic nor Bearer"));
		assert_null(got.realm);
	}
}

static void test_long(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf b = {0};
	struct challenge got = {0};
	struct err err = {0};

	(void)state;
	buf_adds(&b, "Basic realm=");
	while (b.len <= 8192)
		buf_adds(&b, "r");
	assert_int_equal(challenge_parse(a, b.p, &got, &err), -1);
	assert_string_equal(err.msg, "it has more than 8192 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
