/* Helpers of the host's, run for their effect. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"

/* Of what a helper says, only the end is kept. */
#define TAIL_SIZE 1024

/* Of address space: only what is used is ever there.  A fork of the child's goes on on it. */
#define STACK_SIZE (1u << 20)

pid_t proc_vfork(int (*fn)(void *arg), void *arg)
{
	return proc_vfork_in(0, fn, arg);
}

pid_t proc_vfork_in(int flags, int (*fn)(void *arg), void *arg)
{
	char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	int errnum;
	pid_t pid;

	if (stack == MAP_FAILED)
		return -1;
	/* The lowest page ends an overflow. */
	(void)mprotect(stack, 4096, PROT_NONE);
	pid = clone(fn, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD | flags, arg);
	errnum = errno;
	(void)munmap(stack, STACK_SIZE);
	errno = errnum;
	return pid;
}

/* A pipe whose ends are above stderr: the child's 0, 1 and 2 are laid over the others. */
static int pipe_above_stderr(int ret_fds[2])
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		if (fds[i] > STDERR_FILENO)
			continue;
		int moved = fcntl(fds[i], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		if (moved < 0) {
			cleanup_fd(&fds[0]);
			cleanup_fd(&fds[1]);
			return -1;
		}
		(void)close(fds[i]);
		fds[i] = moved;
	}
	memcpy(ret_fds, fds, sizeof(fds));
	return 0;
}

/* posix_spawn(3) in glibc is a vfork: its cost does not grow with our memory. */
static int spawn(const char *const argv[], int err_fd, pid_t *ret_pid)
{
	/* What exec would hand on although we ignore it. */
	static const int reset[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGPIPE, SIGALRM, SIGTERM, SIGUSR1,
				    SIGUSR2, SIGCHLD, SIGTSTP, SIGTTIN, SIGTTOU, SIGWINCH};
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	sigset_t defaults;
	int r;

	(void)sigemptyset(&none);
	(void)sigemptyset(&defaults);
	for (size_t i = 0; i < sizeof(reset) / sizeof(reset[0]); i++)
		(void)sigaddset(&defaults, reset[i]);

	r = posix_spawnattr_init(&attr);
	if (r)
		return r;
	r = posix_spawn_file_actions_init(&files);
	if (r) {
		(void)posix_spawnattr_destroy(&attr);
		return r;
	}
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &defaults);
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	r = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY,
						     0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&files, err_fd, STDERR_FILENO);
	if (!r)
		r = posix_spawn(ret_pid, argv[0], &files, &attr, (char *const *)(uintptr_t)argv,
				environ);
	(void)posix_spawn_file_actions_destroy(&files);
	(void)posix_spawnattr_destroy(&attr);
	return r;
}

int proc_spawn(const char *const argv[], struct proc_child *ret_child, struct err *err)
{
	int fds[2] = {-1, -1};
	pid_t pid = -1;
	int r;

	if (pipe_above_stderr(fds) < 0)
		return err_errno(err, errno, "cannot make a pipe for '%s'", argv[0]);
	r = spawn(argv, fds[1], &pid);
	cleanup_fd(&fds[1]);
	if (r) {
		cleanup_fd(&fds[0]);
		return err_errno(err, r, "cannot run '%s'", argv[0]);
	}
	*ret_child = (struct proc_child){.pid = pid, .err_fd = fds[0], .name = argv[0]};
	return 0;
}

/* Read what is there; false at the end of file. */
static bool drain(int fd, struct buf *tail)
{
	for (;;) {
		char block[TAIL_SIZE];
		ssize_t n = read(fd, block, sizeof(block));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		if (n == 0)
			return false;
		buf_add(tail, block, (size_t)n);
		if (tail->len > TAIL_SIZE) {
			size_t over = tail->len - TAIL_SIZE;

			memmove(tail->p, tail->p + over, TAIL_SIZE);
			tail->len = TAIL_SIZE;
			tail->p[TAIL_SIZE] = '\0';
		}
	}
}

/*
 * Collect what it says until it ends.  Not until the end of file: a helper that
 * leaves a daemon behind leaves its stderr open too.
 */
static void collect(struct proc_child *child, struct buf *tail)
{
	_cleanup_fd_ int pidfd = proc_pidfd(child->pid);
	struct pollfd fds[2] = {{.fd = pidfd, .events = POLLIN},
				{.fd = child->err_fd, .events = POLLIN}};

	(void)fcntl(child->err_fd, F_SETFL, O_NONBLOCK);
	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return;
		bool ended = fds[0].revents != 0;
		if (fds[1].fd >= 0 && !drain(child->err_fd, tail))
			fds[1].fd = -1;
		if (ended)
			return;
	}
}

/* The last line that says anything, in place. */
static const char *last_line(struct buf *tail)
{
	char *text = str_trim(tail->p);
	char *newline = strrchr(text, '\n');

	return newline ? str_trim(newline + 1) : text;
}

int proc_finish(struct proc_child *child, struct err *err)
{
	_cleanup_buf_ struct buf tail = {0};
	const char *why;
	int status = 0;
	int r;

	buf_adds(&tail, "");
	collect(child, &tail);
	cleanup_fd(&child->err_fd);
	r = proc_wait(child->pid, &status, err);
	child->pid = -1;
	if (r < 0)
		return err_prefix(err, "cannot run '%s'", child->name);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;

	/* NUL bytes would hide what follows. */
	for (size_t i = 0; i < tail.len; i++)
		if (tail.p[i] == '\0')
			tail.p[i] = ' ';
	why = last_line(&tail);
	if (WIFSIGNALED(status))
		return err_set(err, "'%s' was killed by signal %d%s%s", child->name,
			       WTERMSIG(status), *why ? ": " : "", why);
	if (*why)
		return err_set(err, "'%s' failed: %s", child->name, why);
	return err_set(err, "'%s' failed with exit status %d", child->name, WEXITSTATUS(status));
}
