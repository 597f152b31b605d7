#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

int proc_pidfd(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

int proc_kill(int pidfd, int sig)
{
	return (int)syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0);
}

int proc_wait(pid_t pid, int *ret_status, struct err *err)
{
	int status = 0;
	pid_t r;

	do {
		r = waitpid(pid, &status, 0);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_errno(err, errno, "cannot wait for process %d", (int)pid);
	*ret_status = status;
	return 0;
}

void proc_end(pid_t pid)
{
	int status;

	if (pid <= 0)
		return;
	(void)kill(pid, SIGKILL);
	(void)proc_wait(pid, &status, NULL);
}

int proc_exit_status(int wait_status)
{
	if (WIFSIGNALED(wait_status))
		return 128 + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

int proc_call(int (*fn)(void *arg), void *arg)
{
	struct err why = {0};
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return -1;
	/* _exit: what the parent has buffered and registered is the parent's to finish. */
	if (pid == 0)
		_exit(fn(arg) & 0xff);
	if (proc_wait(pid, &status, &why) < 0) {
		errno = why.errnum;
		return -1;
	}
	return proc_exit_status(status);
}

int proc_find(const char *name, const char *path_list, char **ret)
{
	const char *p = path_list;

	if (!*name || strchr(name, '/')) {
		errno = EINVAL;
		return -1;
	}
	while (p && *p) {
		size_t n = strcspn(p, ":");
		/* Relative entries, the empty one among them, mean the current folder: never. */
		if (n > 0 && p[0] == '/') {
			_cleanup_free_ char *path = xasprintf("%.*s/%s", (int)n, p, name);
			struct stat st;

			if (stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
			    faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0) {
				*ret = TAKE_PTR(path);
				return 0;
			}
		}
		p += n;
		p += *p == ':';
	}
	errno = ENOENT;
	return -1;
}

/* Old kernels (before 5.9): one by one. */
static void close_range_slowly(unsigned first, unsigned last)
{
	long most = sysconf(_SC_OPEN_MAX);

	if (most < 0 || most > 65536)
		most = 65536;
	for (unsigned fd = first; fd <= last && fd < (unsigned)most; fd++)
		(void)close((int)fd);
}

static void close_between(unsigned first, unsigned last)
{
	if (first <= last && syscall(SYS_close_range, first, last, 0) < 0)
		close_range_slowly(first, last);
}

void proc_close_fds_except(int from, const int *keep, size_t n)
{
	unsigned first = from > 0 ? (unsigned)from : 0;

	/* Runs between fork and exec: no memory is allocated, no list sorted. */
	for (;;) {
		unsigned next = UINT_MAX;

		for (size_t i = 0; i < n; i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= first && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next == UINT_MAX)
			break;
		if (next > first)
			close_between(first, next - 1);
		first = next + 1;
	}
	close_between(first, UINT_MAX);
}

_Noreturn void proc_give_up(const char *why)
{
	log_fixed(why);
	_exit(125);
}
