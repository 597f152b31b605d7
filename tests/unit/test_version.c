#include "cli/version.h"
#include "store_world.h"

static void test_numbers(void **state)
{
	static const struct {
		const char *text;
		const char *shown; /* NULL: none is found */
		unsigned major, minor;
	} all[] = {
		{"1.10", "1.10", 1, 10},
		{"fuse-overlayfs: version 1.10-dev\n", "1.10", 1, 10},
		{"6.18.44-generic", "6.18.44", 6, 18},
		{"v2.0", "2.0", 2, 0},
		/* A number without a point is no version, nor is one that ends in it. */
		{"x86 64 3.", NULL, 0, 0},
		{"x86 3. 4.5", "4.5", 4, 5},
		{"", NULL, 0, 0},
		{"none", NULL, 0, 0},
		/* Too large for anything, but no overflow. */
		{"99999999999999999999.1", "99999999999999999999.1", 9999999, 1},
	};
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct version v = {0};

		assert_int_equal(version_of(a, all[i].text, &v), all[i].shown != NULL);
		assert_true(str_eq(v.text, all[i].shown));
		assert_int_equal(v.minor, all[i].minor);
		assert_int_equal(v.major, all[i].major);
	}
}

static void test_at_least(void **state)
{
	const struct version v = {.major = 1, .minor = 10};

	(void)state;
	assert_true(version_at_least(&v, 1, 10));
	assert_true(version_at_least(&v, 1, 9));
	assert_true(version_at_least(&v, 0, 99));
	assert_false(version_at_least(&v, 1, 11));
	assert_false(version_at_least(&v, 2, 0));
}

/* The path of a program that is the script. */
static const char *program(const struct world *w, const char *name, const char *script)
{
	world_write(w, name, arena_printf(w->a, "#!/bin/sh\n%s\n", script));
	assert_int_equal(chmod(world_path(w, name), 0755), 0);
	return world_path(w, name);
}

static void assert_asked(const struct world *w, const char *script, const char *version)
{
	struct version v = {0};
	struct err err = {0};

	if (version_ask(w->a, program(w, "tool", script), &v, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(v.text, version);
}

static void test_ask(void **state)
{
	const struct world *w = *state;

	assert_asked(w, "[ \"$1\" = --version ] && [ $# = 1 ] && echo 1.2.3", "1.2.3");
	assert_asked(w, "echo version 2.5 >&2", "2.5");
	/* It may end badly and still have told. */
	assert_asked(w, "echo 3.1; exit 1", "3.1");
	/* Its own counts, not that of a library which it names first. */
	assert_asked(w, "echo FUSE library 3.14.0; echo tool: version 1.10", "1.10");
	assert_asked(w, "echo tool 1.11; echo libfuse 3.14", "1.11");
	/* It gets nothing to read. */
	assert_asked(w, "read x; echo \"7.1$x\"", "7.1");
}

/* It is ended once enough was read, however much more it would say. */
static void test_talkative(void **state)
{
	const struct world *w = *state;

	assert_asked(
		w, "echo tool 1.2; while echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; do :; done",
		"1.2");
}

static void test_hangs(void **state)
{
	const struct world *w = *state;

	/* The only test that waits for the time to pass: the limit is what it is about. */
	assert_asked(w, "echo tool 1.3; exec sleep 600", "1.3");
}

/* The message has the path between the two. */
static void assert_not_told(const struct world *w, const char *path, const char *before,
			    const char *behind)
{
	struct version v = {.major = 7};
	struct err err = {0};

	assert_int_equal(version_ask(w->a, path, &v, &err), -1);
	assert_string_equal(err.msg, arena_printf(w->a, "%s '%s'%s", before, path, behind));
	assert_int_equal(v.major, 7);
}

static void test_not_told(void **state)
{
	const struct world *w = *state;

	assert_not_told(w, world_path(w, "absent"), "cannot run", ": No such file or directory");
	world_write(w, "data", "x");
	assert_not_told(w, world_path(w, "data"), "cannot run", ": Permission denied");
	assert_not_told(w, program(w, "mute", "exit 0"), "cannot tell the version of",
			" from what it prints");
	assert_not_told(w, program(w, "usage", "echo usage: x -v"), "cannot tell the version of",
			" from what it prints");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_at_least),
		TEST(test_ask),
		TEST(test_talkative),
		TEST(test_hangs),
		TEST(test_not_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
