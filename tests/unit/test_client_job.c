/*
 * client_run as a job: signals, stops, the foreground.
 */
#include "client_world.h"

static void signals_are_passed_on(void **state)
{
	static const int all[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
	struct world *w = *state;

	start(w, &(struct start){0});
	begin(w);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(kill(w->client, all[i]), 0);
		assert_int_equal(expect(w, PROTO_SIGNAL).number, all[i]);
	}
	/* The command's answer counts. */
	say_number(w, PROTO_EXITED, 9);
	expect_exit(w, 9);
}

/* As under nohup(1). */
static void ignored_signals_are_not_passed_on(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){.ignores = SIGHUP});
	begin(w);
	assert_int_equal(kill(w->client, SIGHUP), 0);
	assert_int_equal(kill(w->client, SIGUSR1), 0);
	assert_int_equal(expect(w, PROTO_SIGNAL).number, SIGUSR1);
	say_number(w, PROTO_EXITED, 0);
	expect_exit(w, 0);
}

static void expect_death(struct world *w, int sig)
{
	int status = next_status(w);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), sig);
}

static void some_signals_are_the_clients_own(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){.terminals = 7});
	begin_on_terminal(w);
	expect_raw(w);
	assert_int_equal(kill(w->client, SIGALRM), 0);
	expect_death(w, SIGALRM);
	assert_true(pty_cooked(w->outer.master));
}

/* A loop in a shell ends when the command in it died of what was typed. */
static void dies_with_a_command_that_was_interrupted(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){.terminals = 7});
	begin_on_terminal(w);
	expect_raw(w);
	say_number(w, PROTO_EXITED, 128 + SIGINT);
	expect_death(w, SIGINT);
	assert_true(pty_cooked(w->outer.master));

	/* Nothing was typed: it is a status as others are. */
	assert_int_equal(teardown(state), 0);
	assert_int_equal(setup(state), 0);
	w = *state;
	start(w, &(struct start){.terminals = 2});
	begin_on_terminal(w);
	say_number(w, PROTO_EXITED, 128 + SIGINT);
	expect_exit(w, 128 + SIGINT);
}

/* A sandbox that does not answer can be left. */
static void before_it_is_taken_signals_end_the_client(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){.terminals = 7});
	(void)take_request(w);
	assert_int_equal(kill(w->client, SIGINT), 0);
	expect_death(w, SIGINT);
}

static void a_new_size_is_told(void **state)
{
	struct winsize size = {.ws_row = 44, .ws_col = 132};
	struct world *w = *state;
	struct proto_msg msg;

	start(w, &(struct start){.terminals = 7});
	begin_on_terminal(w);
	expect_raw(w);
	assert_int_equal(ioctl(w->outer.master, TIOCSWINSZ, &size), 0);
	msg = expect(w, PROTO_SIZE);
	assert_int_equal(msg.u.size.rows, 44);
	assert_int_equal(msg.u.size.cols, 132);
}

static void a_hang_up_is_passed_on(void **state)
{
	struct world *w = *state;
	int status = 0;
	char c;

	start(w, &(struct start){.terminals = 7, .leader = true});
	begin_on_terminal(w);
	expect_raw(w);
	pty_close(&w->outer.master);
	assert_int_equal(expect(w, PROTO_SIGNAL).number, SIGHUP);
	assert_int_equal(pty_read(w->inner.slave, &c, 1), 0);
	say_number(w, PROTO_EXITED, 129);
	assert_int_equal(proc_wait(w->child, &status, NULL), 0);
	w->child = -1;
	assert_int_equal(proc_exit_status(status), 129);
}

/* ---- stop and continue ---- */

static void expect_stop(struct world *w, int sig)
{
	int status = next_status(w);

	/* That it was continued is told by PROTO_CONT; the kernel forgets it for waitpid(2) when the next
	 * stop comes before the parent has asked. */
	while (WIFCONTINUED(status))
		status = next_status(w);
	assert_true(WIFSTOPPED(status));
	assert_int_equal(WSTOPSIG(status), sig);
}

static void start_on_terminal(struct world *w, const struct start *s)
{
	start(w, s);
	begin_on_terminal(w);
	expect_raw(w);
}

static void stops_with_the_command_and_goes_on(void **state)
{
	struct winsize size = {.ws_row = 44, .ws_col = 132};
	struct world *w = *state;
	struct proto_msg msg;

	start_on_terminal(w, &(struct start){.terminals = 7});
	pty_write(w->inner.slave, "^Z");
	say_number(w, PROTO_STOPPED, SIGTSTP);
	expect_stop(w, SIGTSTP);
	pty_expect(w->outer.master, "^Z");
	assert_true(pty_cooked(w->outer.master));
	assert_int_equal(ioctl(w->outer.master, TIOCSWINSZ, &size), 0);

	order(w, 'f');
	msg = expect(w, PROTO_SIZE);
	assert_int_equal(msg.u.size.rows, 44);
	assert_int_equal(expect(w, PROTO_CONT).foreground, 1);
	expect_typed(w);
	say_number(w, PROTO_EXITED, 5);
	expect_exit(w, 5);
}

