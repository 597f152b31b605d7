/*
 * client_run against a shim that the test plays, as a job of a small shell on a terminal of its own.
 */
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/proc.h"
#include "pty_world.h"
#include "run/client.h"
#include "run/proto.h"

/* What a client that failed ends with; its struct err comes over a pipe. */
#define STATUS_FAILED 99

/* How a client starts. */
struct start {
	unsigned terminals; /* bit N: fd N is the terminal; else it is a pipe's or /dev/null */
	unsigned closed;
	bool background;
	bool leader;   /* no shell: it leads the session, so that nobody could continue it */
	bool pipeline; /* another process in its group, whose pid is told first */
	int ignores;   /* a signal, as nohup(1) does */
	const struct client_request *request;
};

struct world {
	int sock; /* the shim's end */
	int client_sock;
	struct pty outer, inner;
	int orders, reports, errors, messages;
	bool other_stopped; /* the other process of the job was seen stopped */
	pid_t child;        /* of the test: the shell, or the client itself */
	pid_t client, other;
};

static const char *const true_argv[] = {"true", NULL};
static const struct client_request plain = {.argv = true_argv, .cwd = "/"};

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	int socks[2];

	assert_non_null(w);
	(void)alarm(60);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), 0);
	*w = (struct world){.sock = socks[0],
			    .client_sock = socks[1],
			    .outer = pty_new(33, 101),
			    .inner = pty_new(0, 0),
			    .orders = -1,
			    .reports = -1,
			    .errors = -1,
			    .messages = -1,
			    .child = -1};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	pty_close(&w->sock);
	pty_close(&w->client_sock);
	pty_close(&w->orders); /* the shell ends, and ends its job */
	pty_close(&w->reports);
	pty_close(&w->errors);
	pty_close(&w->messages);
	pty_done(&w->outer);
	pty_done(&w->inner);
	if (w->child > 0) {
		(void)kill(w->child, SIGKILL);
		(void)waitpid(w->child, NULL, 0);
	}
	free(w);
	(void)alarm(0);
	return 0;
}

/* ---- the other processes; they end by _exit and use no assertion ---- */

struct ends {
	int orders, reports, errors, messages;
};

static void set_stdio(const struct world *w, const struct start *s, int messages)
{
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC); /* borrowed: ends with the process */

	for (int fd = 0; fd < 3; fd++) {
		int own = fd == 2 ? messages : null_fd;

		(void)dup2(s->terminals & 1u << fd ? w->outer.slave : own, fd);
		if (s->closed & 1u << fd)
			(void)close(fd);
	}
}

/* Everything that client_run changes is as before? */
static bool is_as_before(const sigset_t *mask, const struct sigaction *old)
{
	struct sigaction now;
	sigset_t now_mask;

	(void)sigprocmask(SIG_BLOCK, NULL, &now_mask);
	for (int sig = 1; sig < 32; sig++) {
		(void)sigaction(sig, NULL, &now);
		if (now.sa_handler != old[sig].sa_handler ||
		    sigismember(mask, sig) != sigismember(&now_mask, sig))
			return false;
	}
	return true;
}

static _Noreturn void be_client(const struct world *w, const struct start *s,
				const struct ends *ends)
{
	struct sigaction old[32];
	struct err err = {0};
	sigset_t mask;
	int status = -7;
	int r;

	if (s->ignores)
		(void)signal(s->ignores, SIG_IGN);
	set_stdio(w, s, ends->messages);
	(void)umask(027);
	(void)sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int sig = 1; sig < 32; sig++)
		(void)sigaction(sig, NULL, &old[sig]);
	r = client_run(w->client_sock, s->request ? s->request : &plain, &status, &err);
	if (!is_as_before(&mask, old))
		_exit(98);
	if (r == 0)
		_exit(status);
	err_send(&err, ends->errors);
	_exit(status == -7 ? STATUS_FAILED : 97);
}

struct report {
	pid_t pid;
	int status;
};

static void tell_status(int report)
{
	struct report r = {0};

	while ((r.pid = waitpid(-1, &r.status, WNOHANG | WUNTRACED | WCONTINUED)) > 0)
		(void)!write(report, &r, sizeof(r));
}

static void obey(const struct world *w, pid_t job, char order)
{
	if (order == 'f' || order == 'F')
		(void)tcsetpgrp(w->outer.slave, job);
	if (order == 'b' || order == 's')
		(void)tcsetpgrp(w->outer.slave, getpgrp());
	if (order == 'f' || order == 'b')
		(void)kill(-job, SIGCONT);
}

