#include <sys/wait.h>

#include "base/cleanup.h"
#include "pty_world.h"
#include "run/terminal.h"

/* The caller's terminal, the command's, and this process' own 0, 1, 2 meanwhile. */
struct world {
	int saved[3];
	struct pty outer, inner;
	struct terminal t;
};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	(void)alarm(60);
	for (int fd = 0; fd < 3; fd++)
		w->saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 10);
	w->outer = pty_new(33, 101);
	w->inner = pty_new(0, 0);
	*state = w;
	return 0;
}

static void give_back(const struct world *w)
{
	for (int fd = 0; fd < 3; fd++)
		(void)dup2(w->saved[fd], fd);
}

static int teardown(void **state)
{
	struct world *w = *state;

	terminal_done(&w->t);
	give_back(w);
	for (int fd = 0; fd < 3; fd++)
		(void)close(w->saved[fd]);
	pty_done(&w->outer);
	pty_done(&w->inner);
	free(w);
	(void)alarm(0);
	return 0;
}

/* 0, 1 and 2 as `bits` says: the terminal or /dev/null. */
static void redirect(const struct world *w, unsigned bits)
{
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++)
		assert_int_equal(dup2(bits & 1u << fd ? w->outer.slave : null_fd, fd), fd);
}

static void run_inside(struct world *w, unsigned bits)
{
	redirect(w, bits);
	terminal_open(&w->t);
	terminal_attach(&w->t, fcntl(w->inner.master, F_DUPFD_CLOEXEC, 3));
	/* So that the last close of the slave is seen. */
	pty_close(&w->inner.master);
	(void)terminal_look(&w->t);
}

/* What the caller's loop does, once. */
static void turn(struct world *w, int ms)
{
	struct pollfd p[TERMINAL_FDS];

	terminal_poll(&w->t, p);
	assert_true(poll(p, TERMINAL_FDS, ms) >= 0);
	terminal_pump(&w->t, p);
	(void)terminal_look(&w->t);
}

/* Turn until `fd` can be read. */
static void turn_until(struct world *w, int fd)
{
	for (int i = 0; !pty_readable(fd, 0); i++) {
		struct pollfd p[TERMINAL_FDS + 1];

		assert_true(i < 10000);
		terminal_poll(&w->t, p);
		p[TERMINAL_FDS] = (struct pollfd){.fd = fd, .events = POLLIN};
		assert_true(poll(p, TERMINAL_FDS + 1, terminal_timeout(&w->t)) >= 0);
		terminal_pump(&w->t, p);
		(void)terminal_look(&w->t);
	}
}

static void turn_expect(struct world *w, int fd, const char *text)
{
	char got[512] = {0};

	assert_true(strlen(text) < sizeof(got));
	for (size_t n = 0; n < strlen(text);) {
		ssize_t r;

		turn_until(w, fd);
		r = read(fd, got + n, strlen(text) - n);
		assert_true(r > 0);
		n += (size_t)r;
	}
	assert_string_equal(got, text);
}

static void nothing_to_do_without_a_terminal(void **state)
{
	struct world *w = *state;
	struct terminal zero = {0};
	uint16_t rows = 1;
	uint16_t cols = 1;

	terminal_done(NULL);
	terminal_done(&zero);
	/* A zeroed one owns no fd 0. */
	assert_true(fcntl(0, F_GETFD) >= 0);

	redirect(w, 0);
	terminal_open(&w->t);
	assert_int_equal(w->t.bits, 0);
	assert_int_equal(w->t.first, -1);
	terminal_size(&w->t, &rows, &cols);
	assert_int_equal(rows, 0);
	assert_int_equal(cols, 0);
	assert_true(terminal_look(&w->t));
	assert_false(terminal_look(&w->t));
	assert_int_equal(terminal_timeout(&w->t), -1);
	turn(w, 0);
	terminal_end(&w->t);
	assert_true(terminal_ended(&w->t));
}

