/*
 * A socket of the sandbox, from outside: asked of pid 1, handed out by it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/proc.h"
#include "run/client.h"
#include "run/proto.h"

/* The answer is there at once, unless what runs inside has stopped whoever would give it. */
#define DIAL_MS 2000

/* Whoever is root inside can hand out what he likes: it must be a connected stream, and nothing else. */
static int check_socket(int fd, struct err *err)
{
	int type = 0;
	int domain = 0;
	socklen_t n = sizeof(type);
	socklen_t m = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || type != SOCK_STREAM ||
	    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &m) < 0 || domain != AF_UNIX)
		return err_errno(err, EPROTO,
				 "the sandbox handed out something else than a socket");
	return 0;
}

static int failed(const struct err *why, const char *path, struct err *err)
{
	const int errnum = why->errnum > 0 && why->errnum < 4096 ? why->errnum : EPROTO;

	/* EAGAIN is for one that does not run; here its backlog is full. */
	return err_errno(err, errnum == EAGAIN ? ECONNREFUSED : errnum,
			 "cannot connect to '%s' inside", path);
}

static int await_answer(int sock, const char *path, int *ret_fd, struct err *err)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	_cleanup_fd_ int fd = -1;
	struct proto_msg msg = {0};
	size_t n = 0;

	if (poll(&p, 1, DIAL_MS) != 1)
		return err_errno(err, ETIMEDOUT, "cannot ask the sandbox");
	if (proto_recv_fd(sock, &msg, &fd, &n, err) < 0)
		return -1;
	if (msg.type == PROTO_FAILED)
		return failed(&msg.u.err, path, err);
	if (msg.type != PROTO_DIALLED || n != 1)
		return err_errno(err, EPROTO, "cannot talk to the sandbox");
	if (check_socket(fd, err) < 0)
		return -1;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int client_dial(const struct env *env, const char *path, int *ret_fd, struct err *err)
{
	struct proto_msg msg = {0};
	_cleanup_fd_ int sock = -1;

	if (strlen(path) >= sizeof(msg.u.path))
		return err_errno(err, ENAMETOOLONG, "cannot connect to '%s' inside", path);
	memcpy(msg.u.path, path, strlen(path) + 1);
	if (client_connect(env, &sock, err) < 0) {
		if (err && err->errnum == ENOENT)
			err->errnum = EAGAIN;
		return -1;
	}
	if (proto_send(sock, PROTO_DIAL, &msg, NULL, 0) < 0)
		return err_errno(err, errno == EPIPE ? EAGAIN : errno, "cannot ask the sandbox");
	return await_answer(sock, path, ret_fd, err);
}
