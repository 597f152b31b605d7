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

#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/beside.h"
#include "cli/logins.h"
#include "store/authfile.h"

static void test_names(void **state)
{
	static const char *const good[] = {"r.x", "localhost", "localhost:5000", "r.x/me"};
	static const char *const bad[] = {"", "debian", "https://r.x", "r.x/", "r.x:x", "r.x/a:1 "};
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_int_equal(logins_check_name(a, good[i], NULL), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};

		if (logins_check_name(a, bad[i], &err) == 0)
			fail_msg("no error for '%s'", bad[i]);
		assert_int_equal(err.kind, ERR_USAGE);
	}
}

static void test_set(void **state)
{
	const struct auth one = {.user = "u", .password = "p"};
	const struct auth nobody = {0};
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf text = {0};
	char dir[] = "/tmp/sbx-unit-XXXXXX";
	struct err err = {0};
	bool there = true;
	const char *file;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	file = arena_printf(a, "%s/new/auth.json", dir);
	assert_int_equal(logins_set(a, file, "r.x", &one, &there, &err), 0);
	assert_false(there);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(fs_read_at(AT_FDCWD, file, 1000, &text, &err), 0);
	assert_non_null(strstr(text.p, "\"dTpw\""));
	assert_int_equal(logins_set(a, file, "r.x", &nobody, &there, &err), 0);
	assert_true(there);
	assert_int_equal(logins_set(a, file, "r.x", &nobody, &there, &err), 0);
	assert_false(there);
	assert_int_equal(fs_remove_tree_at(AT_FDCWD, dir, &err), 0);
}

static void test_beside(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	/* Beside this test is what is built of the tests. */
	assert_non_null(beside_find(a, "unit", "test_logins"));
	assert_null(beside_find(a, "unit", "nothing"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_beside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
