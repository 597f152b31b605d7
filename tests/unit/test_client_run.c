/*
 * The request and the end of a command, from its client's side.
 */
#include <sys/mman.h>

#include "client_world.h"

/* ---- the request ---- */

static void the_request_is_whole(void **state)
{
	static const char *const argv[] = {"cat", "a b", "", NULL};
	static const char *const env[] = {"A=1", "B=", NULL};
	const struct client_request request = {.argv = argv, .env = env, .cwd = "/some/where"};
	struct world *w = *state;
	_cleanup_arena_ struct arena *a = arena_new();
	struct proto_body body;
	struct proto_msg msg;
	struct stat st;
	struct stat other;
	struct err err = {0};
	int fds[PROC_MAX_FDS];
	char bytes[256];
	size_t n = 0;
	ssize_t got;

	/* 0 is /dev/null, 1 the terminal, 2 a pipe. */
	start(w, &(struct start){.terminals = 2, .request = &request});
	assert_true(pty_readable(w->sock, PTY_LIMIT_MS));
	assert_int_equal(proto_recv(w->sock, &msg, fds, &n, &err), 1);
	assert_int_equal(msg.type, PROTO_RUN);
	assert_int_equal(msg.u.run.user, PROTO_SELF);
	assert_int_equal(msg.u.run.umask, 027);
	assert_int_equal(msg.u.run.terminal, 2);
	assert_int_equal(msg.u.run.closed, 0);
	assert_int_equal(msg.u.run.rows, 33);
	assert_int_equal(msg.u.run.cols, 101);
	assert_int_equal(n, 3);
	got = read(fds[0], bytes, sizeof(bytes));
	assert_true(got > 0);
	assert_int_equal(proto_body_decode(a, bytes, (size_t)got, &body, &err), 0);
	assert_string_equal(body.argv[1], "a b");
	assert_string_equal(body.argv[2], "");
	assert_null(body.argv[3]);
	assert_string_equal(body.env[1], "B=");
	assert_null(body.env[2]);
	assert_string_equal(body.cwd, "/some/where");
	assert_int_equal(fstat(fds[1], &st), 0);
	assert_int_equal(stat("/dev/null", &other), 0);
	assert_int_equal(st.st_rdev, other.st_rdev);
	assert_int_equal(fstat(fds[2], &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
}

static void closed_streams_are_named(void **state)
{
	struct world *w = *state;
	struct proto_msg msg;

	start(w, &(struct start){.closed = 5});
	msg = take_request(w);
	assert_int_equal(msg.u.run.closed, 5);
	assert_int_equal(msg.u.run.terminal, 0);
	assert_int_equal(msg.u.run.rows, 0);
}

static void the_user_is_named(void **state)
{
	static const struct client_ids ids = {1234, 5678};
	const struct client_request root = {.argv = true_argv, .cwd = "/", .as_root = true};
	const struct client_request other = {
		.argv = true_argv, .cwd = "/", .as_root = true, .ids = &ids};
	struct world *w = *state;
	struct proto_msg msg;

	start(w, &(struct start){.request = &root});
	assert_int_equal(take_request(w).u.run.user, PROTO_ROOT);
	assert_int_equal(teardown(state), 0);
	assert_int_equal(setup(state), 0);
	w = *state;
	start(w, &(struct start){.request = &other});
	msg = take_request(w);
	assert_int_equal(msg.u.run.user, PROTO_UID);
	assert_int_equal(msg.u.run.uid, 1234);
	assert_int_equal(msg.u.run.gid, 5678);
}

static void a_request_too_long(void **state)
{
	static char word[PROTO_BODY_MAX];
	static const char *const argv[] = {word, NULL};
	const struct client_request request = {.argv = argv, .cwd = "/"};
	struct world *w = *state;
	struct err err;

	memset(word, 'x', sizeof(word) - 1);
	start(w, &(struct start){.request = &request});
	expect_failure(w, &err);
	assert_int_equal(err.errnum, E2BIG);
	assert_string_equal(err.msg,
			    "cannot pass the command to the sandbox: Argument list too long");
}

static void a_profile_that_has_changed_is_told_of(void **state)
{
	static const char warning[] =
		"sbx: warning: the sandbox runs by what sbx.ini said when it started";
	const struct client_request request = {
		.argv = true_argv, .cwd = "/", .profile_digest = "abc"};
	static const char *const digests[] = {"abc", "", "abcd"};

	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
		struct world *w = *state;
		struct proto_msg msg = {0};

		(void)snprintf(msg.u.info.profile_digest, sizeof(msg.u.info.profile_digest), "%s",
			       digests[i]);
		start(w, &(struct start){.request = &request});
		(void)take_request(w);
		assert_int_equal(proto_send(w->sock, PROTO_TAKEN, &msg, NULL, 0), 0);
		say_number(w, PROTO_EXITED, 0);
		expect_exit(w, 0);
		if (i == 2)
			pty_expect(w->messages, warning);
		else
			assert_false(pty_readable(w->messages, 0));
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

/* ---- the end ---- */

static void the_status_comes_through(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){0});
	begin(w);
	/* Whatever the other side sends, it is one that a process can have. */
	say_number(w, PROTO_EXITED, 0x1000 + 42);
	expect_exit(w, 42);
}

static void what_ended_too_early_is_tried_again(void **state)
{
	struct world *w = *state;
	struct err err;

	/* With the request read. */
	start(w, &(struct start){0});
	(void)take_request(w);
	pty_close(&w->sock);
	expect_failure(w, &err);
	assert_int_equal(err.errnum, EAGAIN);
	assert_string_equal(err.msg, "the sandbox ended before it took the command: "
				     "Resource temporarily unavailable");

	/* With the request unread, and before there is one. */
	for (int i = 0; i < 2; i++) {
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
		w = *state;
		if (i == 0)
			pty_close(&w->sock);
		start(w, &(struct start){0});
		if (i == 1) {
			assert_true(pty_readable(w->sock, PTY_LIMIT_MS));
			pty_close(&w->sock);
		}
		expect_failure(w, &err);
		assert_int_equal(err.errnum, EAGAIN);
	}
}

static void a_sandbox_that_is_lost_is_137(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){.terminals = 3});
	begin_on_terminal(w);
	expect_raw(w);
	pty_write(w->inner.slave, "last words");
	pty_close(&w->sock);
	expect_exit(w, 137);
	pty_expect(w->outer.master, "last words");
	assert_true(pty_cooked(w->outer.master));
	pty_expect(w->messages, "sbx: warning: the sandbox ended before the command did\n");
}

