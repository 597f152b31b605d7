#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "cli/progress.h"

/* Standard error is the end of something else meanwhile. */
struct elsewhere {
	int old, in;
};

static struct elsewhere redirect(int to, int in)
{
	struct elsewhere e = {.old = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10), .in = in};

	assert_true(e.old >= 0);
	assert_int_equal(dup2(to, STDERR_FILENO), STDERR_FILENO);
	(void)close(to);
	return e;
}

static struct elsewhere to_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(master >= 0);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(setenv("TERM", "xterm", 1), 0);
	return redirect(open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC), master);
}

static struct elsewhere to_pipe(void)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(setenv("TERM", "xterm", 1), 0);
	return redirect(ends[1], ends[0]);
}

/* What came there by now. */
static size_t said(const struct elsewhere *e, char *text, size_t size)
{
	struct pollfd p = {.fd = e->in, .events = POLLIN};
	ssize_t n = 0;

	if (poll(&p, 1, 0) > 0 && (p.revents & POLLIN))
		n = read(e->in, text, size - 1);
	assert_true(n >= 0);
	text[n] = '\0';
	return (size_t)n;
}

static void come_back(struct elsewhere *e)
{
	assert_int_equal(dup2(e->old, STDERR_FILENO), STDERR_FILENO);
	(void)close(e->old);
	(void)close(e->in);
}

static void a_terminal_is_told_after_half_a_second(void **state)
{
	struct elsewhere e = to_terminal();
	char early[200];
	char first[200];
	char soon[200];
	char second[200];
	char end[200];
	struct progress p;

	(void)state;
	progress_begin(&p, "working");
	progress_tell(&p, 1, 10);
	(void)said(&e, early, sizeof(early));
	p.begun_ms -= 501;
	progress_tell(&p, 2000000, 10000000);
	(void)said(&e, first, sizeof(first));
	/* Not with each piece. */
	progress_tell(&p, 3000000, 10000000);
	(void)said(&e, soon, sizeof(soon));
	p.shown_ms -= 101;
	/* More than there was at first. */
	progress_tell(&p, 11000000, 10000000);
	(void)said(&e, second, sizeof(second));
	progress_end(&p);
	(void)said(&e, end, sizeof(end));
	come_back(&e);
	assert_string_equal(early, "");
	assert_string_equal(first, "\rsbx: working 2.0 MB of 10.0 MB\033[K");
	assert_string_equal(soon, "");
	assert_string_equal(second, "\rsbx: working 11.0 MB of 11.0 MB\033[K");
	assert_string_equal(end, "\r\033[K");
}

static void what_was_quick_leaves_nothing(void **state)
{
	struct elsewhere e = to_terminal();
	char text[200];
	struct progress p;

	(void)state;
	progress_begin(&p, "working");
	progress_tell(&p, 1, 2);
	progress_end(&p);
	(void)said(&e, text, sizeof(text));
	come_back(&e);
	assert_string_equal(text, "");
}

static void nothing_else_is_told(void **state)
{
	struct elsewhere e = to_pipe();
	char text[200];
	struct progress p;

	(void)state;
	progress_begin(&p, "working");
	p.begun_ms -= 1000;
	progress_tell(&p, 1, 2);
	progress_end(&p);
	(void)said(&e, text, sizeof(text));
	come_back(&e);
	assert_string_equal(text, "");
}

static void a_dumb_terminal_is_not_told(void **state)
{
	struct elsewhere e = to_terminal();
	char text[200];
	struct progress p;

	(void)state;
	assert_int_equal(setenv("TERM", "dumb", 1), 0);
	progress_begin(&p, "working");
	p.begun_ms -= 1000;
	progress_tell(&p, 1, 2);
	progress_end(&p);
	(void)said(&e, text, sizeof(text));
	come_back(&e);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_terminal_is_told_after_half_a_second),
		cmocka_unit_test(what_was_quick_leaves_nothing),
		cmocka_unit_test(nothing_else_is_told),
		cmocka_unit_test(a_dumb_terminal_is_not_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
