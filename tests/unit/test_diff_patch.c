#include "cli/diff_patch.h"
#include "diff_world.h"

/* The patches of all entries, one after the other. */
static const char *patch_of(const struct diff_world *d)
{
	const struct diff_input in = {.lower = d->lower, .upper = d->upper};
	_cleanup_free_ char *program = NULL;
	_cleanup_buf_ struct buf b = {0};
	struct entries all = {0};
	struct err err = {0};

	assert_int_equal(diff_patch_program(&program, &err), 0);
	assert_int_equal(diff_entries(d->w->a, &in, &all, &err), 0);
	buf_adds(&b, "");
	for (size_t i = 0; i < all.n; i++)
		assert_int_equal(diff_patch(program, d->lower, d->upper, &all.v[i], &b, &err), 0);
	return arena_strdup(d->w->a, b.p);
}

static void test_text(void **state)
{
	struct diff_world *d = *state;

	file(d->lower, "m", "one\ntwo\n");
	file(d->upper, "m", "one\n2\n");
	assert_string_equal(patch_of(d), "--- a/m\n+++ b/m\n@@ -1,2 +1,2 @@\n one\n-two\n+2\n");
}

static void test_added_and_deleted(void **state)
{
	struct diff_world *d = *state;

	file(d->upper, "a\tb", "new\n");
	file(d->upper, "empty", "");
	file(d->lower, "gone", "old");
	gone(d->upper, "gone");
	assert_string_equal(patch_of(d), "--- /dev/null\n+++ b/a\\tb\n@@ -0,0 +1 @@\n+new\n"
					 "A /empty\n"
					 "--- a/gone\n+++ /dev/null\n@@ -1 +0,0 @@\n-old\n"
					 "\\ No newline at end of file\n");
}

static void test_binary(void **state)
{
	struct diff_world *d = *state;
	_cleanup_fd_ int fd = -1;

	file(d->upper, "b", "text");
	file(d->lower, "b", "text");
	fd = openat(d->upper, "b", O_WRONLY | O_CLOEXEC);
	assert_int_equal(write(fd, "a\0b", 3), 3);
	assert_string_equal(patch_of(d), "Binary files a/b and b/b differ\n");
}

/* What is no text is said in words. */
static void test_words(void **state)
{
	struct diff_world *d = *state;

	dir(d->upper, "dir");
	assert_int_equal(mkfifoat(d->upper, "fifo", 0644), 0);
	both(d, "mode", "1");
	assert_int_equal(fchmodat(d->upper, "mode", 0600, 0), 0);
	file(d->lower, "twice", "1\n");
	file(d->upper, "twice", "2\n");
	assert_int_equal(fchmodat(d->upper, "twice", 0600, 0), 0);
	assert_string_equal(patch_of(d), "A /dir/\nA /fifo (fifo)\nM /mode (mode 0644 -> 0600)\n"
					 "M /twice (content, mode 0644 -> 0600)\n"
					 "--- a/twice\n+++ b/twice\n@@ -1 +1 @@\n-1\n+2\n");
}

static void test_links(void **state)
{
	struct diff_world *d = *state;

	assert_int_equal(symlinkat("x", d->lower, "l"), 0);
	assert_int_equal(symlinkat("y", d->upper, "l"), 0);
	file(d->lower, "t", "1");
	assert_int_equal(symlinkat("/nowhere", d->upper, "t"), 0);
	assert_string_equal(patch_of(d), "--- a/l\n+++ b/l\n@@ -1 +1 @@\n-x\n"
					 "\\ No newline at end of file\n+y\n"
					 "\\ No newline at end of file\nM /t (file -> link)\n");
}

static void test_no_program(void **state)
{
	struct diff_world *d = *state;
	const struct diff_input in = {.lower = d->lower, .upper = d->upper};
	_cleanup_free_ char *program = NULL;
	_cleanup_buf_ struct buf b = {0};
	struct entries all = {0};
	struct err err = {0};

	assert_int_equal(setenv("PATH", "/none", 1), 0);
	assert_int_equal(diff_patch_program(&program, &err), -1);
	assert_string_equal(err.msg, "cannot show a patch: the host has no program 'diff'");
	assert_string_equal(err.hint, "install it (the package diffutils), or leave out --patch");
	assert_null(program);
	file(d->upper, "f", "1");
	assert_int_equal(diff_entries(d->w->a, &in, &all, &err), 0);
	assert_int_equal(diff_patch("/none", d->lower, d->upper, &all.v[0], &b, &err), -1);
	assert_string_equal(err.msg, "cannot compare 'b/f': '/none' gave the status 126");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIFF_TEST(test_text),   DIFF_TEST(test_added_and_deleted),
		DIFF_TEST(test_binary), DIFF_TEST(test_words),
		DIFF_TEST(test_links),  DIFF_TEST(test_no_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
