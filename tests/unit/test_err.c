#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"

static void set_names_kind_and_clears_the_hint(void **state)
{
	struct err err = {.hint = "old", .errnum = 7};

	(void)state;
	assert_int_equal(err_set(&err, "cannot open '%s'", "x"), -1);
	assert_string_equal(err.msg, "cannot open 'x'");
	assert_string_equal(err.hint, "");
	assert_int_equal(err.kind, ERR_FAILED);
	assert_int_equal(err.errnum, 0);
	assert_int_equal(err_kind(&err, ERR_NOT_FOUND, "no '%s'", "y"), -1);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
}

static void errno_adds_the_cause(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(err_errno(&err, ENOENT, "cannot open '%s'", "/x/sbx.ini"), -1);
	assert_string_equal(err.msg, "cannot open '/x/sbx.ini': No such file or directory");
	assert_int_equal(err.errnum, ENOENT);
}

static void long_names_are_cut_and_the_cause_is_kept(void **state)
{
	struct err err = {0};
	char name[ERR_MSG_SIZE * 3];

	(void)state;
	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)err_errno(&err, EACCES, "cannot open '%s'", name);
	assert_int_equal(strlen(err.msg), ERR_MSG_SIZE - 1);
	assert_non_null(strstr(err.msg, "aaa…: Permission denied"));
	(void)err_set(&err, "%s", name);
	assert_string_equal(err.msg + strlen(err.msg) - 4, "a…");
	(void)err_hint(&err, "%s", name);
	assert_int_equal(strlen(err.hint), ERR_HINT_SIZE - 1);
	assert_string_equal(err.hint + strlen(err.hint) - 4, "a…");
}

static void a_cut_never_splits_a_character(void **state)
{
	struct err err = {0};
	char name[ERR_MSG_SIZE * 2 + 1] = "";

	(void)state;
	for (size_t shift = 0; shift < 3; shift++) {
		size_t at = shift;
		memset(name, 'x', shift);
		for (; at + 3 < sizeof(name); at += 3)
			memcpy(name + at, "€", 3);
		name[at] = '\0';
		(void)err_set(&err, "%s", name);
		size_t n = strlen(err.msg);
		assert_string_equal(err.msg + n - 3, "…");
		assert_int_equal((n - shift) % 3, 0);
	}
}

static void prefix_and_wrapping_read_their_own_message(void **state)
{
	struct err err = {0};

	(void)state;
	(void)err_errno(&err, EPERM, "cannot mount '/x'");
	(void)err_hint(&err, "try this");
	assert_int_equal(err_prefix(&err, "sandbox '%s'", "p"), -1);
	assert_string_equal(err.msg, "sandbox 'p': cannot mount '/x': Operation not permitted");
	assert_string_equal(err.hint, "try this");
	assert_int_equal(err.errnum, EPERM);
	(void)err_set(&err, "outer (%s)", err.msg);
	assert_string_equal(err.msg,
			    "outer (sandbox 'p': cannot mount '/x': Operation not permitted)");
}

static void null_is_fine(void **state)
{
	(void)state;
	assert_int_equal(err_set(NULL, "x"), -1);
	assert_int_equal(err_errno(NULL, 1, "x"), -1);
	assert_int_equal(err_kind(NULL, ERR_USAGE, "x"), -1);
	assert_int_equal(err_hint(NULL, "x"), -1);
	assert_int_equal(err_prefix(NULL, "x"), -1);
}

static void a_failure_travels_through_a_pipe(void **state)
{
	struct err sent = {0};
	struct err got = {0};
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	(void)err_kind(&sent, ERR_NOT_EXEC, "cannot execute '%s'", "/x");
	(void)err_hint(&sent, "chmod +x /x");
	sent.errnum = EACCES;
	err_send(&sent, p[1]);
	assert_int_equal(err_receive(p[0], &got), -1);
	assert_string_equal(got.msg, "cannot execute '/x'");
	assert_string_equal(got.hint, "chmod +x /x");
	assert_int_equal(got.kind, ERR_NOT_EXEC);
	assert_int_equal(got.errnum, EACCES);
	(void)close(p[0]);
	(void)close(p[1]);
}

static void end_of_file_means_success_and_touches_nothing(void **state)
{
	struct err got = {.msg = "before"};
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	(void)close(p[1]);
	assert_int_equal(err_receive(p[0], &got), 0);
	assert_string_equal(got.msg, "before");
	(void)close(p[0]);
}

static void a_report_cut_short_is_a_failure(void **state)
{
	struct err got = {0};
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], "abc", 3), 3);
	(void)close(p[1]);
	assert_int_equal(err_receive(p[0], &got), -1);
	assert_string_equal(got.msg,
			    "cannot read what a child process reports: it stops in the middle");
	(void)close(p[0]);
}

static void garbage_is_terminated_and_a_failure(void **state)
{
	struct err sent;
	struct err got = {0};
	int p[2];

	(void)state;
	memset(&sent, 'A', sizeof(sent));
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], &sent, sizeof(sent)), sizeof(sent));
	assert_int_equal(err_receive(p[0], &got), -1);
	assert_int_equal(strlen(got.msg), ERR_MSG_SIZE - 1);
	assert_int_equal(strlen(got.hint), ERR_HINT_SIZE - 1);
	assert_int_equal(got.kind, ERR_FAILED);
	(void)close(p[0]);
	(void)close(p[1]);
}

static void sending_to_nobody_raises_no_signal(void **state)
{
	struct err err = {0};
	sigset_t pending;
	int p[2];

	(void)state;
	(void)signal(SIGPIPE, SIG_DFL);
	assert_int_equal(pipe(p), 0);
	(void)close(p[0]);
	(void)err_set(&err, "x");
	err_send(&err, p[1]); /* would end the test */
	assert_int_equal(sigpending(&pending), 0);
	assert_int_equal(sigismember(&pending, SIGPIPE), 0);
	(void)close(p[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(set_names_kind_and_clears_the_hint),
		cmocka_unit_test(errno_adds_the_cause),
		cmocka_unit_test(long_names_are_cut_and_the_cause_is_kept),
		cmocka_unit_test(a_cut_never_splits_a_character),
		cmocka_unit_test(prefix_and_wrapping_read_their_own_message),
		cmocka_unit_test(null_is_fine),
		cmocka_unit_test(a_failure_travels_through_a_pipe),
		cmocka_unit_test(end_of_file_means_success_and_touches_nothing),
		cmocka_unit_test(a_report_cut_short_is_a_failure),
		cmocka_unit_test(garbage_is_terminated_and_a_failure),
		cmocka_unit_test(sending_to_nobody_raises_no_signal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
