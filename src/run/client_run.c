/*
 * A command inside from its caller's side: the request, and then signals, stops and the terminal
 * both ways, so that it looks like a child of the caller's shell.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/proc.h"
#include "base/str.h"
#include "run/client.h"
#include "run/proto.h"
#include "run/terminal.h"

/* The sandbox went away under the command, which therefore was killed: 128 + SIGKILL. */
#define STATUS_LOST 137

#define STATUS_INTERRUPTED (128 + SIGINT)

/* Passed on: the command's answer counts. */
static const int forwarded[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP};

/* Meant for this process alone, which dies of them, but not before the terminal is as it was. */
static const int deadly[] = {SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU};

/* Ignored meanwhile.  The terminal's: this process reads only where it may, and writes in the
 * background, too, as the command would. */
static const int ignored[] = {SIGPIPE, SIGTTIN, SIGTTOU};

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

struct signals {
	bool set;
	int fd;
	sigset_t taken, old_mask;
	struct sigaction old[LENGTH(ignored)];
};

struct run {
	int sock;                   /* borrowed */
	const char *profile_digest; /* what the caller has read, or NULL */
	struct signals signals;
	struct terminal terminal;
	bool taken, started, ended, lost;
	bool stop_alone;   /* somebody stops this process, not its job */
	bool left_stopped; /* the command is stopped and this process is not */
	bool cut;          /* the rest of the output is not waited for */
	int dies_of;       /* a signal, or 0 */
	uint32_t closed;   /* bit N: fd N (0, 1, 2) is closed */
	int status;
};

static bool contains(const int *list, size_t n, int sig)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == sig)
			return true;
	return false;
}

