#include "run/command.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/prefault.h"
#include "base/proc.h"
#include "base/str.h"
#include "plan/plan.h"
#include "run/proto.h"

/* A command whose client went away is asked to end, and after this it is ended. */
#define GRACE_MS 500

#define SHIM_NAME "sbx-shim"
#define INIT_NAME \
	"sbx-init" /* run/init.c: pid 1's, and of what it forks until that says who it is */

struct shim {
	const struct command_context *context;
	struct proto_run run;
	struct proto_body body;
	int stdio[3];
	int master;
	int slave;
	int signals; /* signalfd: SIGCHLD */
	pid_t pid;
};

uint64_t command_now_ms(void)
{
	struct timespec t = {0};

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void reply(const struct command_context *context, enum proto_type type, int32_t number)
{
	struct proto_msg msg = {.number = number};

	/* A client that went away is noticed by the end of file. */
	(void)proto_send(context->conn, type, &msg, NULL, 0);
}

static void copy_digest(const struct command_context *context, struct proto_info *ret)
{
	(void)snprintf(ret->profile_digest, sizeof(ret->profile_digest), "%s",
		       context->profile_digest);
}

/* With the digest of the profile that rules here: the client may have read a newer one. */
static void take(const struct command_context *context)
{
	struct proto_msg msg = {0};

	copy_digest(context, &msg.u.info);
	(void)proto_send(context->conn, PROTO_TAKEN, &msg, NULL, 0);
}

static void reply_failed(const struct command_context *context, const struct err *err)
{
	struct proto_msg msg = {.u.err = *err};

	(void)proto_send(context->conn, PROTO_FAILED, &msg, NULL, 0);
}

/* sbx's own are pid 1 and the shims; whoever takes a shim's name is not counted. */
static bool is_own(int proc, const char *pid)
{
	_cleanup_buf_ struct buf name = {0};
	char path[300];

	if (str_eq(pid, "1"))
		return true;
	(void)snprintf(path, sizeof(path), "%s/comm", pid);
	if (fs_read_at(proc, path, 64, &name, NULL) < 0)
		return false;
	/* A shim that was forked just now still has the name of pid 1. */
	return name.p && (str_eq(name.p, SHIM_NAME "\n") || str_eq(name.p, INIT_NAME "\n"));
}

static uint32_t count_processes(int proc)
{
	_cleanup_fd_ int fd = openat(proc, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;
	uint32_t n = 0;

	if (!d)
		return 0;
	(void)TAKE_FD(fd);
	while ((entry = readdir(d)) != NULL)
		n += entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		     !is_own(proc, entry->d_name);
	return n;
}

static int serve_info(const struct command_context *context)
{
	struct proto_msg msg = {0};
	struct proto_info *info = &msg.u.info;

	info->guard_pid = context->guard_pid;
	info->commands = context->commands - 1;
	info->processes = count_processes(context->proc);
	info->uptime_ms = command_now_ms() - context->started_ms;
	copy_digest(context, info);
	(void)proto_send(context->conn, PROTO_INFO_IS, &msg, NULL, 0);
	return COMMAND_QUERY;
}

static int serve_stop(const struct command_context *context)
{
	reply(context, PROTO_TAKEN, 0);
	(void)kill(1, SIGTERM);
	return COMMAND_QUERY;
}

/* The long part of the request.  It may be anything: only this shim waits or fails. */
static int read_body(struct arena *a, int fd, struct proto_body *ret_body, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t size;
	size_t n = 0;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 0 ||
	    st.st_size > PROTO_BODY_MAX)
		return err_set(err, "cannot read the request: it is no request");
	size = (size_t)st.st_size;
	text = xmalloc(size + 1);
	while (n < size) {
		ssize_t got = pread(fd, text + n, size - n, (off_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return err_set(err, "cannot read the request: it was cut short");
		n += (size_t)got;
	}
	return proto_body_decode(a, text, size, ret_body, err);
}

static bool is_folder(int fd)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

/* From a folder of the host's, ".." leads to all others. */
static int refuse_folder(int fd, struct err *err)
{
	(void)err_set(err, "cannot pass a folder as file descriptor %d: it would lead out", fd);
	return err_hint(err, "name the folder under [mounts] in sbx.ini instead");
}

/* The standard streams, out of what came along; those that are terminals wait for the pty. */
static int take_stdio(struct shim *s, const int *fds, size_t n, struct err *err)
{
	size_t next = 0;

	for (int i = 0; i < 3; i++) {
		unsigned bit = 1u << i;

		if (s->run.terminal & bit)
			continue;
		if (s->run.closed & bit)
			s->stdio[i] = open("/dev/null", O_RDWR | O_CLOEXEC | O_NOCTTY);
		else if (next < n)
			s->stdio[i] = fcntl(fds[next++], F_DUPFD_CLOEXEC, 3);
		if (is_folder(s->stdio[i]))
			return refuse_folder(i, err);
		if (s->stdio[i] < 0)
			return err_set(err, "cannot read the request: a stream is missing");
	}
	if (next != n)
		return err_set(err, "cannot read the request: it has too many files");
	return 0;
}

static uint32_t owner_of(const struct shim *s)
{
	const struct plan *plan = s->context->plan;

	if (s->run.user == PROTO_UID)
		return s->run.uid;
	/* With one id root's is not of this namespace. */
	return s->run.user == PROTO_ROOT && s->context->root_ns < 0 ? 0 : plan->self_uid;
}

/* A pty of the sandbox's own devpts, by an fd that nothing inside can turn elsewhere. */
static int open_pty(struct shim *s, struct err *err)
{
	const struct winsize size = {.ws_row = s->run.rows, .ws_col = s->run.cols};
	int unlock = 0;

	if (s->run.terminal == 0)
		return 0;
	s->master = openat(s->context->devpts, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->master < 0 || ioctl(s->master, TIOCSPTLCK, &unlock) < 0)
		return err_errno(err, errno, "cannot make a terminal");
	s->slave = ioctl(s->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (s->slave < 0)
		return err_errno(err, errno, "cannot open the terminal");
	(void)ioctl(s->slave, TIOCSWINSZ, &size);
	/* The group stays "tty", which devpts gave it. */
	(void)!fchown(s->slave, owner_of(s), (gid_t)-1);
	if (ioctl(s->slave, TIOCSCTTY, 0) < 0)
		return err_errno(err, errno, "cannot take the terminal");
	for (int i = 0; i < 3; i++)
		if (s->run.terminal & (1u << i))
			s->stdio[i] = fcntl(s->slave, F_DUPFD_CLOEXEC, 3);
	return 0;
}

static int check_user(const struct shim *s, struct err *err)
{
	if (s->run.user > PROTO_UID)
		return err_set(err, "cannot read the request: it has no such user");
	if (s->run.user == PROTO_UID && s->context->plan->rung == RUNG_SINGLE && s->run.uid != 0 &&
	    s->run.uid != s->context->plan->self_uid) {
		(void)err_set(err, "cannot become user %u: there is only one id here",
			      (unsigned)s->run.uid);
		return err_hint(err, "with subordinate ids there are many: `sbx doctor` says how");
	}
	return 0;
}

static int become_command(void *arg)
{
	return command_exec(arg);
}

/* Start the command, and return when its exec worked. */
static int start(struct arena *a, struct shim *s, struct err *err)
{
	struct command_exec c = {
		.context = s->context,
		.run = &s->run,
		.body = &s->body,
		.stdio = {s->stdio[0], s->stdio[1], s->stdio[2]},
		.terminal = s->slave,
		.arena = a,
	};
	int status;

	s->pid = proc_vfork(become_command, &c);
	if (s->pid < 0)
		return err_errno(err, errno, "cannot start the command");
	if (c.err.kind == ERR_NONE)
		return 0;
	*err = c.err;
	(void)proc_wait(s->pid, &status, NULL);
	return -1;
}

static int take_request(struct arena *a, struct shim *s, const int *fds, size_t n, struct err *err)
{
	if (n < 1)
		return err_set(err, "cannot read the request: it has no body");
	if (read_body(a, fds[0], &s->body, err) < 0 || check_user(s, err) < 0 ||
	    take_stdio(s, fds + 1, n - 1, err) < 0 || open_pty(s, err) < 0)
		return -1;
	return start(a, s, err);
}

/* What a client asks while its command runs. */
static void obey(const struct shim *s, const struct proto_msg *msg)
{
	const struct winsize size = {.ws_row = msg->u.size.rows, .ws_col = msg->u.size.cols};

	switch (msg->type) {
	case PROTO_SIGNAL:
		if (msg->number > 0 && msg->number <= SIGRTMAX)
			(void)kill(-s->pid, msg->number);
		break;
	case PROTO_SIZE:
		if (s->slave >= 0)
			(void)ioctl(s->slave, TIOCSWINSZ, &size);
		break;
	case PROTO_CONT:
		if (s->slave >= 0 && msg->foreground)
			(void)tcsetpgrp(s->slave, s->pid);
		(void)kill(-s->pid, SIGCONT);
		break;
	default:
		break;
	}
}

/* True when the command has ended, and that was told. */
static bool reap(const struct shim *s)
{
	struct signalfd_siginfo info;
	int status = 0;
	pid_t pid;

	(void)!read(s->signals, &info, sizeof(info));
	while ((pid = waitpid(s->pid, &status, WNOHANG | WUNTRACED)) > 0) {
		if (!WIFSTOPPED(status)) {
			reply(s->context, PROTO_EXITED, proc_exit_status(status));
			return true;
		}
		reply(s->context, PROTO_STOPPED, WSTOPSIG(status));
	}
	return false;
}

/* The client went away: hang up, as a terminal does, and then end what does not go. */
static void hang_up(const struct shim *s)
{
	struct pollfd fd = {.fd = s->signals, .events = POLLIN};
	const uint64_t end = command_now_ms() + GRACE_MS;

	(void)kill(-s->pid, SIGHUP);
	(void)kill(-s->pid, SIGTERM);
	(void)kill(-s->pid, SIGCONT);
	for (uint64_t now = command_now_ms(); now < end; now = command_now_ms()) {
		if (poll(&fd, 1, (int)(end - now)) > 0 && reap(s))
			return;
	}
	(void)kill(-s->pid, SIGKILL);
}

static void supervise(const struct shim *s)
{
	struct pollfd fds[2] = {{.fd = s->signals, .events = POLLIN},
				{.fd = s->context->conn, .events = POLLIN}};

	for (;;) {
		struct proto_msg msg;
		struct err err = {0};

		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[0].revents && reap(s))
			return;
		if (!fds[1].revents)
			continue;
		if (proto_recv(s->context->conn, &msg, NULL, NULL, &err) <= 0)
			break;
		obey(s, &msg);
	}
	hang_up(s);
}

static void shim_done(struct shim *s)
{
	for (int i = 0; i < 3; i++)
		cleanup_fd(&s->stdio[i]);
	cleanup_fd(&s->master);
	cleanup_fd(&s->slave);
	cleanup_fd(&s->signals);
}

static int serve_run(const struct command_context *context, const struct proto_msg *msg,
		     const int *fds, size_t n)
{
	__attribute__((cleanup(shim_done))) struct shim s = {
		.context = context,
		.run = msg->u.run,
		.stdio = {-1, -1, -1},
		.master = -1,
		.slave = -1,
		.signals = -1,
	};
	_cleanup_arena_ struct arena *a = arena_new();
	struct err err = {0};
	sigset_t child;
	int r;

	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	s.signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	take(context);
	r = s.signals < 0 ? -1 : take_request(a, &s, fds, n, &err);
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
	if (r < 0) {
		reply_failed(context, &err);
		return COMMAND_DONE;
	}
	if (s.master >= 0)
		proto_answer_fd(context->conn, PROTO_STARTED, s.master);
	else
		reply(context, PROTO_STARTED, 0);
	/* They are the command's alone: a pipe ends when it closes its end, a terminal when the
	 * client closes the master. */
	for (int i = 0; i < 3; i++)
		cleanup_fd(&s.stdio[i]);
	cleanup_fd(&s.master);
	supervise(&s);
	return COMMAND_DONE;
}

static int refuse(const struct command_context *context)
{
	struct err err = {0};

	(void)err_set(&err, "cannot read the request: it is none that can be asked here");
	reply_failed(context, &err);
	return COMMAND_QUERY;
}

static int serve(const struct command_context *context)
{
	struct proto_msg msg;
	struct err err = {0};
	int fds[PROC_MAX_FDS];
	size_t n = 0;
	int r;

	r = proto_recv(context->conn, &msg, fds, &n, &err);
	if (r <= 0) {
		if (r < 0)
			reply_failed(context, &err);
		return COMMAND_QUERY;
	}
	if (msg.type == PROTO_RUN)
		return serve_run(context, &msg, fds, n);
	if (msg.type == PROTO_INFO && !context->inner)
		return serve_info(context);
	if (msg.type == PROTO_STOP && !context->inner)
		return serve_stop(context);
	if (msg.type == PROTO_SHOW_ROOT && !context->inner)
		return command_root(context);
	if (msg.type == PROTO_DIAL && !context->inner)
		return command_dial(context, &msg);
	return refuse(context);
}

/* `only`: the one descriptor that this shim has beyond the context's. */
static void settle(const struct command_context *context, int only)
{
	const int keep[] = {only, context->devpts, context->proc, context->root_ns};

	if (context->memory)
		prefault(context->memory);
	(void)prctl(PR_SET_NAME, SHIM_NAME);
	proc_close_fds_except(STDERR_FILENO + 1, keep, sizeof(keep) / sizeof(keep[0]));
	(void)setsid();
}

int command_serve(const struct command_context *context)
{
	settle(context, context->conn);
	return serve(context);
}

int command_wait(const struct command_context *context, int sock)
{
	struct command_context c = *context;
	struct command_order order = {0};
	int fds[PROC_MAX_FDS];
	size_t n = 0;

	settle(context, sock);
	if (proc_recv(sock, &order, sizeof(order), fds, &n) != (ssize_t)sizeof(order) || n != 1)
		return COMMAND_QUERY;
	(void)close(sock);
	c.conn = fds[0];
	c.inner = order.inner;
	c.commands = order.commands;
	return serve(&c);
}