static void says_which_are_terminals(void **state)
{
	static const int first[] = {-1, 0, 1, 0, 2, 0, 1, 0};
	struct world *w = *state;

	for (unsigned bits = 1; bits < 8; bits++) {
		uint16_t rows = 0;
		uint16_t cols = 0;

		redirect(w, bits);
		terminal_open(&w->t);
		assert_int_equal(w->t.bits, bits);
		assert_int_equal(w->t.first, first[bits]);
		assert_true((w->t.in >= 0) == (bits & 1));
		assert_true(w->t.out >= 0);
		terminal_size(&w->t, &rows, &cols);
		assert_int_equal(rows, 33);
		assert_int_equal(cols, 101);
		terminal_done(&w->t);
	}
}

static void every_byte_passes_both_ways(void **state)
{
	struct world *w = *state;
	char all[256];
	char got[256];

	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	pty_make_raw(w->inner.slave);
	run_inside(w, 7);
	assert_true(pty_raw(w->outer.slave));

	assert_int_equal(write(w->outer.master, all, sizeof(all)), sizeof(all));
	turn_until(w, w->inner.slave);
	assert_int_equal(pty_read(w->inner.slave, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, all, sizeof(all));

	assert_int_equal(write(w->inner.slave, all, sizeof(all)), sizeof(all));
	turn_until(w, w->outer.master);
	assert_int_equal(pty_read(w->outer.master, got, sizeof(got)), sizeof(got));
	assert_memory_equal(got, all, sizeof(all));
}

static void modes_come_back(void **state)
{
	struct world *w = *state;
	struct termios before = pty_modes(w->outer.slave);
	struct termios after;

	before.c_lflag &= ~(tcflag_t)ECHOK;
	assert_int_equal(tcsetattr(w->outer.slave, TCSANOW, &before), 0);
	run_inside(w, 7);
	assert_true(pty_raw(w->outer.slave));
	terminal_restore(&w->t);
	after = pty_modes(w->outer.slave);
	assert_true(pty_same(&after, &before));

	/* Whoever had it meanwhile has changed it: that is what comes back then. */
	before.c_lflag &= ~(tcflag_t)ECHOE;
	assert_int_equal(tcsetattr(w->outer.slave, TCSANOW, &before), 0);
	assert_true(terminal_look(&w->t));
	assert_true(pty_raw(w->outer.slave));
	/* Nobody has: raw mode is not what to go back to. */
	terminal_forget(&w->t);
	assert_true(terminal_look(&w->t));
	terminal_done(&w->t);
	after = pty_modes(w->outer.slave);
	assert_true(pty_same(&after, &before));
}

static void the_callers_files_stay_blocking(void **state)
{
	struct world *w = *state;

	run_inside(w, 7);
	for (int fd = 0; fd < 3; fd++)
		assert_false(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(w->t.master, F_GETFL) & O_NONBLOCK);
}

static void typed_ahead_is_kept(void **state)
{
	struct world *w = *state;
	char got[64] = {0};

	pty_make_raw(w->inner.slave);
	/* Two lines, the end of a file, one that Ctrl-D ends, and one that has no end yet. */
	pty_write(w->outer.master, "one\ntwo\n\004three\004four");
	assert_true(pty_readable(w->outer.slave, PTY_LIMIT_MS));
	run_inside(w, 7);
	turn_until(w, w->inner.slave);
	while (strlen(got) < strlen("one\ntwo\n\004three\004four")) {
		turn_until(w, w->inner.slave);
		assert_true(read(w->inner.slave, got + strlen(got), sizeof(got) - strlen(got) - 1) >
			    0);
	}
	assert_string_equal(got, "one\ntwo\n\004three\004four");
}

static void only_stdin_is_read(void **state)
{
	struct world *w = *state;

	pty_make_raw(w->inner.slave);
	run_inside(w, 6);
	assert_true(pty_cooked(w->outer.slave));
	pty_write(w->outer.master, "typed\n");
	turn(w, 0);
	assert_false(pty_readable(w->inner.slave, 0));
	pty_expect(w->outer.slave, "typed\n");
}

/* The pty inside has made "\r\n" of each newline; a terminal that is not raw makes it again. */
static void returns_are_not_doubled(void **state)
{
	struct world *w = *state;

	run_inside(w, 2);
	pty_write(w->inner.slave, "one\ntwo\r\n10%\r20%\r\r\n");
	turn_expect(w, w->outer.master, "one\r\ntwo\r\r\n10%\r20%\r\r\r\n");
	/* At once, though a newline might follow. */
	pty_write(w->inner.slave, "30%\r");
	turn_expect(w, w->outer.master, "30%\r");
}

static void returns_are_kept_in_raw_mode(void **state)
{
	struct world *w = *state;

	run_inside(w, 7);
	pty_write(w->inner.slave, "one\ntwo\r\n");
	turn_expect(w, w->outer.master, "one\r\ntwo\r\r\n");
}

/* Wherever a read ends, between a return and its newline, too. */
static void returns_are_not_doubled_at_any_place(void **state)
{
	struct world *w = *state;
	size_t wanted = 0;
	size_t seen = 0;
	char last = 0;

	run_inside(w, 2);
	for (int i = 0; i < 3000; i++) {
		char line[16];
		char got[4096];
		int n = snprintf(line, sizeof(line), "%.*s\n", i % 7, "abcdefg");

		pty_write(w->inner.slave, line);
		wanted += (size_t)n + 1;
		if (i % 100 != 99)
			continue;
		while (seen < wanted) {
			ssize_t r;

			turn_until(w, w->outer.master);
			r = read(w->outer.master, got, sizeof(got));
			for (ssize_t k = 0; k < r; k++) {
				assert_false(last == '\r' && got[k] == '\r');
				last = got[k];
			}
			seen += r > 0 ? (size_t)r : 0;
		}
	}
	assert_int_equal(seen, wanted);
}

#define PERIOD 89

static char nth(size_t n)
{
	return (char)('!' + n % PERIOD);
}

/* A child that writes `n` bytes into `fd` and ends. */
static pid_t writer(int fd, size_t n)
{
	pid_t pid = fork();
	char all[PERIOD];

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	(void)alarm(60);
	for (size_t i = 0; i < sizeof(all); i++)
		all[i] = nth(i);
	while (n > 0) {
		size_t piece = n < sizeof(all) ? n : sizeof(all);

		if (write(fd, all, piece) != (ssize_t)piece)
			_exit(1);
		n -= piece;
	}
	_exit(0);
}

static void ended_well(pid_t pid)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void check_bytes(const char *bytes, size_t from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes[i] != nth(from + i))
			fail_msg("byte %zu is %d, not %d", from + i, bytes[i], nth(from + i));
}

