#include "diff_world.h"
#include "store/xattrs.h"

static void test_read(void **state)
{
	struct diff_world *d = *state;
	struct tar_xattr *v;
	size_t n;

	file(d->upper, "f", "");
	assert_int_equal(xattrs_read(d->w->a, d->upper, "f", &v, &n), 0);
	assert_int_equal(n, 0);
	xattr(d->upper, "f", "user.b", "two");
	xattr(d->upper, "f", "user.a", "");
	xattr(d->upper, "f", "user.overlay.origin", "x");
	assert_int_equal(xattrs_read(d->w->a, d->upper, "f", &v, &n), 0);
	assert_int_equal(n, 2);
	assert_string_equal(v[0].name, "user.a");
	assert_int_equal(v[0].size, 0);
	assert_string_equal(v[1].name, "user.b");
	assert_int_equal(v[1].size, 3);
	assert_memory_equal(v[1].value, "two", 3);
}

/* A folder itself, and what cannot be opened or must not be followed. */
static void test_every_type(void **state)
{
	struct diff_world *d = *state;
	struct tar_xattr *v;
	size_t n;

	dir(d->upper, "d");
	xattr(d->upper, "d", "user.d", "1");
	assert_int_equal(symlinkat("d", d->upper, "link"), 0);
	assert_int_equal(mkfifoat(d->upper, "fifo", 0600), 0);
	assert_int_equal(xattrs_read(d->w->a, d->upper, "d", &v, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(xattrs_read(d->w->a, d->upper, "link", &v, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(xattrs_read(d->w->a, d->upper, "fifo", &v, &n), 0);
	assert_int_equal(n, 0);
	xattr(d->upper, ".", "user.root", "1");
	assert_int_equal(xattrs_read(d->w->a, d->upper, ".", &v, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(xattrs_read(d->w->a, d->upper, "none", &v, &n), -1);
	assert_int_equal(errno, ENOENT);
}

static void test_same(void **state)
{
	struct diff_world *d = *state;

	both(d, "f", "");
	assert_int_equal(xattrs_same(d->upper, d->lower, "f"), 1);
	xattr(d->upper, "f", "user.x", "1");
	assert_int_equal(xattrs_same(d->upper, d->lower, "f"), 0);
	xattr(d->lower, "f", "user.x", "1");
	assert_int_equal(xattrs_same(d->upper, d->lower, "f"), 1);
	xattr(d->lower, "f", "user.x", "2");
	assert_int_equal(xattrs_same(d->upper, d->lower, "f"), 0);
	xattr(d->lower, "f", "user.x", "12");
	assert_int_equal(xattrs_same(d->upper, d->lower, "f"), 0);
	xattr(d->upper, "f", "user.x", "12");
	xattr(d->upper, "f", "user.y", "");
	xattr(d->lower, "f", "user.z", "");
	assert_int_equal(xattrs_same(d->upper, d->lower, "f"), 0);
	assert_int_equal(xattrs_same(d->upper, d->lower, "none"), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIFF_TEST(test_read),
		DIFF_TEST(test_every_type),
		DIFF_TEST(test_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
