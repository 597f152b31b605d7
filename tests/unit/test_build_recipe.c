/* Which files of the project the words of a step name.  Also of cli/build_profile and cli/build_context, by tests/cli. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/build_recipe.h"
#include "profile_world.h"

static void put(const char *dir, const char *name, const char *text)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(fs_write_atomic(fd, name, text, strlen(text), 0644, NULL), 0);
	(void)close(fd);
}

/* The names of the files that count. */
static const char *named(struct arena *a, const char *dir, const char *cwd, const char *text)
{
	_cleanup_buf_ struct buf b = {0};
	_cleanup_buf_ struct buf names = {0};
	const struct build_words w = {open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir, cwd, 8};

	build_recipe_files(a, &w, text, &b);
	(void)close(w.project_fd);
	for (const char *p = b.p; p && p < b.p + b.len;) {
		buf_printf(&names, "%s ", p);
		p = strchr(p + strlen(p) + 1, '\n') + 1;
	}
	return arena_strdup(a, names.p ? names.p : "");
}

static void test_words(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	char dir[] = "/tmp/sbx-recipe-XXXXXX";
	const char *sub;

	(void)state;
	assert_non_null(mkdtemp(dir));
	sub = path_join(a, dir, "sub");
	assert_int_equal(mkdir(sub, 0755), 0);
	put(dir, "req.txt", "numpy\n");
	put(dir, "-r", "x");
	put(sub, "f", "more than eight");
	assert_int_equal(symlink("/etc/passwd", path_join(a, dir, "out")), 0);
	assert_int_equal(symlink("req.txt", path_join(a, dir, "in")), 0);
	assert_int_equal(mkfifo(path_join(a, dir, "pipe"), 0644), 0);
	assert_string_equal(named(a, dir, dir, "pip install -r req.txt"), "req.txt ");
	assert_string_equal(named(a, dir, dir, "cat<'req.txt';sh --x=sub/f \"in\""),
			    "req.txt sub/f in ");
	assert_string_equal(named(a, dir, dir, "cat out pipe sub . .. / /etc/passwd ../x"), "");
	assert_string_equal(named(a, dir, sub, "cat f ../req.txt req.txt"), "sub/f req.txt ");
	assert_string_equal(named(a, dir, "/opt", arena_printf(a, "cat f %s/sub/f", dir)),
			    "sub/f ");
	assert_int_equal(unlink(path_join(a, sub, "f")), 0);
	assert_int_equal(rmdir(sub), 0);
	for (size_t i = 0; i < 5; i++) {
		static const char *const names[] = {"req.txt", "-r", "out", "in", "pipe"};

		assert_int_equal(unlink(path_join(a, dir, names[i])), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

static void recipe(struct arena *a, const char *dir, const char *text, char ret[DIGEST_HEX + 1])
{
	build_recipe(a, profile_of(a, text), dir, ret);
}

/* It is another one where a step, the base or a file is; not where only the line or a comment is. */
static void test_recipe(void **state)
{
	static const char plain[] = "[build]\nworkdir = sub\nrun = cat f\n";
	static const char *const others[] = {
		"[build]\nworkdir = sub\nrun = cat  f\n",
		"[build]\nrun = cat f\nworkdir = sub\n",
		"[build]\nworkdir = sub\nenv = cat=f\n",
		"[base]\nimage = docker.io/debian:12\n[build]\nworkdir = sub\nrun = cat f\n",
	};
	_cleanup_arena_ struct arena *a = arena_new();
	char dir[] = "/tmp/sbx-recipe-XXXXXX";
	char first[DIGEST_HEX + 1];
	char again[DIGEST_HEX + 1];
	const char *sub;

	(void)state;
	assert_non_null(mkdtemp(dir));
	sub = path_join(a, dir, "sub");
	assert_int_equal(mkdir(sub, 0755), 0);
	put(sub, "f", "1");
	recipe(a, dir, "[network]\nmode = none\n", first);
	assert_string_equal(first, "");
	recipe(a, dir, plain, first);
	assert_int_equal(strlen(first), DIGEST_HEX);
	recipe(a, dir, arena_printf(a, "; x\n[network]\nmode = none\n%s", plain), again);
	assert_string_equal(first, again);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		recipe(a, dir, others[i], again);
		assert_string_not_equal(first, again);
	}
	put(sub, "f", "2");
	recipe(a, dir, plain, again);
	assert_string_not_equal(first, again);
	recipe(a, dir, "[build]\nworkdir = sub\ncopy = s*/? /x\n", first);
	put(sub, "f", "3");
	recipe(a, dir, "[build]\nworkdir = sub\ncopy = s*/? /x\n", again);
	assert_string_not_equal(first, again);
	recipe(a, dir, "[build]\ncopy = nothing /x\n", again);
	assert_int_equal(strlen(again), DIGEST_HEX);
	assert_int_equal(unlink(path_join(a, sub, "f")), 0);
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_recipe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