/* Turn until at least `n` bytes came out of `fd`, those of nth(); how many. */
static size_t turn_through(struct world *w, int fd, size_t n)
{
	char got[4096];
	size_t seen = 0;

	while (seen < n) {
		ssize_t r;

		turn_until(w, fd);
		r = read(fd, got, sizeof(got));
		assert_true(r > 0);
		check_bytes(got, seen, (size_t)r);
		seen += (size_t)r;
	}
	return seen;
}

static int writable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 0) == 1 && p.revents & POLLOUT;
}

/* Nobody looks at the terminal: nothing blocks, and nothing is lost. */
static void a_slow_terminal_blocks_nothing(void **state)
{
	const size_t n = 100000;
	struct world *w = *state;
	pid_t pid;

	run_inside(w, 7);
	pid = writer(w->inner.slave, n);
	while (w->t.shown.n == 0 || writable(w->t.out))
		turn(w, PTY_LIMIT_MS);
	turn(w, 0);
	terminal_flush(&w->t);
	assert_int_equal(turn_through(w, w->outer.master, n), n);
	ended_well(pid);
}

/* Nor does a command that reads nothing. */
static void a_slow_command_blocks_nothing(void **state)
{
	const size_t n = 100000;
	struct world *w = *state;
	pid_t pid;

	pty_make_raw(w->inner.slave);
	run_inside(w, 7);
	pid = writer(w->outer.master, n);
	while (w->t.typed.n == 0 || writable(w->t.master))
		turn(w, PTY_LIMIT_MS);
	turn(w, 0);
	assert_int_equal(turn_through(w, w->inner.slave, n), n);
	ended_well(pid);
}

