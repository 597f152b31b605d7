/*
 * client_world — client_run as a job of a small shell on a terminal of its own, against a shim that the test
 * plays.
 */
#ifndef SBX_TESTS_CLIENT_WORLD_H
#define SBX_TESTS_CLIENT_WORLD_H

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

#define CLIENT_UMASK 027

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

static inline int setup(void **state)
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

static inline int teardown(void **state)
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

static inline void set_stdio(const struct world *w, const struct start *s, int messages)
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
static inline bool is_as_before(const sigset_t *mask, const struct sigaction *old)
{
	struct sigaction now;
	sigset_t now_mask;

	if (umask(CLIENT_UMASK) != CLIENT_UMASK)
		return false;
	(void)sigprocmask(SIG_BLOCK, NULL, &now_mask);
	for (int sig = 1; sig < 32; sig++) {
		(void)sigaction(sig, NULL, &now);
		if (now.sa_handler != old[sig].sa_handler ||
		    sigismember(mask, sig) != sigismember(&now_mask, sig))
			return false;
	}
	return true;
}

static inline _Noreturn void be_client(const struct world *w, const struct start *s,
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
	(void)umask(CLIENT_UMASK);
	(void)sigprocmask(SIG_BLOCK, NULL, &mask);
	for (int sig = 1; sig < 32; sig++)
		(void)sigaction(sig, NULL, &old[sig]);
	r = client_run(w->client_sock, s->request ? s->request : &plain, &status, &err);
	if (!is_as_before(&mask, old))
		_exit(98);
	if (r == 0)
		_exit(status >= 0 && status <= 255 ? status : 95);
	/* Here, for the way to the test mends it as well. */
	if (err.kind < ERR_FAILED || err.kind > ERR_NOT_FOUND || err.msg[sizeof(err.msg) - 1] ||
	    err.hint[sizeof(err.hint) - 1])
		_exit(96);
	err_send(&err, ends->errors);
	_exit(status == -7 ? STATUS_FAILED : 97);
}

struct report {
	pid_t pid;
	int status;
};

static inline void tell_status(int report)
{
	struct report r = {0};

	while ((r.pid = waitpid(-1, &r.status, WNOHANG | WUNTRACED | WCONTINUED)) > 0)
		(void)!write(report, &r, sizeof(r));
}

static inline void obey(const struct world *w, pid_t job, char order)
{
	if (order == 'f' || order == 'F')
		(void)tcsetpgrp(w->outer.slave, job);
	if (order == 'b' || order == 's')
		(void)tcsetpgrp(w->outer.slave, getpgrp());
	if (order == 'f' || order == 'b')
		(void)kill(-job, SIGCONT);
}

static inline _Noreturn void be_shell(const struct world *w, pid_t job, const struct ends *ends)
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

static inline _Noreturn void be_child(struct world *w, const struct start *s,
				      const struct ends *ends)
{
	pid_t pids[2] = {getpid(), 0};

	(void)alarm(60);
	(void)setsid();
	(void)ioctl(w->outer.slave, TIOCSCTTY, 0);
	(void)signal(SIGPIPE, SIG_DFL);
	/* Another group has the terminal. */
	if (s->leader && s->background) {
		pids[1] = fork();
		if (pids[1] == 0)
			for (;;)
				(void)pause();
		(void)setpgid(pids[1], pids[1]);
		(void)tcsetpgrp(w->outer.slave, pids[1]);
		pids[1] = 0;
	}
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

static inline void make_pipe(int *ret_read, int *ret_write)
{
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*ret_read = ends[0];
	*ret_write = ends[1];
}

static inline void start(struct world *w, const struct start *s)
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

static inline void order(const struct world *w, char c)
{
	assert_int_equal(write(w->orders, &c, 1), 1);
}

/* The next change of the client, as the shell sees it. */
static inline int next_status(struct world *w)
{
	struct report r;

	for (;;) {
		assert_int_equal(pty_read(w->reports, (char *)&r, sizeof(r)), sizeof(r));
		if (r.pid == w->client)
			return r.status;
		w->other_stopped = WIFSTOPPED(r.status);
	}
}

static inline void expect_exit(struct world *w, int wanted)
{
	int status = next_status(w);

	while (WIFCONTINUED(status))
		status = next_status(w);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != wanted)
		fail_msg("the client ended with %#x, not %d", (unsigned)status, wanted);
}

static inline void expect_failure(struct world *w, struct err *err)
{
	expect_exit(w, STATUS_FAILED);
	assert_true(pty_readable(w->errors, PTY_LIMIT_MS));
	*err = (struct err){0};
	assert_int_equal(err_receive(w->errors, err), -1);
}

/* The next message of the client is of this type. */
static inline struct proto_msg expect(const struct world *w, uint32_t type)
{
	struct proto_msg msg = {0};
	struct err err = {0};

	assert_true(pty_readable(w->sock, PTY_LIMIT_MS));
	assert_int_equal(proto_recv(w->sock, &msg, NULL, NULL, &err), 1);
	assert_int_equal(msg.type, type);
	return msg;
}

static inline void say_number(const struct world *w, enum proto_type type, int number)
{
	struct proto_msg msg = {.number = number};

	assert_int_equal(proto_send(w->sock, type, &msg, NULL, 0), 0);
}

/* Take the request, and drop what came with it. */
static inline struct proto_msg take_request(const struct world *w)
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

static inline void begin(struct world *w)
{
	struct proto_msg msg = {0};

	(void)take_request(w);
	say_number(w, PROTO_TAKEN, 0);
	assert_int_equal(proto_send(w->sock, PROTO_STARTED, &msg, NULL, 0), 0);
}

/* With the pty inside; returns when the client has taken the terminal, unless it is not to. */
static inline void begin_on_terminal(struct world *w)
{
	struct proto_msg msg = {0};

	(void)take_request(w);
	say_number(w, PROTO_TAKEN, 0);
	assert_int_equal(proto_send(w->sock, PROTO_STARTED, &msg, &w->inner.master, 1), 0);
	pty_close(&w->inner.master);
}

/* What is typed comes through as it is: the client reads, in raw mode. */
static inline void expect_typed(struct world *w)
{
	assert_true(pty_raw(w->outer.master));
	pty_make_raw(w->inner.slave);
	pty_write(w->outer.master, "\003?");
	pty_expect(w->inner.slave, "\003?");
}

/* The first output is shown after raw mode is set, and tells that it is. */
static inline void expect_raw(struct world *w)
{
	pty_write(w->inner.slave, "!");
	pty_expect(w->outer.master, "!");
	expect_typed(w);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
