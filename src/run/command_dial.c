/*
 * The shim of PROTO_DIAL: a socket of the sandbox for a client outside.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "plan/plan.h"
#include "run/command.h"
#include "run/privs.h"
#include "run/proto.h"

/* As whom the profile's commands run: what is closed to them is closed here. */
static int become_self(const struct command_context *context, struct err *err)
{
	const struct plan *plan = context->plan;
	const struct privs_user user = {.uid = plan->self_uid, .gid = plan->self_gid};

	return privs_become(&user, err);
}

static int dial(const struct command_context *context, const struct proto_msg *msg, int *ret_fd,
		struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = msg->u.path;
	_cleanup_fd_ int fd = -1;

	if (path[0] != '/' || strnlen(path, PROTO_PATH_MAX) == PROTO_PATH_MAX)
		return err_set(err, "cannot read the request: it has no path");
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (become_self(context, err) < 0)
		return -1;
	/* Not blocking: whoever listens may not accept. */
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_errno(err, errno, "cannot make a socket");
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return err_errno(err, errno, "cannot connect to '%s'", path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int command_dial(const struct command_context *context, const struct proto_msg *msg)
{
	struct proto_msg answer = {0};
	_cleanup_fd_ int fd = -1;
	struct err err = {0};

	if (dial(context, msg, &fd, &err) < 0) {
		answer.u.err = err;
		(void)proto_send(context->conn, PROTO_FAILED, &answer, NULL, 0);
	} else {
		proto_answer_fd(context->conn, PROTO_DIALLED, fd);
	}
	return COMMAND_QUERY;
}