/* The terminal of 1 is a master's side, which cannot be opened anew: writing goes on in small pieces. */
static void a_terminal_that_cannot_be_opened_anew(void **state)
{
	const size_t n = 100000;
	struct world *w = *state;
	pid_t pid;

	redirect(w, 0);
	pty_make_raw(w->outer.slave);
	assert_int_equal(dup2(w->outer.master, 1), 1);
	terminal_open(&w->t);
	terminal_attach(&w->t, fcntl(w->inner.master, F_DUPFD_CLOEXEC, 3));
	assert_int_equal(w->t.bits, 2);
	assert_true(w->t.out_waits);
	pid = writer(w->inner.slave, n);
	while (w->t.shown.n == 0 || writable(w->t.out))
		turn(w, PTY_LIMIT_MS);
	turn(w, 0);
	assert_int_equal(turn_through(w, w->outer.slave, n), n);
	ended_well(pid);
}

/* Of the three only stdin is a terminal: what is typed is seen there; one that cannot show is none. */
static void shows_where_it_can(void **state)
{
	struct world *w = *state;
	_cleanup_fd_ int fd = -1;
	char name[64];
	pid_t pid;

	run_inside(w, 1);
	pty_write(w->outer.master, "typed\r");
	turn_expect(w, w->outer.master, "typed\r\n");
	terminal_done(&w->t);
	pty_done(&w->inner);
	w->inner = pty_new(0, 0);

	assert_int_equal(ptsname_r(w->outer.master, name, sizeof(name)), 0);
	fd = open(name, O_RDONLY | O_NOCTTY | O_CLOEXEC);
	redirect(w, 0);
	assert_int_equal(dup2(fd, 0), 0);
	terminal_open(&w->t);
	assert_int_equal(w->t.out, -1);
	terminal_attach(&w->t, fcntl(w->inner.master, F_DUPFD_CLOEXEC, 3));
	(void)terminal_look(&w->t);
	/* More than a pty holds: it is taken, and dropped. */
	pid = writer(w->inner.slave, 50000);
	pty_close(&w->inner.slave);
	pty_close(&w->inner.master);
	while (!w->t.quiet)
		turn(w, PTY_LIMIT_MS);
	ended_well(pid);
}

static void a_hang_up_passes_inside(void **state)
{
	struct world *w = *state;
	char c;

	run_inside(w, 7);
	pty_write(w->inner.slave, "last words");
	pty_close(&w->outer.master);
	while (w->t.master >= 0)
		turn(w, PTY_LIMIT_MS);
	assert_int_equal(read(w->inner.slave, &c, 1), 0);
	assert_int_equal(terminal_timeout(&w->t), -1);
	turn(w, 0);
	terminal_end(&w->t);
	assert_true(terminal_ended(&w->t));
}

static void the_rest_is_shown_at_the_end(void **state)
{
	const size_t n = 100000;
	struct world *w = *state;
	char got[4096];
	size_t seen = 0;
	pid_t pid;

	run_inside(w, 7);
	pid = writer(w->inner.slave, n);
	seen = turn_through(w, w->outer.master, n - 12000);
	/* What the writer still writes then, a pty and a buffer hold. */
	for (;;) {
		int status;

		if (waitpid(pid, &status, WNOHANG) == pid) {
			assert_int_equal(status, 0);
			break;
		}
		turn(w, 1);
	}
	pty_close(&w->inner.slave);
	terminal_end(&w->t);
	/* No longer the command's: it stays for the shell. */
	pty_write(w->outer.master, "x");
	while (!terminal_ended(&w->t) || pty_readable(w->outer.master, 0)) {
		ssize_t r;

		if (!terminal_ended(&w->t))
			turn(w, 0);
		if (!pty_readable(w->outer.master, 0))
			continue;
		r = read(w->outer.master, got, sizeof(got));
		assert_true(r > 0);
		seen += (size_t)r;
	}
	assert_int_equal(seen, n);
	pty_expect(w->outer.slave, "x");
}

