#include "cli/version.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"

#define ANSWER_MS 5000
#define DIGITS "0123456789"
#define NUMBER_MAX 1000000

static unsigned number(const char *s)
{
	unsigned n = 0;

	for (; *s >= '0' && *s <= '9' && n < NUMBER_MAX; s++)
		n = n * 10 + (unsigned)(*s - '0');
	return n;
}

bool version_of(struct arena *a, const char *text, struct version *ret)
{
	for (const char *p = text + strcspn(text, DIGITS); *p; p += strcspn(p, DIGITS)) {
		size_t n = strspn(p, DIGITS);

		if (p[n] == '.' && p[n + 1] >= '0' && p[n + 1] <= '9') {
			ret->major = number(p);
			ret->minor = number(p + n + 1);
			ret->text = arena_strndup(a, p, strspn(p, DIGITS "."));
			return true;
		}
		p += n;
	}
	return false;
}

bool version_at_least(const struct version *v, unsigned major, unsigned minor)
{
	return v->major > major || (v->major == major && v->minor >= minor);
}

/* Up to `size` bytes that come within the time. */
static size_t read_answer(int fd, char *p, size_t size)
{
	size_t len = 0;

	while (len < size) {
		struct pollfd wait = {.fd = fd, .events = POLLIN};

		if (poll(&wait, 1, ANSWER_MS) <= 0)
			break;

		ssize_t n = read(fd, p + len, size - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return len;
}

static int spawn(const char *program, int out_fd, pid_t *ret_pid)
{
	char *argv[] = {(char[]){""}, (char[]){"--version"}, NULL};
	posix_spawn_file_actions_t files;
	int r = posix_spawn_file_actions_init(&files);

	if (r)
		return r;
	r = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&files, out_fd, STDOUT_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&files, out_fd, STDERR_FILENO);
	if (!r)
		r = posix_spawn(ret_pid, program, &files, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&files);
	return r;
}

int version_ask(struct arena *a, const char *program, struct version *ret, struct err *err)
{
	_cleanup_fd_ int in = -1;
	_cleanup_fd_ int out = -1;
	char answer[1024];
	int fds[2];
	int status;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	in = fds[0];
	out = fds[1];

	int r = spawn(program, out, &pid);

	if (r)
		return err_errno(err, r, "cannot run '%s'", program);
	cleanup_fd(&out);

	size_t n = read_answer(in, answer, sizeof(answer) - 1);

	answer[n] = '\0';
	/* One that hangs must not hang us; one that has ended is not touched by it. */
	cleanup_fd(&in);
	(void)kill(pid, SIGKILL);
	if (proc_wait(pid, &status, err) < 0)
		return -1;
	/* It may tell of its libraries, too, and in any order: behind its own name is its own. */
	const char *own = strstr(answer, path_base(program));

	if (!version_of(a, own ? own : answer, ret))
		return err_set(err, "cannot tell the version of '%s' from what it prints", program);
	return 0;
}
