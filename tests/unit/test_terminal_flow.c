/*
 * What passes through run/terminal, and what does not hold it up.
 */
#include "terminal_world.h"

#define PERIOD 89

static char nth(size_t n)
{
	return (char)('!' + n % PERIOD);
}

/* Write `text` as often as `fd` takes it whole; how many bytes. */
static size_t fill(int fd, const char *text)
{
	int flags = fcntl(fd, F_GETFL);
	size_t n = strlen(text);
	size_t total = 0;

	assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);
	while (write(fd, text, n) == (ssize_t)n)
		total += n;
	assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
	return total;
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
	static const char line[] = "ab\r\n";
	struct world *w = *state;
	char got[4096];
	size_t wanted;

	run_inside(w, 2);
	/* A full pty is read in pieces of an odd length. */
	wanted = fill(w->inner.slave, "ab\n") / 3 * 4;
	for (size_t seen = 0; seen < wanted;) {
		ssize_t r;

		turn_until(w, w->outer.master);
		r = read(w->outer.master, got, sizeof(got));
		assert_true(r > 0);
		for (ssize_t i = 0; i < r; i++)
			assert_int_equal(got[i], line[(seen + (size_t)i) % 4]);
		seen += (size_t)r;
	}
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

/* What was typed before a stop and after it keeps its order. */
static void keys_wait_over_a_stop(void **state)
{
	struct world *w = *state;
	char got[sizeof(w->t.typed.bytes)] = {0};
	size_t n;
	size_t seen = 0;

	pty_make_raw(w->inner.slave);
	run_inside(w, 7);
	/* A part of them has been passed on. */
	while (w->t.typed.n == 0 || w->t.typed.at == 0 || writable(w->t.master)) {
		(void)fill(w->outer.master, "abcdefg");
		turn(w, 0);
	}
	terminal_restore(&w->t);
	assert_int_equal(tcflush(w->outer.slave, TCIFLUSH), 0);
	n = w->t.typed.n;
	memcpy(got, w->t.typed.bytes + w->t.typed.at, n);
	pty_write(w->outer.master, "HIJ\n");
	assert_true(pty_readable(w->outer.slave, PTY_LIMIT_MS));
	assert_true(terminal_look(&w->t));
	assert_int_equal(w->t.typed.n, n + 4);
	assert_memory_equal(w->t.typed.bytes + w->t.typed.at, got, n);
	memset(got, 0, sizeof(got));
	while (!strchr(got, '\n')) {
		ssize_t r;

		memset(got, 0, sizeof(got));
		turn_until(w, w->inner.slave);
		r = read(w->inner.slave, got, sizeof(got) - 1);
		assert_true(r > 0);
		/* In capitals only after all the small ones. */
		assert_int_equal(
			strspn(got, "abcdefg") + strspn(got + strspn(got, "abcdefg"), "HIJ\n"), r);
		seen += (size_t)r;
	}
	assert_true(seen > n + 4);
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
	/* A kernel takes a little more than it says. */
	for (int i = 0; i < 500; i++)
		terminal_flush(&w->t);
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

/* It is not waited for what the command left running, and writing. */
static void the_end_comes_though_others_write_on(void **state)
{
	struct world *w = *state;
	char got[512];

	run_inside(w, 7);
	do {
		(void)fill(w->inner.slave, "x");
		turn(w, 0);
	} while (w->t.shown.n == 0 || writable(w->t.out));
	terminal_end(&w->t);
	for (int i = 0; !terminal_ended(&w->t); i++) {
		/* A megabyte. */
		assert_true(i < 2000);
		(void)fill(w->inner.slave, "x");
		(void)pty_read(w->outer.master, got, sizeof(got));
		turn(w, 0);
	}
}

/* A command that closes its terminal and opens it again. */
static void the_inside_may_close_and_open_again(void **state)
{
	struct world *w = *state;
	struct pollfd p[TERMINAL_FDS];
	char name[64];

	assert_int_equal(ptsname_r(w->inner.master, name, sizeof(name)), 0);
	run_inside(w, 7);
	pty_close(&w->inner.slave);
	while (!w->t.quiet)
		turn(w, PTY_LIMIT_MS);
	/* Neither a loop nor for ever. */
	assert_true(terminal_timeout(&w->t) > 0);
	terminal_poll(&w->t, p);
	assert_int_equal(poll(p, TERMINAL_FDS, 0), 0);
	w->inner.slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(w->inner.slave >= 0);
	pty_write(w->inner.slave, "again");
	turn_expect(w, w->outer.master, "again");
	assert_int_equal(terminal_timeout(&w->t), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(returns_are_not_doubled),
		CASE(returns_are_kept_in_raw_mode),
		CASE(returns_are_not_doubled_at_any_place),
		CASE(a_slow_terminal_blocks_nothing),
		CASE(a_slow_command_blocks_nothing),
		CASE(keys_wait_over_a_stop),
		CASE(a_terminal_that_cannot_be_opened_anew),
		CASE(shows_where_it_can),
		CASE(the_rest_is_shown_at_the_end),
		CASE(the_end_comes_though_others_write_on),
		CASE(the_inside_may_close_and_open_again),
	};

	return cmocka_run_group_tests_name("terminal_flow", tests, NULL, NULL);
}
