#include "diff_world.h"
#include "store/diff_internal.h"

static void one_file(int dir_fd, const char *name, const char *other)
{
	assert_int_equal(linkat(dir_fd, name, dir_fd, other, 0), 0);
}

/* A layer that has one name of a file has all of them. */
static void test_hard_links(void **state)
{
	struct diff_world *d = *state;

	both_dirs(d, "d");
	both(d, "d/linked", "1");
	one_file(d->upper, "d/linked", "new");
	both(d, "pair", "1");
	one_file(d->upper, "pair", "twin");
	one_file(d->lower, "pair", "twin");
	both(d, "single", "1");
	file(d->lower, "joined", "1");
	one_file(d->upper, "single", "joined");
	both(d, "z", "1");
	assert_string_equal(diff_plain(d), "p d/\nt d/linked\nt joined\nA new\n= pair\nt single\n"
					   "= twin\n= z\n");
}

static void test_hard_links_left_out(void **state)
{
	struct diff_world *d = *state;
	static const char *const patterns[] = {"/d/cache/", NULL};

	both_dirs(d, "d");
	both_dirs(d, "d/cache");
	both(d, "d/cache/x", "1");
	one_file(d->upper, "d/cache/x", "new");
	assert_string_equal(diff_text(d, (struct diff_input){.exclude = patterns}),
			    "= d/\np d/cache/ excluded\nt d/cache/x excluded\nA new\n");
}

static void test_zeroed(void **state)
{
	struct diff_links links = {0};

	(void)state;
	diff_links_done(&links);
	diff_links_done(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIFF_TEST(test_hard_links),
		DIFF_TEST(test_hard_links_left_out),
		cmocka_unit_test(test_zeroed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
