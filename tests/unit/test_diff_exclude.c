#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "store/diff.h"

struct example {
	const char *pattern;
	const char *path;
	bool is_dir;
	bool excluded;
};

static const struct example examples[] = {
	/* a name, in any folder */
	{"x", "x", false, true},
	{"x", "a/b/x", true, true},
	{"x", "a/xy", false, false},
	{"x", "x/y", false, false}, /* the walk knows that the folder above is left out */
	{"*.pyc", "usr/lib/a.pyc", false, true},
	{"*.pyc", ".pyc", false, true},
	{"*.pyc", "usr/lib/a.pyca", false, false},
	{"?", "ab", false, false},
	{"?", "a", false, true},
	{"a*b*c", "axxbxxbc", false, true},
	{"a*b*c", "axxbxxb", false, false},
	{"*", "anything", false, true},
	{"**", "a/b", false, true},
	{"", "a", false, false},
	{"/", "a", true, false},
	/* folders only */
	{"__pycache__/", "usr/__pycache__", true, true},
	{"__pycache__/", "usr/__pycache__", false, false},
	{"/var/cache/", "var/cache", true, true},
	{"/var/cache/", "var/cache", false, false},
	/* from the root */
	{"/x", "x", false, true},
	{"/x", "a/x", false, false},
	{"a/x", "a/x", false, true},
	{"a/x", "b/a/x", false, false},
	{"/var/*.log", "var/a.log", false, true},
	{"/var/*.log", "var/b/a.log", false, false},
	{"/var/*/x", "var/b/x", false, true},
	{"/var/*", "var/b/x", false, false},
	{"/var", "var/b", false, false},
	{"/var/b", "var", true, false},
	/* any number of folders */
	{"/a/**/z", "a/z", false, true},
	{"/a/**/z", "a/b/c/z", false, true},
	{"/a/**/z", "a/b/c/z/y", false, false},
	{"**/z", "z", false, true},
	{"**/z", "a/b/z", false, true},
	{"/a/**", "a/b/c", false, true},
	{"/a/**", "a", true, false},
	{"/a/**/b/**/c", "a/x/b/y/b/z/c", false, true},
	{"/a/**/b/**/c", "a/x/b/y/b/z/d", false, false},
	{"/a/**b", "a/xb", false, true},
	{"/a/**b", "a/x/b", false, false},
	/* brackets and backslashes */
	{"[a-c]x", "bx", false, true},
	{"[a-c]x", "dx", false, false},
	{"[!a-c]x", "dx", false, true},
	{"[^a-c]x", "bx", false, false},
	{"[]x]", "]", false, true},
	{"[a-]", "-", false, true},
	{"[a", "[a", false, true},
	{"[a", "a", false, false},
	{"\\*", "*", false, true},
	{"\\*", "a", false, false},
	{"a\\", "a\\", false, true},
	{"/a/[!x]", "a/b", false, true},
	/* bytes, no characters */
	{"\xff?", "\xff\xfe", false, true},
	{"[\xf0-\xff]", "\xfa", false, true},
};

static void test_examples(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
		const struct example *e = &examples[i];
		const char *const patterns[] = {e->pattern, NULL};

		if (diff_excluded(patterns, e->path, e->is_dir) != e->excluded)
			fail_msg("'%s' and '%s'", e->pattern, e->path);
	}
}

static void test_several(void **state)
{
	static const char *const patterns[] = {"a", "b/", NULL};

	(void)state;
	assert_true(diff_excluded(patterns, "a", false));
	assert_true(diff_excluded(patterns, "x/b", true));
	assert_false(diff_excluded(patterns, "c", true));
	assert_false(diff_excluded(NULL, "c", true));
}

/* A pattern that would take a naive matcher for ever. */
static void test_many_stars(void **state)
{
	const char *const patterns[] = {"*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b",
					"/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/b", NULL};
	char name[256];
	char path[2001];

	(void)state;
	memset(name, 'a', 255);
	name[255] = '\0';
	assert_false(diff_excluded(patterns, name, false));
	for (size_t i = 0; i < 2000; i++)
		path[i] = i % 2 ? '/' : 'a';
	path[1999] = '\0';
	assert_false(diff_excluded(patterns, path, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_many_stars),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
