#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/path.h"

static void join(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	assert_string_equal(path_join(a, "/a", "b"), "/a/b");
	assert_string_equal(path_join(a, "/a/", "b"), "/a/b");
	assert_string_equal(path_join(a, "/a//", "//b/"), "/a/b/");
	assert_string_equal(path_join(a, "/", "b"), "/b");
	assert_string_equal(path_join(a, "/", "/"), "/");
	assert_string_equal(path_join(a, "/a/", ""), "/a");
	assert_string_equal(path_join(a, "", "b"), "b");
	assert_string_equal(path_join(a, "a", "../b"), "a/../b");
}

static void clean(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	assert_string_equal(path_clean(a, "/"), "/");
	assert_string_equal(path_clean(a, "//"), "/");
	assert_string_equal(path_clean(a, "/a/b"), "/a/b");
	assert_string_equal(path_clean(a, "/a//b/./c/"), "/a/b/c");
	assert_string_equal(path_clean(a, "/a/../b"), "/b");
	assert_string_equal(path_clean(a, "/../../a"), "/a");
	assert_string_equal(path_clean(a, "/a/b/../.."), "/");
	assert_string_equal(path_clean(a, "/..a/b../...c/.d"), "/..a/b../...c/.d");
	assert_null(path_clean(a, "a"));
	assert_null(path_clean(a, ""));
}

static void under(void **state)
{
	(void)state;
	assert_true(path_is_under("/a/b", "/a"));
	assert_true(path_is_under("/a", "/a"));
	assert_true(path_is_under("/a", "/"));
	assert_true(path_is_under("/", "/"));
	assert_false(path_is_under("/ab", "/a"));
	assert_false(path_is_under("/", "/a"));
	assert_false(path_is_under("/a", "/a/b"));
}

static void base(void **state)
{
	(void)state;
	assert_string_equal(path_base("/a/b"), "b");
	assert_string_equal(path_base("b"), "b");
	assert_string_equal(path_base("/"), "");
}

static void expand_home(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	assert_string_equal(path_expand_home(a, "~", "/home/u"), "/home/u");
	assert_string_equal(path_expand_home(a, "~/x/y", "/home/u"), "/home/u/x/y");
	assert_string_equal(path_expand_home(a, "~/x", "/"), "/x");
	assert_string_equal(path_expand_home(a, "~root", "/home/u"), "~root");
	assert_string_equal(path_expand_home(a, "/a/~", "/home/u"), "/a/~");
	assert_string_equal(path_expand_home(a, "", "/home/u"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(join), cmocka_unit_test(clean),       cmocka_unit_test(under),
		cmocka_unit_test(base), cmocka_unit_test(expand_home),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