static void the_whole_job_stops(void **state)
{
	struct world *w = *state;

	start_on_terminal(w, &(struct start){.terminals = 5, .pipeline = true});
	say_number(w, PROTO_STOPPED, SIGTSTP);
	expect_stop(w, SIGTSTP);
	/* That of the other one is told before it or next. */
	if (!w->other_stopped) {
		struct report r = {0};

		assert_int_equal(pty_read(w->reports, (char *)&r, sizeof(r)), sizeof(r));
		assert_int_equal(r.pid, w->other);
		assert_true(WIFSTOPPED(r.status));
	}
}

static void goes_on_in_the_background(void **state)
{
	struct world *w = *state;

	start_on_terminal(w, &(struct start){.terminals = 7});
	say_number(w, PROTO_STOPPED, SIGTSTP);
	expect_stop(w, SIGTSTP);
	order(w, 'b');
	(void)expect(w, PROTO_SIZE);
	assert_int_equal(expect(w, PROTO_CONT).foreground, 0);
	pty_write(w->inner.slave, "still seen\n");
	pty_expect(w->outer.master, "still seen\r\n");
	assert_true(pty_cooked(w->outer.master));
	/* It reads there: the job stops as one that reads. */
	say_number(w, PROTO_STOPPED, SIGTTIN);
	expect_stop(w, SIGTTIN);
	order(w, 'f');
	(void)expect(w, PROTO_SIZE);
	assert_int_equal(expect(w, PROTO_CONT).foreground, 1);
	expect_typed(w);
	/* And then that signal is none of its own again. */
	assert_int_equal(kill(w->client, SIGTTIN), 0);
	assert_int_equal(kill(w->client, SIGUSR1), 0);
	assert_int_equal(expect(w, PROTO_SIGNAL).number, SIGUSR1);
	say_number(w, PROTO_EXITED, 6);
	expect_exit(w, 6);
}

/* What cannot be continued by anybody does not stop. */
static void an_orphan_does_not_stop(void **state)
{
	struct world *w = *state;

	start_on_terminal(w, &(struct start){.terminals = 7, .leader = true});
	say_number(w, PROTO_STOPPED, SIGTTIN);
	(void)expect(w, PROTO_SIZE);
	assert_int_equal(expect(w, PROTO_CONT).foreground, 1);
	expect_typed(w);
}

/* Not even with the terminal in other hands: the command gets it, or it would be stopped for ever. */
static void an_orphan_in_the_background_does_not_stop(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){.terminals = 7, .leader = true, .background = true});
	begin_on_terminal(w);
	say_number(w, PROTO_STOPPED, SIGTTIN);
	(void)expect(w, PROTO_SIZE);
	assert_int_equal(expect(w, PROTO_CONT).foreground, 1);
	assert_true(pty_cooked(w->outer.master));
}

static void stops_with_a_command_that_others_stop(void **state)
{
	struct world *w = *state;

	start_on_terminal(w, &(struct start){.terminals = 7});
	say_number(w, PROTO_STOPPED, SIGSTOP);
	expect_stop(w, SIGTSTP);
}

/* `kill -TSTP` of the client: to the command, and back to the client alone. */
static void a_stop_from_outside_is_passed_on(void **state)
{
	struct world *w = *state;

	start_on_terminal(w, &(struct start){.terminals = 7, .pipeline = true});
	assert_int_equal(kill(w->client, SIGTSTP), 0);
	assert_int_equal(expect(w, PROTO_SIGNAL).number, SIGTSTP);
	say_number(w, PROTO_STOPPED, SIGTSTP);
	expect_stop(w, SIGTSTP);
	assert_false(w->other_stopped);
	assert_false(pty_readable(w->reports, 100));
	order(w, 'f');
	(void)expect(w, PROTO_SIZE);
	assert_int_equal(expect(w, PROTO_CONT).foreground, 1);
	/* Once more. */
	assert_int_equal(kill(w->client, SIGTSTP), 0);
	assert_int_equal(expect(w, PROTO_SIGNAL).number, SIGTSTP);
	say_number(w, PROTO_STOPPED, SIGTSTP);
	expect_stop(w, SIGTSTP);
	assert_false(w->other_stopped);
	order(w, 'f');
	(void)expect(w, PROTO_SIZE);
	assert_int_equal(expect(w, PROTO_CONT).foreground, 1);
	/* Ctrl-Z then is for the whole job again. */
	say_number(w, PROTO_STOPPED, SIGTSTP);
	expect_stop(w, SIGTSTP);
	assert_true(w->other_stopped || pty_readable(w->reports, PTY_LIMIT_MS));
}

