#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/links.h"

static struct stat inode(dev_t dev, ino_t ino, nlink_t n, mode_t mode)
{
	return (struct stat){.st_dev = dev, .st_ino = ino, .st_nlink = n, .st_mode = mode};
}

static void the_first_name_stands_for_all(void **state)
{
	_cleanup_links_ struct links *l = links_new();
	const struct stat x = inode(1, 5, 3, S_IFREG);
	const struct stat other_disk = inode(2, 5, 3, S_IFREG);
	char path[] = "a/x";

	(void)state;
	assert_null(links_first(l, &x, path));
	/* The path was copied. */
	path[0] = 'b';
	assert_string_equal(links_first(l, &x, "a/y"), "a/x");
	assert_string_equal(links_first(l, &x, "c"), "a/x");
	assert_null(links_first(l, &other_disk, "d"));
	assert_string_equal(links_first(l, &other_disk, "e"), "d");
}

static void what_has_one_name_is_never_kept(void **state)
{
	_cleanup_links_ struct links *l = links_new();
	const struct stat alone = inode(1, 5, 1, S_IFREG);
	const struct stat folder = inode(1, 6, 3, S_IFDIR);

	(void)state;
	assert_null(links_first(l, &alone, "a"));
	assert_null(links_first(l, &alone, "b"));
	assert_null(links_first(l, &folder, "c"));
	assert_null(links_first(l, &folder, "d"));
}

static void many_inodes_are_told_apart(void **state)
{
	_cleanup_links_ struct links *l = links_new();

	(void)state;
	for (ino_t n = 1; n <= 1000; n++) {
		const struct stat st = inode(n % 3, n * 7919 % 1009, 2, S_IFREG);

		assert_null(links_first(l, &st, n % 2 ? "odd" : "even"));
	}
	for (ino_t n = 1; n <= 1000; n++) {
		const struct stat st = inode(n % 3, n * 7919 % 1009, 2, S_IFREG);

		assert_string_equal(links_first(l, &st, "again"), n % 2 ? "odd" : "even");
	}
}

static void nothing_can_be_freed(void **state)
{
	struct links *none = NULL;

	(void)state;
	links_free(NULL);
	links_free(&none);
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_name_stands_for_all),
		cmocka_unit_test(what_has_one_name_is_never_kept),
		cmocka_unit_test(many_inodes_are_told_apart),
		cmocka_unit_test(nothing_can_be_freed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
