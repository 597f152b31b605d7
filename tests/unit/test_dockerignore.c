#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "conf/dockerignore.h"

#define N(v) (sizeof(v) / sizeof((v)[0]))

static void test_glob(void **state)
{
	static const struct {
		const char *glob, *path;
		bool want;
	} t[] = {
		{"a", "a", true},         {"a", "b", false},           {"a", "a/b", false},
		{"*", "a", true},         {"*", "a/b", false},         {"*/b", "a/b", true},
		{"a*c", "abc", true},     {"a*c", "ac", true},         {"a*c", "ab", false},
		{"*a*b", "xaxaxb", true}, {"a?c", "abc", true},        {"a?c", "a/c", false},
		{"[a-c]x", "bx", true},   {"[^a-c]x", "bx", false},    {"[^a-c]x", "dx", true},
		{"[a/]", "a", true},      {"\\*", "*", true},          {"\\*", "a", false},
		{"**", "a/b/c", true},    {"**/c", "a/b/c", true},     {"**/c", "c", true},
		{"a/**/c", "a/c", true},  {"a/**/c", "a/b/b/c", true}, {"a/**", "a/b", true},
		{"a/**", "b/b", false},   {"a/**/c", "a/b", false},    {"", "", true},
		{"a", "", false},
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++)
		if (dockerignore_glob(t[i].glob, t[i].path, true) != t[i].want)
			fail_msg("%s %s", t[i].glob, t[i].path);
	/* COPY's sources know no `**`. */
	assert_false(dockerignore_glob("**", "a/b", false));
	assert_true(dockerignore_glob("**", "a", false));
}

static void test_file(void **state)
{
	static const char text[] = "# comment\r\n\n  *.o \n!keep.o\n/build/\n**/tmp\nx/../y\n.\n"
				   "z\n!z/in\n";
	static const struct {
		const char *path;
		bool want;
	} t[] = {
		{"a.o", true},     {"keep.o", false},   {"d/a.o", false}, {"build", true},
		{"build/a", true}, {"a/b/tmp/c", true}, {"y", true},      {"x", false},
		{"#", false},      {"z/out", true},     {"z/in", false},  {"z/in/a", false},
	};
	_cleanup_arena_ struct arena *a = arena_new();
	struct dockerignore ignore = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(dockerignore_parse(a, "i", text, sizeof(text) - 1, &ignore, &err), 0);
	for (size_t i = 0; i < N(t); i++)
		if (dockerignore_matches(&ignore, t[i].path) != t[i].want)
			fail_msg("%s", t[i].path);
	assert_true(dockerignore_may_return(&ignore));
	assert_int_equal(dockerignore_parse(a, "i", "a\n", 2, &ignore, &err), 0);
	assert_false(dockerignore_may_return(&ignore));
}

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		const char *want;
	} t[] = {
		{"a\n[b\n", 5,
		 "i:2: '[b' is not a pattern: a '[' has no end, or a '\\' stands last"},
		{"b\\", 2, "i:1: 'b\\' is not a pattern: a '[' has no end, or a '\\' stands last"},
		{"!\n", 2, "i:1: there is no pattern behind '!'"},
		{"a\0b", 3, "i:1: the line holds a NUL byte"},
		{"**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**", 50,
		 "i:1: '**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**/**' has more than 16 '**'"},
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		struct dockerignore ignore = {0};
		struct err err = {0};

		assert_int_equal(dockerignore_parse(a, "i", t[i].text, t[i].n, &ignore, &err), -1);
		assert_string_equal(err.msg, t[i].want);
		assert_int_equal(ignore.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_glob),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
