/*
 * The root that a running sandbox sees, from outside: asked of pid 1, used in the user namespace U, in which the files
 * of all its users can be read and written.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/proc.h"
#include "run/client.h"
#include "run/proto.h"

/* Whoever is root inside can hand out what he likes, of what he has: it must be a folder, and nothing else. */
static int check_folder(int fd, struct err *err)
{
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_errno(err, EPROTO,
				 "the sandbox handed out something else than its root");
	return 0;
}

static int ask_root(int sock, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct proto_msg msg = {0};

	if (proto_ask(sock, PROTO_SHOW_ROOT, &msg, &fd, err) < 0)
		return -1;
	if (msg.type == PROTO_FAILED)
		return err_errno(err, proto_failed_errno(&msg),
				 "cannot ask the sandbox for its root");
	if (msg.type != PROTO_ROOT_IS)
		return err_set(err, "cannot ask the sandbox for its root: it runs an older sbx");
	if (check_folder(fd, err) < 0)
		return -1;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* U is that of the supervisor, who listens; while we are connected the number is its. */
static int open_outer(int sock, int *ret_fd, struct err *err)
{
	struct ucred peer = {0};
	socklen_t n = sizeof(peer);
	_cleanup_fd_ int fd = -1;
	char path[64];

	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0)
		return err_errno(err, errno, "cannot tell who answers");
	(void)snprintf(path, sizeof(path), "/proc/%ld/ns/user", (long)peer.pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open the sandbox's user namespace");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

struct root_call {
	int (*fn)(int root, void *arg, struct err *err);
	void *arg;
	int root, outer, report;
	pid_t parent;
};

_Noreturn static void child(const struct root_call *c)
{
	struct err err = {0};
	int r = 0;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (getppid() != c->parent)
		_exit(1);
	if (setns(c->outer, CLONE_NEWUSER) < 0)
		r = err_errno(&err, errno, "cannot join the sandbox's user namespace");
	if (r == 0)
		r = c->fn(c->root, c->arg, &err);
	if (r < 0)
		err_send(&err, c->report);
	_exit(r < 0 ? 1 : 0);
}

static int call(struct root_call *c, struct err *err)
{
	_cleanup_fd_ int report_read = -1;
	_cleanup_fd_ int report_write = -1;
	int ends[2];
	int status;
	pid_t pid;
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	report_read = ends[0];
	c->report = report_write = ends[1];
	c->parent = getpid();
	pid = fork();
	if (pid < 0)
		return err_errno(err, errno, "cannot start a process");
	if (pid == 0)
		child(c);
	cleanup_fd(&report_write);
	r = err_receive(report_read, err);
	if (proc_wait(pid, &status, r == 0 ? err : NULL) < 0)
		return -1;
	if (r == 0 && proc_exit_status(status) != 0)
		return err_set(err, "the helper in the user namespace was ended by signal %d",
			       WIFSIGNALED(status) ? WTERMSIG(status) : 0);
	return r;
}

int client_root(const struct env *env, int (*fn)(int root, void *arg, struct err *err), void *arg,
		struct err *err)
{
	_cleanup_fd_ int root = -1;
	_cleanup_fd_ int outer = -1;
	_cleanup_fd_ int sock = -1;

	/* Not the one that it was started with, of which the other end is this process. */
	if (client_connect(env, &sock, err) < 0 || open_outer(sock, &outer, err) < 0 ||
	    ask_root(sock, &root, err) < 0)
		return -1;

	struct root_call c = {.fn = fn, .arg = arg, .root = root, .outer = outer};

	return call(&c, err);
}