/* What the caller ignores (nohup) stays ignored: it would have been for the command as well. */
static void add_signals(sigset_t *set, const int *list, size_t n)
{
	struct sigaction now;

	for (size_t i = 0; i < n; i++)
		if (sigaction(list[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			sigaddset(set, list[i]);
}

static int signals_take(struct signals *s, struct err *err)
{
	const struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigemptyset(&s->taken);
	add_signals(&s->taken, forwarded, LENGTH(forwarded));
	add_signals(&s->taken, deadly, LENGTH(deadly));
	sigaddset(&s->taken, SIGWINCH);
	sigaddset(&s->taken, SIGCONT);
	s->fd = signalfd(-1, &s->taken, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->fd < 0)
		return err_errno(err, errno, "cannot watch for signals");
	(void)sigprocmask(SIG_BLOCK, &s->taken, &s->old_mask);
	for (size_t i = 0; i < LENGTH(ignored); i++)
		(void)sigaction(ignored[i], &ignore, &s->old[i]);
	s->set = true;
	return 0;
}

static void signals_restore(struct signals *s)
{
	if (!s->set)
		return;
	for (size_t i = 0; i < LENGTH(ignored); i++)
		(void)sigaction(ignored[i], &s->old[i], NULL);
	cleanup_fd(&s->fd);
	(void)sigprocmask(SIG_SETMASK, &s->old_mask, NULL);
	s->set = false;
}

/* What cannot be sent is for nobody: the end of file follows. */
static void tell(const struct run *r, enum proto_type type, struct proto_msg *msg)
{
	if (proto_send(r->sock, type, msg, NULL, 0) < 0)
		log_debug("the sandbox no longer listens: %s", strerror(errno));
}

static void tell_signal(const struct run *r, int sig)
{
	struct proto_msg msg = {.number = sig};

	tell(r, PROTO_SIGNAL, &msg);
}

static void tell_size(const struct run *r)
{
	struct proto_msg msg = {0};

	if (!r->terminal.bits)
		return;
	terminal_size(&r->terminal, &msg.u.size.rows, &msg.u.size.cols);
	tell(r, PROTO_SIZE, &msg);
}

/* ---- the request ---- */

/* The long part of the request, in memory.  Not sealed: the kernel waits for milliseconds until nobody
 * else can have the pages, and the shim reads it once. */
static int make_body(const struct client_request *request, int *ret_fd, struct err *err)
{
	const struct proto_body body = {
		.argv = request->argv, .env = request->env, .cwd = request->cwd};
	_cleanup_buf_ struct buf b = {0};
	_cleanup_fd_ int fd = -1;

	if (proto_body_encode(&body, &b, err) < 0)
		return -1;
	fd = memfd_create("sbx-request", MFD_CLOEXEC);
	if (fd < 0 || fs_write_all(fd, b.p, b.len) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(err, errno, "cannot pass the command to the sandbox");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void set_user(const struct client_request *request, struct proto_run *run)
{
	run->user = request->as_root ? PROTO_ROOT : PROTO_SELF;
	if (!request->ids)
		return;
	run->user = PROTO_UID;
	run->uid = request->ids->uid;
	run->gid = request->ids->gid;
}

static int went_away(struct err *err)
{
	return err_errno(err, EAGAIN, "the sandbox ended before it took the command");
}

static int send_request(struct run *r, const struct client_request *request, struct err *err)
{
	struct proto_msg msg = {.u.run = {.terminal = r->terminal.bits, .closed = r->closed}};
	_cleanup_fd_ int body_fd = -1;
	int fds[1 + STDERR_FILENO + 1];
	size_t n = 1;

	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (!((r->terminal.bits | r->closed) & 1U << fd))
			fds[n++] = fd;
	if (make_body(request, &body_fd, err) < 0)
		return -1;
	fds[0] = body_fd;
	set_user(request, &msg.u.run);
	msg.u.run.strict = request->strict_cwd;
	msg.u.run.umask = umask(0);
	(void)umask(msg.u.run.umask);
	terminal_size(&r->terminal, &msg.u.run.rows, &msg.u.run.cols);
	if (proto_send(r->sock, PROTO_RUN, &msg, fds, n) == 0)
		return 0;
	if (errno == EPIPE || errno == ECONNRESET)
		return went_away(err);
	return err_errno(err, errno, "cannot pass the command to the sandbox");
}

/* ---- stop and continue ---- */

/*
 * Stop as a job does, and come back when it is continued.  False: it did not stop, for nobody
 * could continue it (an orphaned process group, setpgid(2)), or because it is ignored.
 */
static bool stop_here(const struct run *r, int sig)
{
	const struct timespec at_once = {0};
	struct sigaction own;
	sigset_t stop, cont;

	sigemptyset(&stop);
	sigaddset(&stop, sig);
	sigemptyset(&cont);
	sigaddset(&cont, SIGCONT);
	for (size_t i = 0; i < LENGTH(ignored); i++)
		if (ignored[i] == sig)
			(void)sigaction(sig, &r->signals.old[i], &own);
	/* The whole job, for the shell counts it as stopped only then. */
	(void)kill(r->stop_alone ? getpid() : 0, sig);
	(void)sigprocmask(SIG_UNBLOCK, &stop, NULL);
	(void)sigprocmask(SIG_BLOCK, &r->signals.taken, NULL);
	if (contains(ignored, LENGTH(ignored), sig))
		(void)sigaction(sig, &own, NULL);
	/* SIGCONT continues a process even where it is blocked; then it stays pending. */
	return sigtimedwait(&cont, NULL, &at_once) == SIGCONT;
}

/* The command was stopped: so is its caller's job. */
static void stop_with_command(struct run *r, int number)
{
	struct proto_msg msg = {0};
	bool stopped;

	/* Stopped by somebody inside, who can continue it as well, but not this process: what runs
	 * inside must not stop the caller's job (his timeout(1), his make) by stopping itself. */
	if (r->terminal.first < 0 && !r->stop_alone) {
		r->left_stopped = true;
		return;
	}
	/* In the background nobody has typed a Ctrl-Z. */
	if (r->terminal.first >= 0 && !r->terminal.foreground)
		r->stop_alone = true;
	terminal_flush(&r->terminal);
	terminal_restore(&r->terminal);
	stopped = stop_here(r, number == SIGTTIN || number == SIGTTOU ? number : SIGTSTP);
	r->stop_alone = false;
	(void)terminal_look(&r->terminal);
	tell_size(r);
	/* Where it could not be stopped it gets the terminal in any case, or it would be stopped
	 * again at once, and for ever. */
	msg.foreground = r->terminal.foreground || !stopped;
	tell(r, PROTO_CONT, &msg);
}

static void continued(struct run *r)
{
	struct proto_msg msg = {.foreground = 1};

	/* Whoever had the terminal meanwhile has set it as he liked. */
	terminal_forget(&r->terminal);
	if (r->left_stopped)
		tell(r, PROTO_CONT, &msg);
	r->left_stopped = false;
}

/* ---- what comes in ---- */

static void pass_on(struct run *r, int sig)
{
	if (sig == SIGTSTP) {
		r->stop_alone = true;
		tell_signal(r, sig);
	} else if (!r->taken) {
		r->dies_of = sig;
	} else if (r->ended) {
		r->cut = true;
	} else {
		tell_signal(r, sig);
	}
}

static void take_signals(struct run *r)
{
	struct signalfd_siginfo info;

	while (read(r->signals.fd, &info, sizeof(info)) == sizeof(info)) {
		int sig = (int)info.ssi_signo;

		if (contains(deadly, LENGTH(deadly), sig))
			r->dies_of = sig;
		else if (sig == SIGWINCH)
			tell_size(r);
		else if (sig == SIGCONT)
			continued(r);
		else
			pass_on(r, sig);
	}
}

/* The other side may be anything: root of the sandbox can reach into its processes. */
static int failed(const struct err *why, struct err *err)
{
	struct err copy = *why;

	copy.msg[ERR_MSG_SIZE - 1] = '\0';
	copy.hint[ERR_HINT_SIZE - 1] = '\0';
	if (copy.kind != ERR_USAGE && copy.kind != ERR_NOT_EXEC && copy.kind != ERR_NOT_FOUND)
		copy.kind = ERR_FAILED;
	/* For the caller that one means: start the sandbox again. */
	if (copy.errnum == EAGAIN)
		copy.errnum = 0;
	if (err)
		*err = copy;
	return -1;
}

static void taken(struct run *r, const struct proto_info *info)
{
	r->taken = true;
	if (r->profile_digest && info->profile_digest[0] &&
	    strncmp(info->profile_digest, r->profile_digest, sizeof(info->profile_digest)) != 0)
		log_warn(
			"the sandbox runs by what sbx.ini said when it started; `sbx stop` ends it, "
			"and the next start goes by what it says now");
}

static void ended(struct run *r, int status)
{
	r->status = status;
	r->ended = true;
	terminal_end(&r->terminal);
}

static int lost(struct run *r, struct err *err)
{
	if (!r->taken)
		return went_away(err);
	r->lost = true;
	ended(r, STATUS_LOST);
	return 0;
}

static int started(struct run *r, int *fds, size_t n, struct err *err)
{
	if (n != (r->terminal.bits ? 1 : 0)) {
		for (size_t i = 0; i < n; i++)
			(void)close(fds[i]);
		return err_errno(err, EPROTO, "cannot talk to the sandbox");
	}
	r->started = true;
	if (n == 0)
		return 0;
	terminal_attach(&r->terminal, fds[0]);
	(void)terminal_look(&r->terminal);
	return 0;
}

static int take_message(struct run *r, struct err *err)
{
	int fds[PROC_MAX_FDS];
	struct proto_msg msg;
	size_t n = 0;
	int got = proto_recv(r->sock, &msg, fds, &n, err);

	if (got <= 0)
		return got < 0 ? -1 : lost(r, err);
	if (msg.type == PROTO_STARTED && !r->started)
		return started(r, fds, n, err);
	for (size_t i = 0; i < n; i++)
		(void)close(fds[i]);
	if (msg.type == PROTO_TAKEN)
		taken(r, &msg.u.info);
	else if (msg.type == PROTO_FAILED)
		return failed(&msg.u.err, err);
	else if (msg.type == PROTO_STOPPED)
		stop_with_command(r, msg.number);
	else if (msg.type == PROTO_EXITED)
		ended(r, msg.number & 0xff);
	return 0;
}

/* All that are there: what was said before a signal came is known when it is handled. */
static int take_messages(struct run *r, struct err *err)
{
	struct pollfd p = {.fd = r->sock, .events = POLLIN};

	do {
		if (take_message(r, err) < 0)
			return -1;
	} while (!r->ended && poll(&p, 1, 0) == 1);
	return 0;
}

/* ---- the loop ---- */

enum { SOCK, SIGNALS, TERMINAL };

static int run_once(struct run *r, struct err *err)
{
	struct pollfd p[TERMINAL + TERMINAL_FDS] = {
		[SOCK] = {.fd = r->ended ? -1 : r->sock, .events = POLLIN},
		[SIGNALS] = {.fd = r->signals.fd, .events = POLLIN},
	};

	terminal_poll(&r->terminal, p + TERMINAL);
	if (poll(p, LENGTH(p), terminal_timeout(&r->terminal)) < 0)
		return errno == EINTR ? 0 : err_errno(err, errno, "cannot wait for the command");
	terminal_pump(&r->terminal, p + TERMINAL);
	/* Before the signals: one that comes after PROTO_TAKEN is for the command. */
	if (p[SOCK].revents && take_messages(r, err) < 0)
		return -1;
	if (p[SIGNALS].revents)
		take_signals(r);
	if (r->started && !r->ended && terminal_look(&r->terminal))
		tell_size(r);
	return 0;
}

static int run_all(struct run *r, const struct client_request *request, struct err *err)
{
	/* Before a file of ours can take the place of one that is closed. */
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			r->closed |= 1U << fd;
	terminal_open(&r->terminal);
	if (signals_take(&r->signals, err) < 0 || send_request(r, request, err) < 0)
		return -1;
	while (!r->ended || !(r->cut || terminal_ended(&r->terminal))) {
		if (run_once(r, err) < 0)
			return -1;
		if (r->dies_of)
			return err_errno(err, EINTR, "cannot wait for the command");
	}
	return 0;
}

int client_run(int sock, const struct client_request *request, int *ret_status, struct err *err)
{
	struct run r = {
		.sock = sock, .profile_digest = request->profile_digest, .signals = {.fd = -1}};
	int result = run_all(&r, request, err);
	const bool typed = r.terminal.in >= 0;

	/* In this order: a SIGTTOU has to be ignored for the modes, and a SIGPIPE for the warning. */
	terminal_done(&r.terminal);
	if (r.lost)
		log_warn("the sandbox ended before the command did");
	signals_restore(&r.signals);
	if (r.dies_of)
		(void)raise(r.dies_of);
	/* Typed, and the command died of it: so does its caller, or a shell's loop would go on. */
	if (result == 0 && typed && r.status == STATUS_INTERRUPTED)
		(void)raise(SIGINT);
	if (result < 0)
		return -1;
	*ret_status = r.status;
	return 0;
}
