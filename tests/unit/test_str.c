#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

static void buf_grows_and_is_terminated(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	for (int i = 0; i < 1000; i++) {
		buf_printf(&b, "%03d", i);
		assert_int_equal(b.p[b.len], 0);
	}
	assert_int_equal(b.len, 3000);
	assert_memory_equal(b.p + 2997, "999", 4);
	buf_add(&b, "a\0b", 3);
	assert_int_equal(b.len, 3003);
	assert_memory_equal(b.p + 3000, "a\0b", 4);
	buf_done(&b);
	assert_null(b.p);
	assert_int_equal(b.len, 0);
	buf_adds(&b, "again");
	assert_string_equal(b.p, "again");
}

static void buf_at_each_border(void **state)
{
	(void)state;
	for (size_t n = 0; n < 300; n++) {
		_cleanup_buf_ struct buf b = {0};
		char s[300];
		memset(s, 'x', sizeof(s));
		buf_add(&b, s, n);
		assert_int_equal(strlen(b.p), n);
		buf_printf(&b, "%s", "");
		assert_int_equal(strlen(b.p), n);
	}
}

#define ESCAPES(in, out) escapes(in, sizeof(in) - 1, out, str_escape)
#define ESCAPES_TEXT(in, out) escapes(in, sizeof(in) - 1, out, str_escape_text)
static void escapes(const char *in, size_t n, const char *out,
		    void (*escape)(struct buf *, const char *, size_t))
{
	_cleanup_buf_ struct buf b = {0};

	escape(&b, in, n);
	assert_string_equal(b.p, out);
}

static void escape_control_bytes(void **state)
{
	(void)state;
	ESCAPES("", "");
	ESCAPES("plain ~ text", "plain ~ text");
	ESCAPES("\033[2Jx", "\\x1b[2Jx");
	ESCAPES("a\0b\r\177", "a\\x00b\\x0d\\x7f");
	ESCAPES("a\nb\tc\\d", "a\\nb\\tc\\\\d");
	ESCAPES_TEXT("a\nb\tc\\d\033", "a\nb\tc\\d\\x1b");
}

