#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/base64.h"
#include "base/str.h"

/* RFC 4648 section 10, and what uses the last letters. */
static const struct {
	const char *bytes;
	size_t n;
	const char *text;
} cases[] = {
	{"", 0, ""},
	{"f", 1, "Zg=="},
	{"fo", 2, "Zm8="},
	{"foo", 3, "Zm9v"},
	{"foob", 4, "Zm9vYg=="},
	{"fooba", 5, "Zm9vYmE="},
	{"foobar", 6, "Zm9vYmFy"},
	{"\xfb\xff\xfe\0", 4, "+//+AA=="},
};

static void test_both_ways(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_buf_ struct buf text = {0};
		_cleanup_buf_ struct buf bytes = {0};
		_cleanup_buf_ struct buf bare = {0};
		size_t n = strlen(cases[i].text);

		base64_encode(&text, cases[i].bytes, cases[i].n);
		assert_string_equal(text.p ? text.p : "", cases[i].text);
		assert_int_equal(base64_bytes(&bytes, cases[i].text, n), 0);
		assert_int_equal(bytes.len, cases[i].n);
		if (bytes.len > 0)
			assert_memory_equal(bytes.p, cases[i].bytes, bytes.len);
		while (n > 0 && cases[i].text[n - 1] == '=')
			n--;
		assert_int_equal(base64_bytes(&bare, cases[i].text, n), 0);
		assert_int_equal(bare.len, cases[i].n);
	}
}

static void test_bad(void **state)
{
	static const char *const bad[] = {"Z",        "Zm9vY", "Zm9 v",   "Zm9v\n",
					  "Zg==Zg==", "Zm-_",  "Zm9v\x80"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_buf_ struct buf bytes = {0};

		assert_int_equal(base64_bytes(&bytes, bad[i], strlen(bad[i])), -1);
		assert_int_equal(bytes.len, 0);
	}
	_cleanup_buf_ struct buf bytes = {0};

	assert_int_equal(base64_bytes(&bytes, "Zm\0v", 4), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
