#include "run/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/prefault.h"
#include "base/proc.h"
#include "run/hostfs.h"
#include "run/ports.h"
#include "run/sandbox.h"
#include "run/supervisor.h"
#include "run/title.h"
#include "run/userns.h"

/* Nothing of the caller's: not his terminal, not his files, not his signals. */
static int detach(const struct sandbox *sb)
{
	const int keep[] = {sb->env_fd,    sb->run_fd,   sb->lock_fd,
			    sb->listen_fd, sb->first_fd, sb->report_fd};
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t all;

	if (null_fd < 0)
		return -1;
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (dup2(null_fd, fd) < 0)
			return -1;
	proc_close_fds_except(STDERR_FILENO + 1, keep, sizeof(keep) / sizeof(keep[0]));
	null_fd = -1;
	for (int n = 1; n <= SIGRTMAX; n++)
		(void)signal(n, SIG_DFL);
	(void)sigfillset(&all);
	return sigprocmask(SIG_SETMASK, &all, NULL);
}

struct parts {
	pid_t supervisor, hostfs;
};

/* The supervisor, which goes on then. */
static int tell(int sock, struct err *err)
{
	if (write(sock, "1", 1) != 1)
		return err_errno(err, errno, "cannot talk to the supervisor");
	return 0;
}

/*
 * The two helpers that map U take longest of all that a start does: first they are started, and
 * hostfs then starts beside them.
 */
static int start(struct sandbox *sb, struct parts *ret, struct err *err)
{
	_cleanup_fd_ int mapped_read = -1;
	_cleanup_fd_ int mapped_write = -1;
	_cleanup_fd_ int host_read = -1;
	_cleanup_fd_ int host_write = -1;
	struct userns_mapping mapping;
	int ends[2];
	int r = 0;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	mapped_read = ends[0];
	mapped_write = ends[1];
	if (hostfs_sockets(ends, err) < 0)
		return -1;
	host_read = ends[0];
	host_write = ends[1];
	sb->hostfs_fd = host_write;

	const struct hostfs_how how = {sb->plan, host_read, sb->lock_fd, &sb->title, &sb->memory};

	if (userns_fork_new(&pid, err) < 0)
		return -1;
	if (pid == 0) {
		cleanup_fd(&mapped_write);
		cleanup_fd(&host_read);
		supervisor_main(sb, mapped_read);
	}
	/* On failure the pipe closes, and the supervisor ends. */
	if (userns_map_begin(sb->plan, pid, &mapping, err) < 0)
		return -1;
	/* What the supervisor has to do meanwhile must not keep the processor from the helpers' start. */
	r = tell(mapped_write, err);
	if (r == 0 && sb->plan->base == BASE_HOST)
		r = hostfs_fork(&how, &ret->hostfs, err);
	if (userns_map_end(&mapping, r < 0 ? NULL : err) < 0 || r < 0)
		return -1;
	if (tell(mapped_write, err) < 0)
		return -1;
	ret->supervisor = pid;
	return 0;
}

static void forget(struct parts *parts, pid_t pid)
{
	if (pid == parts->supervisor) {
		parts->supervisor = 0;
		if (parts->hostfs > 0)
			(void)kill(parts->hostfs, SIGKILL);
	} else if (pid == parts->hostfs) {
		parts->hostfs = 0;
		if (parts->supervisor > 0)
			(void)kill(parts->supervisor, SIGTERM);
	}
}

/*
 * Until there is no child any more: the supervisor, and what it left to us when it was killed,
 * which dies by itself then (PR_SET_PDEATHSIG).  Without the supervisor nobody needs the host's root,
 * and without that the sandbox is of no use.
 */
static void wait_for_all(int signals, struct parts *parts)
{
	struct pollfd fd = {.fd = signals, .events = POLLIN};

	for (;;) {
		struct signalfd_siginfo info;
		pid_t pid;
		int status;

		while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
			forget(parts, pid);
		if (pid < 0 && errno == ECHILD)
			return;
		(void)poll(&fd, 1, -1);
		while (read(signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
			if (info.ssi_signo == SIGTERM && parts->supervisor > 0)
				(void)kill(parts->supervisor, SIGTERM);
	}
}

_Noreturn void guard_main(struct sandbox *sb)
{
	struct err err = {0};
	sigset_t wanted;
	struct parts parts = {0};
	int signals;

	prefault(&sb->memory);
	sb->guard_pid = getpid();
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGCHLD);
	(void)sigaddset(&wanted, SIGTERM);
	if (detach(sb) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0) {
		(void)err_errno(&err, errno, "cannot leave the caller's session");
		err_send(&err, sb->report_fd);
		_exit(1);
	}
	title_take(&sb->title);
	title_set(&sb->title, "sbx-guard", "sbx-guard");
	signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (start(sb, &parts, &err) < 0) {
		err_send(&err, sb->report_fd);
		if (parts.hostfs > 0)
			(void)kill(parts.hostfs, SIGKILL);
	}
	(void)close(sb->report_fd);
	(void)close(sb->listen_fd);
	(void)close(sb->first_fd);
	(void)!chdir("/");
	wait_for_all(signals, &parts);
	(void)unlinkat(sb->run_fd, SANDBOX_SOCKET, 0);
	(void)unlinkat(sb->run_fd, PORTS_SOCKET, 0);
	_exit(0);
}
