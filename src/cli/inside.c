#include "cli/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"

/* This process's own streams, while others take their places. */
struct streams {
	int kept[3];
};

static void streams_back(struct streams *s)
{
	for (int i = 0; i < 3; i++) {
		if (s->kept[i] < 0)
			continue;
		(void)dup2(s->kept[i], i);
		cleanup_fd(&s->kept[i]);
	}
}

static int replace(struct streams *s, int i, int fd, struct err *err)
{
	if (fd < 0 || fd == i)
		return 0;
	s->kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 3);
	if (s->kept[i] < 0 || dup2(fd, i) < 0)
		return err_errno(err, errno, "cannot arrange the standard streams");
	return 0;
}

/* A pipe that holds the text and ends with it. */
static int make_input(const struct inside_streams *streams, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int in = -1;
	_cleanup_fd_ int out = -1;
	int ends[2];

	if (!streams->text) {
		*ret_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		return *ret_fd < 0 ? err_errno(err, errno, "cannot open '/dev/null'") : 0;
	}
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	in = ends[0];
	out = ends[1];
	if (streams->len > INSIDE_TEXT_MAX || fcntl(out, F_SETPIPE_SZ, INSIDE_TEXT_MAX) < 0 ||
	    fs_write_all(out, streams->text, streams->len) < 0)
		return err_errno(err, errno ? errno : E2BIG, "cannot pass a text to the sandbox");
	*ret_fd = TAKE_FD(in);
	return 0;
}

int inside_run(struct arena *a, struct workplace *w, const struct open_command *command,
	       const struct inside_streams *streams, int *ret_status, struct err *err)
{
	__attribute__((cleanup(streams_back))) struct streams own = {{-1, -1, -1}};
	_cleanup_fd_ int in = -1;

	if (make_input(streams, &in, err) < 0 || replace(&own, STDIN_FILENO, in, err) < 0 ||
	    replace(&own, STDOUT_FILENO, streams->out, err) < 0 ||
	    replace(&own, STDERR_FILENO, streams->err, err) < 0)
		return -1;
	return open_run(a, w, command, ret_status, err);
}

int inside_check(struct arena *a, struct workplace *w, const char *const *argv, bool *ret,
		 struct err *err)
{
	const struct open_command command = {.argv = argv};
	_cleanup_fd_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	const struct inside_streams quiet = {.out = null, .err = null};
	struct err why = {0};
	int status;

	if (inside_run(a, w, &command, &quiet, &status, &why) < 0) {
		if (why.kind == ERR_NOT_FOUND || why.kind == ERR_NOT_EXEC) {
			*ret = false;
			return 0;
		}
		*err = why;
		return -1;
	}
	*ret = status == 0;
	return 0;
}