static void escape_invalid_utf8(void **state)
{
	(void)state;
	ESCAPES("caf\xc3\xa9 € 😀 日本", "café € 😀 日本");
	ESCAPES("caf\xe9", "caf\\xe9");
	ESCAPES("\x9b[2J", "\\x9b[2J");    /* CSI in one bare byte */
	ESCAPES("\xc0\xaf", "\\xc0\\xaf"); /* overlong '/' */
	ESCAPES("\xc1\xbf", "\\xc1\\xbf");
	ESCAPES("\xe0\x80\x9b", "\\xe0\\x80\\x9b"); /* overlong, three bytes */
	ESCAPES("\xf0\x80\x80\x9b", "\\xf0\\x80\\x80\\x9b");
	ESCAPES("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* a surrogate */
	ESCAPES("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
	ESCAPES("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
	ESCAPES("\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80");
	ESCAPES("\xe2\x82", "\\xe2\\x82"); /* cut at the end */
	ESCAPES("\xe2\x82x", "\\xe2\\x82x");
	ESCAPES("\xe2\x1b[", "\\xe2\\x1b["); /* the next byte is not swallowed */
}

static void escape_deceptive_characters(void **state)
{
	(void)state;
	ESCAPES("\xc2\x9b"
		"2J",
		"\\u{009b}2J");
	ESCAPES("\xc2\x85", "\\u{0085}");
	ESCAPES("\xc2\xa0", "\xc2\xa0"); /* the first one behind C1 */
	ESCAPES("a\u202Eb", "a\\u{202e}b");
	ESCAPES("\u202A\u2066\u2069", "\\u{202a}\\u{2066}\\u{2069}");
	ESCAPES("\u200E\u200F\u061C", "\\u{200e}\\u{200f}\\u{061c}");
	ESCAPES("\u2028\uFEFF", "\\u{2028}\\u{feff}");
	ESCAPES("\U000E0041", "\\u{e0041}");
	ESCAPES_TEXT("\u202E\xc2\x9b", "\\u{202e}\\u{009b}");
}

/* Whatever goes in, nothing that a terminal acts on comes out. */
static void escape_lets_no_byte_pass(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 0x10000; i++) {
		_cleanup_buf_ struct buf b = {0};
		char in[3] = {(char)(i >> 8), (char)i, '\x1b'};
		str_escape(&b, in, 3);
		for (size_t j = 0; j < b.len; j++)
			assert_true((unsigned char)b.p[j] >= 0x20 && b.p[j] != 0x7f);
		assert_string_equal(b.p + b.len - 4, "\\x1b");
	}
}

static void quotes(const char *in, const char *out)
{
	_cleanup_buf_ struct buf b = {0};

	str_shell_quote(&b, in);
	assert_string_equal(b.p, out);
}

static void shell_quote(void **state)
{
	(void)state;
	quotes("abc", "abc");
	quotes("/a/b-c_d.e,f:g+h@i%j=k", "/a/b-c_d.e,f:g+h@i%j=k");
	quotes("a b", "'a b'");
	quotes("", "''");
	quotes("it's", "'it'\\''s'");
	quotes("~", "'~'");
	quotes("=x", "'=x'");
	quotes("$x", "'$x'");
	quotes("a\nb", "'a\nb'");
	quotes("é", "'é'");
}

static void small_ones(void **state)
{
	char a[] = " \t x y \r\n";
	char b[] = " \n ";
	char c[] = "";

	(void)state;
	assert_true(str_starts("abc", "ab"));
	assert_true(str_starts("abc", ""));
	assert_false(str_starts("ab", "abc"));
	assert_true(str_ends("abc", "bc"));
	assert_true(str_ends("abc", ""));
	assert_false(str_ends("bc", "abc"));
	assert_true(str_eq("a", "a"));
	assert_false(str_eq("a", "b"));
	assert_true(str_eq(NULL, NULL));
	assert_false(str_eq(NULL, ""));
	assert_false(str_eq("", NULL));
	assert_string_equal(str_trim(a), "x y");
	assert_string_equal(str_trim(b), "");
	assert_string_equal(str_trim(c), "");
}

static void nearest(void **state)
{
	static const char *const names[] = {"image", "memory", "cpus", "pids", "mode",
					    "ports", "driver", "run",  "as",   NULL};
	static const char *const none[] = {NULL};
	char longest[200];

	(void)state;
	assert_string_equal(str_nearest("imgae", names), "image");  /* a swap */
	assert_string_equal(str_nearest("memry", names), "memory"); /* one missing */
	assert_string_equal(str_nearest("memoryy", names), "memory");
	assert_string_equal(str_nearest("Memory", names), "memory"); /* case */
	assert_string_equal(str_nearest("AS", names), "as");
	assert_string_equal(str_nearest("port", names), "ports");
	assert_string_equal(str_nearest("rnu", names), "run");
	assert_string_equal(str_nearest("pids", names), "pids"); /* itself before "cpus" */
	assert_null(str_nearest("colour", names));
	assert_null(str_nearest("x", names));
	assert_null(str_nearest("", names));
	assert_null(str_nearest("image", none));
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_null(str_nearest(longest, names));
	longest[63] = '\0';
	assert_null(str_nearest(longest, names));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buf_grows_and_is_terminated),
		cmocka_unit_test(buf_at_each_border),
		cmocka_unit_test(escape_control_bytes),
		cmocka_unit_test(escape_invalid_utf8),
		cmocka_unit_test(escape_deceptive_characters),
		cmocka_unit_test(escape_lets_no_byte_pass),
		cmocka_unit_test(shell_quote),
		cmocka_unit_test(small_ones),
		cmocka_unit_test(nearest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
