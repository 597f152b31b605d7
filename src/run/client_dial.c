/*
 * A socket of the sandbox, from outside: asked of pid 1, handed out by it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/proc.h"
#include "run/client.h"
#include "run/proto.h"

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

int client_dial(const struct env *env, const char *path, int *ret_fd, struct err *err)
{
	struct proto_msg msg = {0};
	_cleanup_fd_ int sock = -1;
	_cleanup_fd_ int fd = -1;

	if (strlen(path) >= sizeof(msg.u.path))
		return err_errno(err, ENAMETOOLONG, "cannot connect to '%s' inside", path);
	memcpy(msg.u.path, path, strlen(path) + 1);
	if (client_connect(env, &sock, err) < 0) {
		if (err && err->errnum == ENOENT)
			err->errnum = EAGAIN;
		return -1;
	}
	if (proto_ask(sock, PROTO_DIAL, &msg, &fd, err) < 0)
		return -1;
	if (msg.type == PROTO_FAILED)
		return err_errno(err, proto_failed_errno(&msg), "cannot connect to '%s' inside",
				 path);
	if (msg.type != PROTO_DIALLED || fd < 0)
		return err_errno(err, EPROTO, "cannot talk to the sandbox");
	if (check_socket(fd, err) < 0)
		return -1;
	*ret_fd = TAKE_FD(fd);
	return 0;
}
