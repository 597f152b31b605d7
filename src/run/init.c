#include "run/init.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/prefault.h"
#include "base/proc.h"
#include "run/command.h"
#include "run/init_internal.h"
#include "run/sandbox.h"

/* `sbx stop`: what SIGTERM does not end gets SIGHUP (shells), and then it is over. */
#define HANG_UP_MS 600
#define STOP_MS 1500

/* Not while the command that was asked for last still starts: it needs the processor more. */
#define IDLE_MS 30

/*
 * A shim to be ready for the next request: it has been forked, and has taken its faults of
 * copied pages, before somebody waits for it.  Where there is none, the request gets a fresh one.
 */
static void make_idle(struct init *in)
{
	_cleanup_fd_ int ours = -1;
	_cleanup_fd_ int theirs = -1;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid == 0)
		_exit(command_wait(&in->context, theirs));
	if (pid < 0)
		return;
	in->idle = pid;
	in->idle_sock = TAKE_FD(ours);
}

/* Its end, or nobody's. */
static void forget_idle(struct init *in)
{
	in->idle = 0;
	cleanup_fd(&in->idle_sock);
}

static int start(struct init *in, struct err *err)
{
	if (init_start(in, err) < 0)
		return -1;
	/* While the supervisor does what is left: for the starter's own command. */
	make_idle(in);
	if (init_await(in, INIT_GO, err) < 0)
		return -1;
	cleanup_fd(&in->supervisor);
	return 0;
}

static pid_t start_shim(struct init *in, int conn, bool inner)
{
	const struct command_order order = {.inner = inner, .commands = (uint32_t)in->n_shims + 1};
	struct command_context context = in->context;
	pid_t pid = in->idle;

	if (pid > 0) {
		bool given = proc_send(in->idle_sock, &order, sizeof(order), &conn, 1) == 0;

		/* Root inside may have stopped all that he could. */
		(void)kill(pid, SIGCONT);
		forget_idle(in);
		if (given)
			return pid;
	}
	context.conn = conn;
	context.inner = inner;
	context.commands = order.commands;
	pid = fork();
	if (pid == 0)
		_exit(command_serve(&context));
	return pid;
}

static void serve(struct init *in, int conn, bool inner)
{
	pid_t pid = start_shim(in, conn, inner);

	in->served = true;
	if (pid < 0)
		return; /* the client sees the end of file, and tries again */
	in->shims = xrealloc(in->shims, (in->n_shims + 1) * sizeof(*in->shims));
	in->shims[in->n_shims++] = pid;
}

/* Only the sandbox's own user may ask from outside. */
static bool is_own(const struct init *in, int conn)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t n = sizeof(peer);

	return getsockopt(conn, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 &&
	       peer.uid == in->sb->plan->self_uid;
}

static void accept_one(struct init *in, int listener, bool inner)
{
	_cleanup_fd_ int conn = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	if (conn >= 0 && (inner || is_own(in, conn)))
		serve(in, conn, inner);
}

static void forget_shim(struct init *in, pid_t pid, int status)
{
	/* Somebody inside ended it.  There is another when a request has been served. */
	if (pid == in->idle)
		forget_idle(in);
	for (size_t i = 0; i < in->n_shims; i++) {
		if (in->shims[i] != pid)
			continue;
		in->shims[i] = in->shims[--in->n_shims];
		if (!WIFEXITED(status) || WEXITSTATUS(status) != COMMAND_QUERY)
			in->idle_since = command_now_ms();
		return;
	}
}

/* Reap all that have ended.  False when there is no child at all. */
static bool reap(struct init *in)
{
	int status = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		forget_shim(in, pid, status);
	return pid == 0;
}

static void begin_stop(struct init *in)
{
	if (in->stop_since)
		return;
	in->stop_since = command_now_ms();
	(void)close(in->sb->listen_fd);
	cleanup_fd(&in->inner);
	/* By the end of its socket; it would be a child to wait for. */
	cleanup_fd(&in->idle_sock);
	/* Not to this one, and the shims have it blocked: they tell their clients the statuses. */
	(void)kill(-1, SIGTERM);
	(void)kill(-1, SIGCONT);
}

