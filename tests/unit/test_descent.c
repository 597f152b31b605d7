#include "diff_world.h"
#include "store/descent.h"

static void make_tree(const struct diff_world *d)
{
	dir(d->upper, "a");
	dir(d->upper, "a/b");
	dir(d->upper, "a/b/c");
	dir(d->upper, "other");
	assert_int_equal(symlinkat("a", d->upper, "link"), 0);
}

static void goes_to(struct descent *at, const char *const *names)
{
	for (; *names; names++)
		assert_int_equal(descent_down(at, *names), 0);
}

static const char *const abc[] = {"a", "b", "c", NULL};

static void test_down_and_up(void **state)
{
	struct diff_world *d = *state;
	_cleanup_descent_ struct descent at = DESCENT_EMPTY;
	struct stat st[2];

	make_tree(d);
	assert_int_equal(descent_begin(&at, d->upper, O_RDONLY), 0);
	assert_string_equal(at.path.p, "");
	goes_to(&at, abc);
	assert_string_equal(at.path.p, "a/b/c");
	assert_int_equal(at.n, 3);
	assert_int_equal(descent_up(&at), 0);
	assert_string_equal(at.path.p, "a/b");
	assert_true(there(at.fd, "c"));
	assert_int_equal(descent_up(&at), 0);
	assert_int_equal(descent_up(&at), 0);
	assert_string_equal(at.path.p, "");
	assert_int_equal(fstat(at.fd, &st[0]), 0);
	assert_int_equal(fstat(d->upper, &st[1]), 0);
	assert_int_equal(st[0].st_ino, st[1].st_ino);
	assert_int_equal(descent_down(&at, "other"), 0);
	assert_string_equal(at.path.p, "other");
}

static void test_no_link_no_file(void **state)
{
	struct diff_world *d = *state;
	_cleanup_descent_ struct descent at = DESCENT_EMPTY;

	make_tree(d);
	file(d->upper, "file", "");
	assert_int_equal(descent_begin(&at, d->upper, O_PATH), 0);
	assert_int_equal(descent_down(&at, "link"), -1);
	assert_int_equal(errno, ENOTDIR);
	assert_int_equal(descent_down(&at, "file"), -1);
	assert_int_equal(descent_down(&at, "none"), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(at.n, 0);
	assert_int_equal(descent_down(&at, "a"), 0);
	assert_string_equal(at.path.p, "a");
}

/* Moved away, ".." leads elsewhere; the folder above is still where it was. */
static void test_moved(void **state)
{
	struct diff_world *d = *state;
	_cleanup_descent_ struct descent at = DESCENT_EMPTY;

	make_tree(d);
	assert_int_equal(descent_begin(&at, d->upper, O_RDONLY), 0);
	goes_to(&at, abc);
	assert_int_equal(renameat(d->upper, "a/b/c", d->upper, "other/c"), 0);
	assert_int_equal(descent_up(&at), 0);
	assert_string_equal(at.path.p, "a/b");
	assert_false(there(at.fd, "c"));
	/* Now the folder above has another one in its place. */
	assert_int_equal(renameat(d->upper, "a", d->lower, "away"), 0);
	dir(d->upper, "a");
	assert_int_equal(descent_up(&at), 0); /* itself it has moved: ".." is right */
	assert_string_equal(at.path.p, "a");
	assert_int_equal(descent_up(&at), 0);
	assert_true(there(at.fd, "other"));
}

static void test_gone(void **state)
{
	struct diff_world *d = *state;
	_cleanup_descent_ struct descent at = DESCENT_EMPTY;

	make_tree(d);
	assert_int_equal(descent_begin(&at, d->upper, O_RDONLY), 0);
	goes_to(&at, abc);
	assert_int_equal(renameat(d->upper, "a/b/c", d->lower, "c"), 0);
	assert_int_equal(renameat(d->upper, "a", d->lower, "a"), 0);
	dir(d->upper, "a");
	dir(d->upper, "a/b");
	assert_int_equal(descent_up(&at), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(at.fd, -1);
	assert_int_equal(at.n, 2);
	assert_int_equal(descent_up(&at), -1);
	assert_int_equal(descent_up(&at), 0);
	assert_true(there(at.fd, "other"));
}

static void test_empty(void **state)
{
	struct descent at = DESCENT_EMPTY;

	(void)state;
	descent_done(NULL);
	descent_done(&at);
	assert_int_equal(descent_begin(&at, -1, O_RDONLY), -1);
	assert_int_equal(errno, EBADF);
	descent_done(&at);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIFF_TEST(test_down_and_up), DIFF_TEST(test_no_link_no_file), DIFF_TEST(test_moved),
		DIFF_TEST(test_gone),        cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
