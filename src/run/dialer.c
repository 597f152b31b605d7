#include "run/dialer.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/proc.h"
#include "run/privs.h"
#include "run/seccomp.h"
#include "run/title.h"

/* What has failed already is told, what is still on its way is not waited for. */
static int failed_at_once(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	int errnum = 0;
	socklen_t n = sizeof(errnum);

	if (poll(&p, 1, 0) == 1)
		(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &errnum, &n);
	return errnum;
}

static int dial(bool six, const struct dial_order *order, int *ret_fd)
{
	const int type = order->udp ? SOCK_DGRAM : SOCK_STREAM;
	_cleanup_fd_ int fd =
		socket(six ? AF_INET6 : AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	} to = {0};
	int r;

	if (six)
		to.v6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
					      .sin6_port = htons(order->port),
					      .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	else
		to.v4 = (struct sockaddr_in){.sin_family = AF_INET,
					     .sin_port = htons(order->port),
					     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (fd < 0)
		return errno;
	r = connect(fd, &to.any, six ? sizeof(to.v6) : sizeof(to.v4));
	if (r < 0 && errno != EINPROGRESS)
		return errno;
	if (!order->udp && (r = failed_at_once(fd)) != 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int dialer_dial(const struct dial_order *order, int *ret_fd)
{
	int first;

	if (order->six)
		return dial(true, order, ret_fd);
	first = dial(false, order, ret_fd);
	/* What listens at ::1 alone.  Where there is neither, the first says why. */
	if (first == ECONNREFUSED && dial(true, order, ret_fd) == 0)
		return 0;
	return first;
}

/*
 * The kernel counts the descriptors that are on their way between processes by user, and this user's may all be
 * taken, by another sandbox, too: then this one connection cannot be had, and the next one perhaps can.
 */
static int answer(int sock, int errnum, int fd)
{
	struct dial_answer a = {.errnum = errnum};

	if (proc_send(sock, &a, sizeof(a), &fd, fd >= 0 ? 1 : 0) == 0)
		return 0;
	if (fd < 0 || errno != ETOOMANYREFS)
		return -1;
	a.errnum = ETOOMANYREFS;
	return proc_send(sock, &a, sizeof(a), NULL, 0);
}

_Noreturn static void serve(int sock, int netns, pid_t parent)
{
	struct err err = {0};
	int r = setns(netns, CLONE_NEWNET) < 0 ? errno : 0;

	(void)close(netns);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (r == 0 && (privs_drop(&err) < 0 || seccomp_confine(SECCOMP_DIALER, &err) < 0))
		r = err.errnum ? err.errnum : EPERM;
	if (answer(sock, r, -1) < 0 || r != 0)
		_exit(1);
	for (;;) {
		struct dial_order order;
		_cleanup_fd_ int fd = -1;

		if (proc_recv(sock, &order, sizeof(order), NULL, NULL) != (ssize_t)sizeof(order))
			_exit(0);
		r = dialer_dial(&order, &fd);
		if (answer(sock, r, fd) < 0)
			_exit(0);
	}
}

int dialer_start(int netns, int lock, const struct title *title, int *ret_sock, struct err *err)
{
	_cleanup_fd_ int ours = -1;
	_cleanup_fd_ int theirs = -1;
	struct dial_answer up = {.errnum = ECONNRESET};
	const pid_t parent = getpid();
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, errno, "cannot make a socket pair");
	ours = pair[0];
	theirs = pair[1];
	pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot start the dialer");
	if (pid == 0) {
		const int keep[] = {theirs, netns, lock};

		title_set(title, "sbx-dialer", "sbx-dialer");
		proc_close_fds_except(STDERR_FILENO + 1, keep, 3);
		serve(theirs, netns, parent);
	}
	cleanup_fd(&theirs);
	if (proc_recv(ours, &up, sizeof(up), NULL, NULL) != (ssize_t)sizeof(up))
		up.errnum = ECONNRESET;
	if (up.errnum != 0)
		return err_errno(err, up.errnum, "cannot enter the sandbox's network namespace");
	*ret_sock = TAKE_FD(ours);
	return 0;
}