static void handle_signals(struct init *in)
{
	struct signalfd_siginfo info;

	while (read(in->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_signo == SIGTERM)
			begin_stop(in);
}

/* How long to wait, in milliseconds: until the linger is over or the stop goes on; -1: for ever. */
static int timeout(const struct init *in)
{
	uint64_t linger = in->sb->plan->linger_ms;
	uint64_t now = command_now_ms();
	uint64_t end;

	if (in->stop_since)
		end = in->stop_since + (in->hung_up ? STOP_MS : HANG_UP_MS);
	else if (in->n_shims > 0 || linger > UINT64_MAX - in->idle_since)
		return -1;
	else
		end = in->idle_since + linger;
	if (end <= now)
		return 0;
	return end - now > 3600000 ? 3600000 : (int)(end - now);
}

/* What is due by the clock.  True when it is time to end. */
static bool check_clock(struct init *in)
{
	uint64_t now = command_now_ms();

	if (in->stop_since && !in->hung_up && now >= in->stop_since + HANG_UP_MS) {
		in->hung_up = true;
		(void)kill(-1, SIGHUP);
	}
	if (in->stop_since)
		return now >= in->stop_since + STOP_MS;
	return timeout(in) == 0 && in->n_shims == 0;
}

/* Wait for one of the fds, or the clock; in the quiet after a request another idle shim is made. */
static int wait_for(struct init *in, struct pollfd *fds, nfds_t n_fds)
{
	const bool wanted = in->stop_since == 0 && in->served && in->idle == 0;
	const int until = timeout(in);
	int n = poll(fds, n_fds, wanted && (until < 0 || until > IDLE_MS) ? IDLE_MS : until);

	if (n == 0 && wanted) {
		in->served = false;
		cleanup_fd(&in->before_v);
		make_idle(in);
	}
	return n < 0 && errno != EINTR ? -1 : 0;
}

static void loop(struct init *in)
{
	for (;;) {
		const bool open = in->stop_since == 0;
		struct pollfd fds[3] = {
			{.fd = in->signals, .events = POLLIN},
			{.fd = open ? in->sb->listen_fd : -1, .events = POLLIN},
			{.fd = in->inner, .events = POLLIN},
		};

		if (wait_for(in, fds, 3) < 0)
			return;
		handle_signals(in);
		if (!reap(in) && in->stop_since)
			return;
		/* What has been asked before the end of the linger is served. */
		if (fds[1].revents && in->stop_since == 0)
			accept_one(in, in->sb->listen_fd, false);
		if (fds[2].revents && in->stop_since == 0)
			accept_one(in, in->inner, true);
		if (check_clock(in))
			return;
	}
}

_Noreturn void init_main(const struct sandbox *sb, int supervisor)
{
	struct init in = {
		.sb = sb,
		.supervisor = supervisor,
		.inner = -1,
		.before_v = -1,
		.signals = -1,
		.idle_sock = -1,
		.context = {.plan = sb->plan,
			    .devpts = -1,
			    .proc = -1,
			    .root_ns = -1,
			    .guard_pid = sb->guard_pid,
			    .started_ms = command_now_ms(),
			    .profile_digest = sb->profile_digest},
	};
	struct init_failure failure = {.word = INIT_FAILED};

	prefault(&sb->memory);
	in.context.filters = &in.filters;
	in.context.memory = &sb->memory;
	if (start(&in, &failure.err) < 0) {
		(void)proc_send(in.supervisor, &failure, sizeof(failure), NULL, 0);
		_exit(1);
	}
	in.idle_since = command_now_ms();
	serve(&in, sb->first_fd, false);
	(void)close(sb->first_fd);
	loop(&in);
	/* The kernel ends everything else with pid 1: pid_namespaces(7). */
	_exit(0);
}
