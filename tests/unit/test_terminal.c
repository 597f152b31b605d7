#include "terminal_world.h"

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

	/* And back: those are no longer its to restore. */
	assert_int_equal(tcsetpgrp(w->outer.slave, shell), 0);
	terminal_restore(&w->t);
	assert_true(pty_raw(w->outer.slave));
	assert_int_equal(tcsetpgrp(w->outer.slave, own), 0);
	assert_true(terminal_look(&w->t));

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

/* Only stdout is a terminal. */
static void a_hang_up_of_the_output_passes_inside(void **state)
{
	struct world *w = *state;
	char c;

	run_inside(w, 2);
	pty_close(&w->outer.master);
	while (w->t.master >= 0)
		turn(w, PTY_LIMIT_MS);
	assert_int_equal(read(w->inner.slave, &c, 1), 0);
}

/* `sbx run x | less`: stdin is the terminal, stdout a pipe. */
static void run_in_pipeline(struct world *w)
{
	_cleanup_fd_ int read_fd = -1;
	_cleanup_fd_ int write_fd = -1;
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	read_fd = ends[0];
	write_fd = ends[1];
	redirect(w, 5);
	assert_int_equal(dup2(write_fd, 1), 1);
	terminal_open(&w->t);
	terminal_attach(&w->t, fcntl(w->inner.master, F_DUPFD_CLOEXEC, 3));
	(void)terminal_look(&w->t);
}

/* The keys are for the one that reads the pipe, and so are the modes. */
static void a_pager_keeps_the_terminal(void **state)
{
	struct world *w = *state;

	run_in_pipeline(w);
	turn(w, 0);
	assert_true(pty_cooked(w->outer.slave));
	/* less(1) starts. */
	pty_make_raw(w->outer.slave);
	pty_write(w->outer.master, "q\n");
	turn(w, 0);
	pty_expect(w->outer.slave, "q\n");
	assert_false(pty_readable(w->inner.slave, 0));
	terminal_done(&w->t);
	assert_true(pty_raw(w->outer.slave));
}

/* It starts while this process waits for a line. */
static void a_pager_that_comes_later_keeps_its_keys(void **state)
{
	struct world *w = *state;
	struct pollfd p[TERMINAL_FDS];

	run_in_pipeline(w);
	terminal_poll(&w->t, p);
	pty_make_raw(w->outer.slave);
	pty_write(w->outer.master, "q");
	assert_true(poll(p, TERMINAL_FDS, PTY_LIMIT_MS) > 0);
	terminal_pump(&w->t, p);
	assert_false(w->t.raw);
	turn(w, 0);
	pty_expect(w->outer.slave, "q");
}

static void a_line_typed_in_a_pipeline_is_the_commands(void **state)
{
	struct world *w = *state;

	run_in_pipeline(w);
	pty_write(w->outer.master, "word\n");
	turn_expect(w, w->inner.slave, "word\n");
	assert_true(pty_raw(w->outer.slave));
	/* And from then on, over a stop, too. */
	terminal_restore(&w->t);
	assert_true(pty_cooked(w->outer.slave));
	assert_true(terminal_look(&w->t));
	assert_true(pty_raw(w->outer.slave));
	terminal_done(&w->t);
	assert_true(pty_cooked(w->outer.slave));
}

/* A password is asked for. */
static void an_inside_that_takes_keys_gets_them(void **state)
{
	struct world *w = *state;
	struct termios modes = pty_modes(w->inner.slave);

	run_in_pipeline(w);
	modes.c_lflag &= ~(tcflag_t)ECHO;
	assert_int_equal(tcsetattr(w->inner.slave, TCSANOW, &modes), 0);
	pty_write(w->inner.slave, "Password: ");
	turn_expect(w, w->outer.master, "Password: ");
	assert_true(pty_raw(w->outer.slave));
}

/* It was raw, and then somebody else set it as he needs it. */
static void modes_of_others_are_left(void **state)
{
	struct world *w = *state;
	struct termios modes;

	run_inside(w, 7);
	modes = pty_modes(w->outer.slave);
	modes.c_oflag |= OPOST;
	assert_int_equal(tcsetattr(w->outer.slave, TCSANOW, &modes), 0);
	terminal_done(&w->t);
	assert_true(pty_modes(w->outer.slave).c_oflag & OPOST);
	assert_false(pty_modes(w->outer.slave).c_lflag & ICANON);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(nothing_to_do_without_a_terminal),
		CASE(says_which_are_terminals),
		CASE(every_byte_passes_both_ways),
		CASE(modes_come_back),
		CASE(the_callers_files_stay_blocking),
		CASE(typed_ahead_is_kept),
		CASE(only_stdin_is_read),
		CASE(a_hang_up_passes_inside),
		CASE(a_hang_up_of_the_output_passes_inside),
		CASE(takes_the_terminal_in_the_foreground_alone),
		CASE(a_pager_keeps_the_terminal),
		CASE(a_pager_that_comes_later_keeps_its_keys),
		CASE(a_line_typed_in_a_pipeline_is_the_commands),
		CASE(an_inside_that_takes_keys_gets_them),
		CASE(modes_of_others_are_left),
	};

	return cmocka_run_group_tests_name("terminal", tests, NULL, NULL);
}
