#include "run/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/path.h"
#include "base/proc.h"
#include "run/privs.h"

/* The most that how->fds may have. */
#define MAX_FDS 4

static int become(bool as_root, struct err *err)
{
	/* As U's root nothing is the user's but by "other"; an exec as root keeps the capabilities. */
	if (!as_root)
		return privs_keep_over_exec(err);
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_errno(err, errno, "cannot become root of the user namespace");
	return 0;
}

/* The fds 0, 1, 2 and those to keep, and no other; err_fd until the exec. */
static int arrange_fds(const struct service_how *how, int null_fd, int err_fd)
{
	int keep[MAX_FDS + 1] = {err_fd};
	size_t n = 1;

	if (dup2(how->in > 0 ? how->in : null_fd, STDIN_FILENO) < 0 ||
	    dup2(how->out > 0 ? how->out : null_fd, STDOUT_FILENO) < 0 ||
	    dup2(err_fd, STDERR_FILENO) < 0)
		return -1;
	for (size_t i = 0; i < how->n_fds; i++)
		if (fcntl(how->fds[i], F_SETFD, 0) < 0)
			return -1;
	for (size_t i = 0; i < how->n_fds && n <= MAX_FDS; i++)
		keep[n++] = how->fds[i];
	proc_close_fds_except(STDERR_FILENO + 1, keep, n);
	return 0;
}

_Noreturn static void child(const struct service_how *how, pid_t parent, int null_fd, int err_fd)
{
	static const char *const environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
						  "LANG=C.UTF-8", NULL};
	struct err err = {0};
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (become(how->as_root, &err) < 0) {
		(void)!write(err_fd, err.msg, strlen(err.msg));
		_exit(126);
	}
	/* After the change of ids, which clears it; prctl(2).  The signal does not come where the
	 * supervisor is gone already. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	if (arrange_fds(how, null_fd, err_fd) < 0)
		_exit(126);
	(void)execve(how->argv[0], (char *const *)(uintptr_t)how->argv,
		     (char *const *)(uintptr_t)environment);
	(void)err_errno(&err, errno, "cannot run it");
	(void)!write(err_fd, err.msg, strlen(err.msg));
	_exit(127);
}

int service_start(const struct service_how *how, struct service *ret, struct err *err)
{
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	_cleanup_fd_ int read_fd = -1;
	_cleanup_fd_ int write_fd = -1;
	pid_t parent = getpid();
	int fds[2];
	pid_t pid;

	if (null_fd < 0 || pipe2(fds, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot start '%s'", how->argv[0]);
	read_fd = fds[0];
	write_fd = fds[1];
	(void)fcntl(read_fd, F_SETFL, O_NONBLOCK);
	pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot start '%s'", how->argv[0]);
	if (pid == 0)
		child(how, parent, null_fd, write_fd);
	*ret = (struct service){.program = how->argv[0], .pid = pid, .err_fd = TAKE_FD(read_fd)};
	return 0;
}

static void keep_tail(struct service *s, const char *p, size_t n)
{
	size_t over;

	if (n >= sizeof(s->tail)) {
		p += n - (sizeof(s->tail) - 1);
		n = sizeof(s->tail) - 1;
	}
	over = s->n + n > sizeof(s->tail) - 1 ? s->n + n - (sizeof(s->tail) - 1) : 0;
	memmove(s->tail, s->tail + over, s->n - over);
	s->n -= over;
	memcpy(s->tail + s->n, p, n);
	s->n += n;
	s->tail[s->n] = '\0';
}

void service_listen(struct service *s)
{
	while (s->err_fd >= 0) {
		char block[1024];
		ssize_t n = read(s->err_fd, block, sizeof(block));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return;
		if (n == 0)
			cleanup_fd(&s->err_fd);
		else
			keep_tail(s, block, (size_t)n);
	}
}

/* The last line that says anything, in place. */
static const char *last_words(struct service *s)
{
	char *newline;

	while (s->n > 0 && (s->tail[s->n - 1] == '\n' || s->tail[s->n - 1] == '\0'))
		s->tail[--s->n] = '\0';
	newline = strrchr(s->tail, '\n');
	return newline ? newline + 1 : s->tail;
}

int service_failed(struct service *s, int wait_status, struct err *err)
{
	const char *name = path_base(s->program);
	const char *why;

	service_listen(s);
	why = last_words(s);
	if (WIFSIGNALED(wait_status))
		return err_set(err, "'%s' was killed by signal %d%s%s", name, WTERMSIG(wait_status),
			       *why ? ": " : "", why);
	if (*why)
		return err_set(err, "'%s' failed: %s", name, why);
	return err_set(err, "'%s' ended with exit status %d", name, WEXITSTATUS(wait_status));
}

void service_done(struct service *s)
{
	/* A zeroed one never had an fd. */
	if (s && s->program)
		cleanup_fd(&s->err_fd);
}