/* Nobody reads its stderr: no SIGPIPE. */
static void the_warning_kills_nobody(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){0});
	begin(w);
	pty_close(&w->messages);
	pty_close(&w->sock);
	expect_exit(w, 137);
}

static void fail_start(struct world *w, const struct err *err)
{
	struct proto_msg msg = {.u.err = *err};

	(void)take_request(w);
	say_number(w, PROTO_TAKEN, 0);
	assert_int_equal(proto_send(w->sock, PROTO_FAILED, &msg, NULL, 0), 0);
}

static void a_failure_is_told(void **state)
{
	struct world *w = *state;
	struct err err = {.kind = ERR_NOT_FOUND,
			  .errnum = ENOENT,
			  .msg = "cannot run 'x'",
			  .hint = "another"};

	start(w, &(struct start){.terminals = 7});
	fail_start(w, &err);
	expect_failure(w, &err);
	assert_int_equal(err.kind, ERR_NOT_FOUND);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.msg, "cannot run 'x'");
	assert_string_equal(err.hint, "another");
	assert_true(pty_cooked(w->outer.master));
}

/* Whatever the other side sends: strings have an end, and it is no reason to start again. */
static void a_failure_is_made_harmless(void **state)
{
	struct world *w = *state;
	struct err err = {.kind = (enum err_kind)77, .errnum = EAGAIN};

	memset(err.msg, 'm', sizeof(err.msg));
	memset(err.hint, 'h', sizeof(err.hint));
	start(w, &(struct start){0});
	fail_start(w, &err);
	expect_failure(w, &err);
	assert_int_equal(err.kind, ERR_FAILED);
	assert_int_equal(err.errnum, 0);
	assert_int_equal(strnlen(err.msg, sizeof(err.msg)), sizeof(err.msg) - 1);
	assert_int_equal(strnlen(err.hint, sizeof(err.hint)), sizeof(err.hint) - 1);
}

static void a_start_without_its_terminal(void **state)
{
	struct world *w = *state;
	struct err err;

	start(w, &(struct start){.terminals = 7});
	begin(w);
	expect_failure(w, &err);
	assert_int_equal(err.errnum, EPROTO);
	assert_string_equal(err.msg, "cannot talk to the sandbox: Protocol error");
	assert_true(pty_cooked(w->outer.master));
}

static void output_at_the_end_arrives(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){.terminals = 7});
	begin_on_terminal(w);
	expect_raw(w);
	pty_write(w->inner.slave, "the last line\n");
	say_number(w, PROTO_EXITED, 3);
	expect_exit(w, 3);
	pty_expect(w->outer.master, "the last line\n");
	assert_true(pty_cooked(w->outer.master));
}

/* The terminal takes nothing more, and the command has ended. */
static void the_rest_for_a_stuck_terminal_can_be_cut(void **state)
{
	char block[1024];
	struct world *w = *state;

	memset(block, 'x', sizeof(block));
	start(w, &(struct start){.terminals = 7});
	begin_on_terminal(w);
	expect_raw(w);
	assert_int_equal(fcntl(w->inner.slave, F_SETFL, O_RDWR | O_NONBLOCK), 0);
	for (;;) {
		struct pollfd p = {.fd = w->inner.slave, .events = POLLOUT};

		/* polls: nothing tells that it is full for good. */
		if (poll(&p, 1, 300) == 0)
			break;
		(void)!write(w->inner.slave, block, sizeof(block));
	}
	say_number(w, PROTO_EXITED, 3);
	pty_close(&w->sock);
	/* Neither of these cuts anything. */
	assert_int_equal(kill(w->client, SIGWINCH), 0);
	assert_int_equal(kill(w->client, SIGCONT), 0);
	assert_int_equal(kill(w->client, SIGTSTP), 0);
	assert_false(pty_readable(w->reports, 300));
	assert_int_equal(kill(w->client, SIGINT), 0);
	expect_exit(w, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_request_is_whole),
		CASE(closed_streams_are_named),
		CASE(the_user_is_named),
		CASE(a_request_too_long),
		CASE(a_profile_that_has_changed_is_told_of),
		CASE(the_status_comes_through),
		CASE(what_ended_too_early_is_tried_again),
		CASE(a_sandbox_that_is_lost_is_137),
		CASE(the_warning_kills_nobody),
		CASE(a_failure_is_told),
		CASE(a_failure_is_made_harmless),
		CASE(a_start_without_its_terminal),
		CASE(output_at_the_end_arrives),
		CASE(the_rest_for_a_stuck_terminal_can_be_cut),
	};

	return cmocka_run_group_tests_name("client_run", tests, NULL, NULL);
}
