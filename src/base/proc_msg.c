/* Messages with fds over a Unix socket. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/proc.h"

#define FDS_SIZE (PROC_MAX_FDS * sizeof(int))

/* The alignment that cmsg(3) asks for. */
union send_control {
	char bytes[CMSG_SPACE(FDS_SIZE)];
	struct cmsghdr align;
};

/* With room for credentials, which the socket's owner may have asked for (SO_PASSCRED). */
union recv_control {
	char bytes[CMSG_SPACE(FDS_SIZE) + CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr align;
};

static ssize_t send_whole(int sock, const struct msghdr *msg)
{
	ssize_t sent;

	do {
		sent = sendmsg(sock, msg, MSG_NOSIGNAL);
	} while (sent < 0 && errno == EINTR);
	return sent;
}

/*
 * The kernel counts the descriptors that are on their way between processes by user, and refuses more to whoever has
 * a lower limit of open files than that (ETOOMANYREFS): other processes of the user's decide how many there are.
 * The hard limit is what this process may have.
 */
static ssize_t send_by_hard_limit(int sock, const struct msghdr *msg)
{
	struct rlimit limit;
	struct rlimit high;
	ssize_t sent;
	int errnum;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -1;
	high = (struct rlimit){.rlim_cur = limit.rlim_max, .rlim_max = limit.rlim_max};
	(void)setrlimit(RLIMIT_NOFILE, &high);
	sent = send_whole(sock, msg);
	errnum = errno;
	(void)setrlimit(RLIMIT_NOFILE, &limit);
	errno = errnum;
	return sent;
}

int proc_send(int sock, const void *p, size_t n, const int *fds, size_t nfds)
{
	union send_control control;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)p, .iov_len = n};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t sent;

	/* An empty message looks like the end of file. */
	if (n == 0 || nfds > PROC_MAX_FDS) {
		errno = n == 0 ? EINVAL : EMSGSIZE;
		return -1;
	}
	if (nfds > 0) {
		struct cmsghdr *c = &control.align;

		memset(&control, 0, sizeof(control));
		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	sent = send_whole(sock, &msg);
	if (sent < 0 && errno == ETOOMANYREFS)
		sent = send_by_hard_limit(sock, &msg);
	if (sent < 0)
		return -1;
	if ((size_t)sent != n) {
		errno = EMSGSIZE;
		return -1;
	}
	return 0;
}

/* Take the fds out of the message; those beyond PROC_MAX_FDS are closed.  How many came. */
static size_t take_fds(struct msghdr *msg, int fds[static PROC_MAX_FDS])
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = CMSG_LEN(0); at + sizeof(int) <= c->cmsg_len; at += sizeof(int)) {
			_cleanup_fd_ int fd = -1;

			memcpy(&fd, (const char *)c + at, sizeof(fd));
			if (count < PROC_MAX_FDS)
				fds[count] = TAKE_FD(fd);
			count++;
		}
	}
	return count;
}

ssize_t proc_recv(int sock, void *p, size_t size, int *ret_fds, size_t *ret_nfds)
{
	union recv_control control;
	struct iovec iov = {.iov_base = p, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	int fds[PROC_MAX_FDS];
	size_t nfds;
	size_t most = ret_fds ? PROC_MAX_FDS : 0;
	bool reset = false;
	bool cut;
	ssize_t n;

	memset(&control, 0, sizeof(control));
	do {
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
		/* Of an end that was closed with something unread this is told once, before what it had sent. */
	} while (n < 0 && (errno == EINTR || (errno == ECONNRESET && !reset && (reset = true))));
	if (n < 0)
		return -1;

	nfds = take_fds(&msg, fds);
	cut = msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC) || nfds > most;
	if (cut || n == 0) {
		for (size_t i = 0; i < nfds && i < PROC_MAX_FDS; i++)
			(void)close(fds[i]);
		nfds = 0;
	}
	if (cut) {
		errno = EMSGSIZE;
		return -1;
	}
	if (ret_fds && nfds)
		memcpy(ret_fds, fds, nfds * sizeof(int));
	if (ret_nfds)
		*ret_nfds = nfds;
	return n;
}
