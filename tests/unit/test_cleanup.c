#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"

static int is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int open_null(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void an_fd_closes_at_the_end_of_its_scope(void **state)
{
	int number;

	(void)state;
	{
		_cleanup_fd_ int fd = open_null();
		number = fd;
		assert_true(is_open(number));
	}
	assert_false(is_open(number));
}

static void a_taken_fd_stays_open(void **state)
{
	int taken;

	(void)state;
	{
		_cleanup_fd_ int fd = open_null();
		taken = TAKE_FD(fd);
		assert_int_equal(fd, -1);
	}
	assert_true(is_open(taken));
	cleanup_fd(&taken);
	assert_int_equal(taken, -1);
	cleanup_fd(&taken); /* empty: fine */
}

static void a_taken_pointer_stays(void **state)
{
	char *taken;

	(void)state;
	{
		_cleanup_free_ char *p = strdup("x");
		taken = TAKE_PTR(p);
		assert_null(p);
	}
	assert_string_equal(taken, "x");
	cleanup_free(&taken);
	assert_null(taken);
	cleanup_free(&taken);
}

static void errno_is_kept(void **state)
{
	int bad = 1 << 20;
	char *p = malloc(1 << 24);
	FILE *f = fopen("/dev/full", "we");
	DIR *d = opendir("/");

	(void)state;
	assert_non_null(f);
	assert_non_null(d);
	assert_int_equal(fputs("x", f), 1); /* fails only when it is closed */
	errno = ENOTTY;
	cleanup_fd(&bad);
	cleanup_free(&p);
	cleanup_file(&f);
	cleanup_dir(&d);
	assert_int_equal(errno, ENOTTY);
	assert_null(f);
	assert_null(d);
	cleanup_file(&f);
	cleanup_dir(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_fd_closes_at_the_end_of_its_scope),
		cmocka_unit_test(a_taken_fd_stays_open),
		cmocka_unit_test(a_taken_pointer_stays),
		cmocka_unit_test(errno_is_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
