#include "run/init.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/prefault.h"
#include "base/proc.h"
#include "run/command.h"
#include "run/mount.h"
#include "run/net.h"
#include "run/privs.h"
#include "run/sandbox.h"
#include "run/source.h"
#include "run/title.h"

/* Where sudo finds pid 1 (run/sudo.c). */
#define INNER_SOCKET "/run/sbx/sock"
#define BACKLOG 128

/* `sbx stop`: what SIGTERM does not end gets SIGHUP (shells), and then it is over. */
#define HANG_UP_MS 600
#define STOP_MS 1500

/* Not while the command that was asked for last still starts: it needs the processor more. */
#define IDLE_MS 30

struct init {
	const struct sandbox *sb;
	int supervisor;
	int inner;
	int signals;
	struct seccomp_filters filters;
	struct command_context context; /* but conn, inner and commands */
	pid_t *shims;
	size_t n_shims;
	pid_t idle; /* a shim that waits for an order, or 0 */
	int idle_sock;
	bool served;         /* since the last one was made */
	uint64_t idle_since; /* when the last command ended */
	uint64_t stop_since; /* 0: not stopping */
	bool hung_up;
};

static int say(const struct init *in, enum init_word word)
{
	return proc_send(in->supervisor, &word, sizeof(word), NULL, 0);
}

/* Wait for the supervisor's word.  When it is gone so is everything. */
static int await(const struct init *in, enum init_word word, struct err *err)
{
	enum init_word got = 0;
	ssize_t n = proc_recv(in->supervisor, &got, sizeof(got), NULL, NULL);

	if (n != (ssize_t)sizeof(got) || got != word)
		return err_set(err, "the supervisor went away");
	return 0;
}

/* In U, with the namespaces that U owns. */
static int build(const struct init *in, struct err *err)
{
	const struct plan *plan = in->sb->plan;

	if (plan->net != NET_HOST)
		net_prepare(plan);
	if (sethostname(plan->name, strlen(plan->name)) < 0)
		return err_errno(err, errno, "cannot set the host name '%s'", plan->name);
	if (mount_all(plan, in->sb->sources, err) < 0)
		return -1;
	return mount_enter(err);
}

static int write_self_map(pid_t pid, const char *file, uint32_t outside, struct err *err)
{
	char path[64];
	char line[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	(void)snprintf(line, sizeof(line), "0 %u 1", (unsigned)outside);
	if (fs_write_knob(path, line) < 0)
		return err_errno(err, errno, "cannot write '%s'", path);
	return 0;
}

/*
 * Where there is one id, and it is the user's: a user namespace below V in which it is 0.  A child
 * makes it and waits; the fd keeps it when the child is gone.
 */
static int make_root_ns(const struct plan *plan, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int made_read = -1;
	_cleanup_fd_ int made_write = -1;
	int ends[2];
	char path[64];
	char byte;
	pid_t pid;
	int r = -1;
	int status;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	made_read = ends[0];
	made_write = ends[1];
	pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot make the namespace of root");
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) < 0 || write(made_write, "1", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	cleanup_fd(&made_write);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	if (read(made_read, &byte, 1) != 1)
		(void)err_set(err, "cannot make the namespace of root");
	else if (write_self_map(pid, "uid_map", plan->self_uid, err) == 0 &&
		 write_self_map(pid, "gid_map", plan->self_gid, err) == 0)
		r = open(path, O_RDONLY | O_CLOEXEC);
	(void)kill(pid, SIGKILL);
	(void)proc_wait(pid, &status, NULL);
	if (r < 0)
		return err_prefix(err, "cannot make root's own user namespace");
	*ret_fd = r;
	return 0;
}

/* Into V, whose map the supervisor writes. */
static int enter_v(struct init *in, struct err *err)
{
	const struct plan *plan = in->sb->plan;

	/* From here on the mounts are locked: they belong to U. */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return err_errno(err, errno, "cannot make the inner user namespace");
	if (say(in, INIT_IN_V) < 0)
		return err_errno(err, errno, "cannot talk to the supervisor");
	/* Meanwhile. */
	if (seccomp_make(plan, &in->filters, err) < 0)
		return -1;
	if (await(in, INIT_MAPPED, err) < 0)
		return err_prefix(err, "cannot go into the inner user namespace");
	if (plan->rung == RUNG_SINGLE && plan->self_uid != 0 &&
	    make_root_ns(plan, &in->context.root_ns, err) < 0)
		return -1;
	if (plan->rung == RUNG_SUBIDS && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_errno(err, errno, "cannot become root of the sandbox");
	/* A change of ids clears both.  Not dumpable: nothing inside may look into this memory, or
	 * into that of a shim or a command before its exec, which are copies of it. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_errno(err, errno, "cannot protect pid 1");
	return privs_bound(err);
}

static int listen_inside(struct init *in, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = INNER_SOCKET};

	mode_t mask;
	int r = -1;

	in->inner = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/* bind(2) gives the file the mode of the socket, less the umask. */
	mask = umask(0);
	if (in->inner >= 0 && fchmod(in->inner, 0666) == 0)
		r = bind(in->inner, (const struct sockaddr *)&address, sizeof(address));
	(void)umask(mask);
	if (r < 0 || listen(in->inner, BACKLOG) < 0)
		return err_errno(err, errno, "cannot listen at '%s'", INNER_SOCKET);
	return 0;
}

/* All but what is pid 1's own, and the sources of its mounts. */
static void close_others(const struct init *in)
{
	const struct sandbox *sb = in->sb;
	size_t n = 0;
	_cleanup_free_ int *keep = xcalloc(sb->sources->n + 4, sizeof(*keep));

	keep[n++] = in->supervisor;
	keep[n++] = sb->listen_fd;
	keep[n++] = sb->first_fd;
	keep[n++] = sb->lock_fd;
	for (size_t i = 0; i < sb->sources->n; i++)
		keep[n++] = sb->sources->step[i];
	proc_close_fds_except(STDERR_FILENO + 1, keep, n);
}

static void close_sources(const struct sources *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->step[i] >= 0)
			(void)close(s->step[i]);
}

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
	const struct sandbox *sb = in->sb;
	sigset_t wanted;

	close_others(in);
	title_set(&sb->title, "sbx-init", "sbx-init");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGCHLD);
	(void)sigaddset(&wanted, SIGTERM);
	in->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (in->signals < 0)
		return err_errno(err, errno, "cannot wait for signals");
	if (build(in, err) < 0)
		return -1;
	close_sources(sb->sources);
	if (enter_v(in, err) < 0 || listen_inside(in, err) < 0)
		return -1;
	in->context.devpts = open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
	in->context.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (in->context.devpts < 0 || in->context.proc < 0)
		return err_errno(err, errno,
				 "cannot open the sandbox's own '/dev/pts' and '/proc'");
	if (say(in, INIT_READY) < 0)
		return -1;
	/* While the supervisor does what is left: for the starter's own command. */
	make_idle(in);
	if (await(in, INIT_GO, err) < 0)
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
	struct {
		enum init_word word;
		struct err err;
	} failure = {.word = INIT_FAILED};

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