static void a_stop_from_outside_needs_no_terminal(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){0});
	begin(w);
	assert_int_equal(kill(w->client, SIGTSTP), 0);
	assert_int_equal(expect(w, PROTO_SIGNAL).number, SIGTSTP);
	say_number(w, PROTO_STOPPED, SIGTSTP);
	expect_stop(w, SIGTSTP);
	order(w, 'b');
	assert_int_equal(expect(w, PROTO_CONT).foreground, 1);
	say_number(w, PROTO_EXITED, 4);
	expect_exit(w, 4);
}

/* What runs inside stops no more than its own client there. */
static void in_the_background_the_job_goes_on(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){.terminals = 5, .background = true, .pipeline = true});
	begin_on_terminal(w);
	say_number(w, PROTO_STOPPED, SIGTSTP);
	expect_stop(w, SIGTSTP);
	assert_false(w->other_stopped);
	assert_false(pty_readable(w->reports, 100));
}

/* Without a terminal somebody else has stopped the command, and nobody would continue the client. */
static void a_command_stopped_by_others_is_waited_for(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){0});
	begin(w);
	say_number(w, PROTO_STOPPED, SIGSTOP);
	/* It still runs. */
	assert_int_equal(kill(w->client, SIGUSR1), 0);
	assert_int_equal(expect(w, PROTO_SIGNAL).number, SIGUSR1);
	assert_int_equal(kill(w->client, SIGCONT), 0);
	assert_int_equal(expect(w, PROTO_CONT).foreground, 1);
	/* It goes on once. */
	assert_int_equal(kill(w->client, SIGCONT), 0);
	assert_int_equal(kill(w->client, SIGUSR1), 0);
	assert_int_equal(expect(w, PROTO_SIGNAL).number, SIGUSR1);
	assert_int_equal(kill(w->client, SIGUSR1), 0);
	assert_int_equal(expect(w, PROTO_SIGNAL).number, SIGUSR1);
	say_number(w, PROTO_EXITED, 0);
	expect_exit(w, 0);
}

/* `kill -STOP` and `fg`: the shell has set the modes meanwhile. */
static void takes_the_terminal_again_after_a_stop(void **state)
{
	struct world *w = *state;
	struct termios cooked;

	cooked = pty_modes(w->outer.master);
	start_on_terminal(w, &(struct start){.terminals = 7});
	assert_int_equal(kill(w->client, SIGSTOP), 0);
	expect_stop(w, SIGSTOP);
	order(w, 's');
	assert_int_equal(tcsetattr(w->outer.master, TCSANOW, &cooked), 0);
	order(w, 'f');
	(void)expect(w, PROTO_SIZE);
	expect_typed(w);
	say_number(w, PROTO_EXITED, 0);
	expect_exit(w, 0);
	assert_true(pty_cooked(w->outer.master));
}

static void in_the_background_the_terminal_is_left_alone(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){.terminals = 7, .background = true});
	begin_on_terminal(w);
	pty_write(w->inner.slave, "seen\n");
	pty_expect(w->outer.master, "seen\r\n");
	assert_true(pty_cooked(w->outer.master));
	/* `fg` of a job that runs: no signal tells it. */
	order(w, 'F');
	(void)expect(w, PROTO_SIZE);
	expect_typed(w);
	say_number(w, PROTO_EXITED, 8);
	expect_exit(w, 8);
	assert_true(pty_cooked(w->outer.master));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(signals_are_passed_on),
		CASE(ignored_signals_are_not_passed_on),
		CASE(some_signals_are_the_clients_own),
		CASE(dies_with_a_command_that_was_interrupted),
		CASE(before_it_is_taken_signals_end_the_client),
		CASE(a_new_size_is_told),
		CASE(a_hang_up_is_passed_on),
		CASE(stops_with_the_command_and_goes_on),
		CASE(the_whole_job_stops),
		CASE(goes_on_in_the_background),
		CASE(an_orphan_does_not_stop),
		CASE(an_orphan_in_the_background_does_not_stop),
		CASE(stops_with_a_command_that_others_stop),
		CASE(a_stop_from_outside_is_passed_on),
		CASE(a_stop_from_outside_needs_no_terminal),
		CASE(in_the_background_the_job_goes_on),
		CASE(a_command_stopped_by_others_is_waited_for),
		CASE(takes_the_terminal_again_after_a_stop),
		CASE(in_the_background_the_terminal_is_left_alone),
	};

	return cmocka_run_group_tests_name("client_job", tests, NULL, NULL);
}