/* It is not waited for what the command left running. */
static void the_end_comes_though_others_write_on(void **state)
{
	struct world *w = *state;
	char got[4096];
	pid_t pid;

	run_inside(w, 7);
	pid = writer(w->inner.slave, SIZE_MAX);
	turn_until(w, w->outer.master);
	terminal_end(&w->t);
	for (int i = 0; !terminal_ended(&w->t); i++) {
		assert_true(i < 100000);
		turn(w, 0);
		if (pty_readable(w->outer.master, 0))
			assert_true(read(w->outer.master, got, sizeof(got)) > 0);
	}
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* A command that closes its terminal and opens it again. */
static void the_inside_may_close_and_open_again(void **state)
{
	struct world *w = *state;
	char name[64];

	assert_int_equal(ptsname_r(w->inner.master, name, sizeof(name)), 0);
	run_inside(w, 7);
	pty_close(&w->inner.slave);
	while (!w->t.quiet)
		turn(w, PTY_LIMIT_MS);
	/* Neither a loop nor for ever. */
	assert_true(terminal_timeout(&w->t) > 0);
	w->inner.slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(w->inner.slave >= 0);
	pty_write(w->inner.slave, "again");
	turn_expect(w, w->outer.master, "again");
	assert_int_equal(terminal_timeout(&w->t), -1);
}

/* In a session of its own, with the terminal as its own: first in the background, then not. */
static void background_job(struct world *w)
{
	pid_t shell = fork();
	pid_t own = getpgrp();

	/* A group that has the terminal meanwhile. */
	if (shell == 0) {
		for (;;)
			(void)pause();
	}
	assert_true(shell > 0);
	assert_int_equal(setpgid(shell, shell), 0);
	assert_int_equal(tcsetpgrp(w->outer.slave, shell), 0);
	(void)signal(SIGTTOU, SIG_IGN);
	(void)signal(SIGTTIN, SIG_IGN);
	run_inside(w, 7);
	assert_false(w->t.foreground);
	assert_true(pty_cooked(w->outer.slave));
	/* Nothing is taken from it, but what is written is seen. */
	pty_write(w->outer.master, "for the shell\n");
	turn(w, 0);
	assert_false(pty_readable(w->inner.slave, 0));
	pty_expect(w->outer.master, "for the shell\r\n");
	pty_write(w->inner.slave, "seen\n");
	turn_expect(w, w->outer.master, "seen\r\n");
	assert_true(terminal_timeout(&w->t) > 0);
	/* Its modes are not for this one to restore. */
	terminal_restore(&w->t);
	assert_true(pty_cooked(w->outer.slave));

	/* `fg` without a word. */
	assert_int_equal(tcsetpgrp(w->outer.slave, own), 0);
	assert_true(terminal_look(&w->t));
	assert_true(pty_raw(w->outer.slave));
	assert_int_equal(terminal_timeout(&w->t), -1);

	/* And back: another one sets the modes, and keeps them. */
	assert_int_equal(tcsetpgrp(w->outer.slave, shell), 0);
	pty_write(w->outer.master, "x");
	turn(w, PTY_LIMIT_MS);
	assert_false(w->t.raw);
	terminal_done(&w->t);
	assert_true(pty_raw(w->outer.slave));
	assert_int_equal(kill(shell, SIGKILL), 0);
}

static void takes_the_terminal_in_the_foreground_alone(void **state)
{
	struct world *w = *state;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)alarm(60);
		if (setsid() < 0 || ioctl(w->outer.slave, TIOCSCTTY, 0) < 0)
			_exit(2);
		background_job(w);
		_exit(0);
	}
	ended_well(pid);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(nothing_to_do_without_a_terminal),
		CASE(says_which_are_terminals),
		CASE(every_byte_passes_both_ways),
		CASE(modes_come_back),
		CASE(the_callers_files_stay_blocking),
		CASE(typed_ahead_is_kept),
		CASE(only_stdin_is_read),
		CASE(returns_are_not_doubled),
		CASE(returns_are_kept_in_raw_mode),
		CASE(returns_are_not_doubled_at_any_place),
		CASE(a_slow_terminal_blocks_nothing),
		CASE(a_slow_command_blocks_nothing),
		CASE(a_terminal_that_cannot_be_opened_anew),
		CASE(shows_where_it_can),
		CASE(a_hang_up_passes_inside),
		CASE(the_rest_is_shown_at_the_end),
		CASE(the_end_comes_though_others_write_on),
		CASE(the_inside_may_close_and_open_again),
		CASE(takes_the_terminal_in_the_foreground_alone),
	};

	return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