static _Noreturn void be_shell(const struct world *w, pid_t job, const struct ends *ends)
{
	struct signalfd_siginfo info;
	sigset_t child;
	struct pollfd p[2] = {{.fd = ends->orders, .events = POLLIN}, {.events = POLLIN}};
	char order;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &child, NULL);
	p[1].fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	tell_status(ends->reports);
	for (;;) {
		(void)poll(p, 2, -1);
		if (read(p[1].fd, &info, sizeof(info)) > 0)
			tell_status(ends->reports);
		if (p[0].revents && read(ends->orders, &order, 1) <= 0)
			break;
		if (p[0].revents)
			obey(w, job, order);
	}
	(void)kill(-job, SIGKILL);
	_exit(0);
}

static _Noreturn void be_child(struct world *w, const struct start *s, const struct ends *ends)
{
	pid_t pids[2] = {getpid(), 0};

	(void)alarm(60);
	(void)setsid();
	(void)ioctl(w->outer.slave, TIOCSCTTY, 0);
	(void)signal(SIGPIPE, SIG_DFL);
	if (s->leader) {
		(void)!write(ends->reports, pids, sizeof(pids));
		be_client(w, s, ends);
	}
	(void)signal(SIGTTOU, SIG_IGN);
	pids[0] = fork();
	(void)setpgid(pids[0], pids[0]);
	if (!s->background)
		(void)tcsetpgrp(w->outer.slave, pids[0] ? pids[0] : getpid());
	if (pids[0] == 0) {
		(void)signal(SIGTTOU, SIG_DFL);
		be_client(w, s, ends);
	}
	if (s->pipeline)
		pids[1] = fork();
	if (s->pipeline && pids[1] == 0) {
		(void)setpgid(0, pids[0]);
		for (;;)
			(void)pause();
	}
	if (s->pipeline)
		(void)setpgid(pids[1], pids[0]);
	(void)!write(ends->reports, pids, sizeof(pids));
	be_shell(w, pids[0], ends);
}

/* ---- what the test does ---- */

static void make_pipe(int *ret_read, int *ret_write)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*ret_read = ends[0];
	*ret_write = ends[1];
}

static void start(struct world *w, const struct start *s)
{
	struct ends ends;
	pid_t pids[2] = {0};

	make_pipe(&ends.orders, &w->orders);
	make_pipe(&w->reports, &ends.reports);
	make_pipe(&w->errors, &ends.errors);
	make_pipe(&w->messages, &ends.messages);
	w->child = fork();
	assert_true(w->child >= 0);
	if (w->child == 0) {
		(void)close(w->orders);
		(void)close(w->sock);
		(void)close(w->messages);
		pty_close(&w->outer.master);
		pty_done(&w->inner);
		be_child(w, s, &ends);
	}
	(void)close(ends.orders);
	(void)close(ends.reports);
	(void)close(ends.errors);
	(void)close(ends.messages);
	pty_close(&w->client_sock);
	pty_close(&w->outer.slave);
	assert_int_equal(pty_read(w->reports, (char *)pids, sizeof(pids)), sizeof(pids));
	w->client = pids[0];
	w->other = pids[1];
}

static void order(const struct world *w, char c)
{
	assert_int_equal(write(w->orders, &c, 1), 1);
}

/* The next change of the client, as the shell sees it. */
static int next_status(struct world *w)
{
	struct report r;

	for (;;) {
		assert_int_equal(pty_read(w->reports, (char *)&r, sizeof(r)), sizeof(r));
		if (r.pid == w->client)
			return r.status;
		w->other_stopped = WIFSTOPPED(r.status);
	}
}

static void expect_exit(struct world *w, int wanted)
{
	int status = next_status(w);

	while (WIFCONTINUED(status))
		status = next_status(w);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != wanted)
		fail_msg("the client ended with %#x, not %d", (unsigned)status, wanted);
}

static void expect_failure(struct world *w, struct err *err)
{
	expect_exit(w, STATUS_FAILED);
	assert_true(pty_readable(w->errors, PTY_LIMIT_MS));
	*err = (struct err){0};
	assert_int_equal(err_receive(w->errors, err), -1);
}

/* The next message of the client is of this type. */
static struct proto_msg expect(const struct world *w, uint32_t type)
{
	struct proto_msg msg = {0};
	struct err err = {0};

	assert_true(pty_readable(w->sock, PTY_LIMIT_MS));
	assert_int_equal(proto_recv(w->sock, &msg, NULL, NULL, &err), 1);
	assert_int_equal(msg.type, type);
	return msg;
}

static void say_number(const struct world *w, enum proto_type type, int number)
{
	struct proto_msg msg = {.number = number};

	assert_int_equal(proto_send(w->sock, type, &msg, NULL, 0), 0);
}

