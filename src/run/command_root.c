/*
 * The shim of PROTO_SHOW_ROOT: the root that the sandbox sees, for a client outside that copies files.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "run/command.h"
#include "run/proto.h"

int command_root(const struct command_context *context)
{
	_cleanup_fd_ int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct proto_msg answer = {0};

	if (fd < 0) {
		(void)err_errno(&answer.u.err, errno, "cannot open the root");
		(void)proto_send(context->conn, PROTO_FAILED, &answer, NULL, 0);
	} else {
		proto_answer_fd(context->conn, PROTO_ROOT_IS, fd);
	}
	return COMMAND_QUERY;
}
