#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "conf/bytes.h"

/* NULL for no error. */
static void assert_says(const char *s, size_t n, const char *msg)
{
	struct err err = {0};

	assert_int_equal(bytes_check(s, n, &err), msg ? -1 : 0);
	assert_string_equal(err.msg, msg ? msg : "");
}

/* The character as UTF-8; of a surrogate the bytes that the same scheme would give. */
static size_t encode(uint32_t c, char *ret)
{
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	size_t len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;

	for (size_t i = len - 1; i > 0; i--, c >>= 6)
		ret[i] = (char)(0x80 | (c & 0x3f));
	ret[0] = (char)(len == 1 ? c : lead[len] | c);
	return len;
}

static void test_texts(void **state)
{
	(void)state;
	assert_says("", 0, NULL);
	assert_says("a\tb ~", 5, NULL);
	assert_says("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9, NULL);
	/* Beyond the length given nothing is looked at. */
	assert_says("a\x01", 1, NULL);
	assert_says("a\0b", 3, "a NUL byte is not allowed in a profile");
}

/* Every character there is: which are refused, and by which words. */
static void test_every_character(void **state)
{
	(void)state;
	for (uint32_t c = 1; c <= 0x10ffff; c++) {
		char s[4];
		char msg[80] = "";
		const char *kind = NULL;
		struct err err = {0};
		size_t n = encode(c, s);

		if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
			kind = "control";
		if (c == 0x61c || c == 0x200e || c == 0x200f || c == 0x2028 || c == 0x2029 ||
		    (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff)
			kind = "invisible";
		if (kind)
			(void)snprintf(msg, sizeof(msg),
				       "the %s character U+%04X is not allowed in a profile", kind,
				       (unsigned)c);
		if (c == '\t')
			msg[0] = '\0';
		if (c == '\r')
			(void)snprintf(msg, sizeof(msg),
				       "a carriage return is not allowed in a profile");
		if (c >= 0xd800 && c <= 0xdfff)
			(void)snprintf(msg, sizeof(msg), "the byte 0xed is not UTF-8");
		if (bytes_check(s, n, &err) != (msg[0] ? -1 : 0) || strcmp(err.msg, msg) != 0)
			fail_msg("U+%04X: '%s' != '%s'", (unsigned)c, err.msg, msg);
	}
}

static void test_carriage_return(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(bytes_check("a\r", 2, &err), -1);
	assert_string_equal(err.hint, "take the DOS line ends out: sed -i 's/\\r$//' FILE");
}

static void test_not_utf8(void **state)
{
	static const struct {
		const char *s;
		const char *msg;
	} bad[] = {
		{"a\x80", "the byte 0x80 is not UTF-8"},            /* a continuation alone */
		{"\xc3", "the byte 0xc3 is not UTF-8"},             /* cut at the end */
		{"\xe2\x82", "the byte 0xe2 is not UTF-8"},         /* … */
		{"\xf0\x9f\x98", "the byte 0xf0 is not UTF-8"},     /* … */
		{"\xc3(", "the byte 0xc3 is not UTF-8"},            /* not continued */
		{"\xe2\x82(", "the byte 0xe2 is not UTF-8"},        /* … */
		{"\xc0\xaf", "the byte 0xc0 is not UTF-8"},         /* a longer form of '/' */
		{"\xc1\xbf", "the byte 0xc1 is not UTF-8"},         /* … of DEL */
		{"\xe0\x80\xaf", "the byte 0xe0 is not UTF-8"},     /* … */
		{"\xe0\x9f\xbf", "the byte 0xe0 is not UTF-8"},     /* … of U+07FF */
		{"\xf0\x80\x80\xaf", "the byte 0xf0 is not UTF-8"}, /* … */
		{"\xf0\x8f\xbf\xbf", "the byte 0xf0 is not UTF-8"}, /* … of U+FFFF */
		{"\xf4\x90\x80\x80", "the byte 0xf4 is not UTF-8"}, /* U+110000 */
		{"\xf5\x80\x80\x80", "the byte 0xf5 is not UTF-8"}, /* beyond */
		{"\xff", "the byte 0xff is not UTF-8"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_says(bad[i].s, strlen(bad[i].s), bad[i].msg);
	/* A character whose end lies behind the length is cut, whatever follows in memory. */
	assert_says("\xc3\xa4", 1, "the byte 0xc3 is not UTF-8");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_carriage_return),
		cmocka_unit_test(test_not_utf8),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
