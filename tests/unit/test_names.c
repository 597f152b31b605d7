#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/names.h"

static void the_machine_knows_root(void **state)
{
	_cleanup_file_ FILE *users = names_ask("passwd", 0);
	_cleanup_file_ FILE *groups = names_ask("group", 0);
	const struct passwd *pw;
	const struct group *gr;

	(void)state;
	assert_non_null(users);
	assert_non_null(groups);
	pw = fgetpwent(users);
	gr = fgetgrent(groups);
	assert_non_null(pw);
	assert_non_null(gr);
	assert_string_equal(pw->pw_name, "root");
	assert_string_equal(pw->pw_dir, "/root");
	assert_string_equal(gr->gr_name, "root");
	/* One line, and no more. */
	assert_null(fgetpwent(users));
	assert_null(fgetgrent(groups));
}

static void nobody_is_none(void **state)
{
	(void)state;
	assert_null(names_ask("passwd", 4000000001u));
	assert_null(names_ask("no-such-table", 0));
}

/* Where one of ours is closed, what is opened takes its number. */
static void a_closed_stream_is_no_answer(void **state)
{
	_cleanup_fd_ int before = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	_cleanup_file_ FILE *f = NULL;

	(void)state;
	assert_true(before >= 0);
	(void)close(STDIN_FILENO);
	f = names_ask("passwd", 0);
	assert_int_equal(fcntl(STDIN_FILENO, F_GETFD), -1);
	assert_int_equal(dup2(before, STDIN_FILENO), STDIN_FILENO);
	assert_non_null(f);
	assert_non_null(fgetpwent(f));
	assert_true(fileno(f) > STDERR_FILENO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_machine_knows_root),
		cmocka_unit_test(nobody_is_none),
		cmocka_unit_test(a_closed_stream_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