/* Take the request, and drop what came with it. */
static struct proto_msg take_request(const struct world *w)
{
	struct proto_msg msg = {0};
	struct err err = {0};
	int fds[PROC_MAX_FDS];
	size_t n = 0;

	assert_true(pty_readable(w->sock, PTY_LIMIT_MS));
	assert_int_equal(proto_recv(w->sock, &msg, fds, &n, &err), 1);
	assert_int_equal(msg.type, PROTO_RUN);
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
	return msg;
}

static void begin(struct world *w)
{
	struct proto_msg msg = {0};

	(void)take_request(w);
	say_number(w, PROTO_TAKEN, 0);
	assert_int_equal(proto_send(w->sock, PROTO_STARTED, &msg, NULL, 0), 0);
}

/* With the pty inside; returns when the client has taken the terminal, unless it is not to. */
static void begin_on_terminal(struct world *w)
{
	struct proto_msg msg = {0};

	(void)take_request(w);
	say_number(w, PROTO_TAKEN, 0);
	assert_int_equal(proto_send(w->sock, PROTO_STARTED, &msg, &w->inner.master, 1), 0);
	pty_close(&w->inner.master);
}

/* What is typed comes through as it is: the client reads, in raw mode. */
static void expect_typed(struct world *w)
{
	assert_true(pty_raw(w->outer.master));
	pty_make_raw(w->inner.slave);
	pty_write(w->outer.master, "\003?");
	pty_expect(w->inner.slave, "\003?");
}

/* The first output is shown after raw mode is set, and tells that it is. */
static void expect_raw(struct world *w)
{
	pty_write(w->inner.slave, "!");
	pty_expect(w->outer.master, "!");
	expect_typed(w);
}

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
	assert_int_equal(fcntl(fds[0], F_GET_SEALS),
			 F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
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

/* ---- the end ---- */

static void the_status_comes_through(void **state)
{
	struct world *w = *state;

	start(w, &(struct start){0});
	begin(w);
	say_number(w, PROTO_EXITED, 42);
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
	/* Neither of these cuts anything. */
	assert_int_equal(kill(w->client, SIGWINCH), 0);
	assert_int_equal(kill(w->client, SIGCONT), 0);
	assert_int_equal(kill(w->client, SIGTSTP), 0);
	assert_false(pty_readable(w->reports, 300));
	assert_int_equal(kill(w->client, SIGINT), 0);
	expect_exit(w, 3);
}

/* ---- signals ---- */

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
	assert_true(WIFCONTINUED(next_status(w)));
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
	assert_true(WIFCONTINUED(next_status(w)));
	say_number(w, PROTO_STOPPED, SIGTTIN);
	expect_stop(w, SIGTTIN);
	order(w, 'f');
	(void)expect(w, PROTO_SIZE);
	assert_int_equal(expect(w, PROTO_CONT).foreground, 1);
	expect_typed(w);
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
	/* Ctrl-Z then is for the whole job again. */
	say_number(w, PROTO_STOPPED, SIGTSTP);
	assert_true(WIFCONTINUED(next_status(w)));
	expect_stop(w, SIGTSTP);
	assert_true(w->other_stopped || pty_readable(w->reports, PTY_LIMIT_MS));
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
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(the_request_is_whole),
		CASE(closed_streams_are_named),
		CASE(the_user_is_named),
		CASE(a_request_too_long),
		CASE(the_status_comes_through),
		CASE(what_ended_too_early_is_tried_again),
		CASE(a_sandbox_that_is_lost_is_137),
		CASE(the_warning_kills_nobody),
		CASE(a_failure_is_told),
		CASE(a_failure_is_made_harmless),
		CASE(a_start_without_its_terminal),
		CASE(output_at_the_end_arrives),
		CASE(the_rest_for_a_stuck_terminal_can_be_cut),
		CASE(signals_are_passed_on),
		CASE(ignored_signals_are_not_passed_on),
		CASE(some_signals_are_the_clients_own),
		CASE(before_it_is_taken_signals_end_the_client),
		CASE(a_new_size_is_told),
		CASE(a_hang_up_is_passed_on),
		CASE(stops_with_the_command_and_goes_on),
		CASE(the_whole_job_stops),
		CASE(goes_on_in_the_background),
		CASE(an_orphan_does_not_stop),
		CASE(a_stop_from_outside_is_passed_on),
		CASE(a_command_stopped_by_others_is_waited_for),
		CASE(takes_the_terminal_again_after_a_stop),
		CASE(in_the_background_the_terminal_is_left_alone),
	};

	return cmocka_run_group_tests_name("client_run", tests, NULL, NULL);
}
