#include "run/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/prefault.h"
#include "base/proc.h"
#include "run/client.h"
#include "run/guard.h"
#include "run/sandbox.h"
#include "run/userns.h"
#include "store/env.h"

/* One that ends just now is waited for. */
#define LOCK_MS 15000

/* The lock file and run/ of the environment. */
static int take_lock(const struct env *env, int *ret_lock, int *ret_run, struct err *err)
{
	_cleanup_fd_ int lock = -1;
	_cleanup_fd_ int run = -1;
	struct stat ours;
	struct stat there;

	if (fs_lock_at(env->fd, "lock", true, LOCK_MS, &lock, err) < 0) {
		(void)err_prefix(err, "cannot start the sandbox in '%s'", env->dir);
		return store_hint(err);
	}
	if (fstat(env->fd, &ours) < 0 || stat(env->dir, &there) < 0 ||
	    ours.st_ino != there.st_ino || ours.st_dev != there.st_dev)
		return err_errno(err, ESTALE, "cannot start the sandbox: '%s' was removed just now",
				 env->dir);
	run = openat(env->fd, "run", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (run < 0)
		return err_errno(err, errno, "cannot open '%s/run'", env->dir);
	*ret_lock = TAKE_FD(lock);
	*ret_run = TAKE_FD(run);
	return 0;
}

/* Without a copy of the memory for its two calls; the guard has one.  Its stack is not one that the address
 * sanitizer knows, which would say so on the caller's stderr. */
__attribute__((no_sanitize_address)) static int between(void *arg)
{
	struct sandbox *sb = arg;
	pid_t pid;

	(void)setsid();
	pid = userns_fork(0);
	if (pid == 0)
		guard_main(sb);
	return pid < 0 ? 1 : 0;
}

/* Twice, so that the guard is a child of init's and no zombie of the caller's; in a session of its
 * own, so that no terminal's signal reaches it. */
static int fork_guard(struct sandbox *sb, struct err *err)
{
	int status = 0;
	pid_t pid = proc_vfork(between, sb);

	if (pid < 0)
		return err_errno(err, errno, "cannot start the sandbox");
	if (proc_wait(pid, &status, err) < 0)
		return -1;
	if (proc_exit_status(status) != 0)
		return err_errno(err, EAGAIN, "cannot start the sandbox");
	return 0;
}

int launch(const struct plan *plan, const struct env *env, const struct client_request *request,
	   int *ret_sock, struct err *err)
{
	_cleanup_fd_ int lock = -1;
	_cleanup_fd_ int run = -1;
	_cleanup_fd_ int listener = -1;
	_cleanup_fd_ int ours = -1;
	_cleanup_fd_ int theirs = -1;
	_cleanup_fd_ int report_read = -1;
	_cleanup_fd_ int report_write = -1;
	int pair[2];

	if (take_lock(env, &lock, &run, err) < 0)
		return -1;
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (listener < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return err_errno(err, errno, "cannot make the sandbox's sockets");
	ours = pair[0];
	theirs = pair[1];
	if (pipe2(pair, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	report_read = pair[0];
	report_write = pair[1];

	struct sandbox sb = {
		.hostfs_fd = -1,
		.plan = plan,
		.profile_digest = request->profile_digest ? request->profile_digest : "",
		.program = request->argv ? request->argv[0] : NULL,
		.env_fd = env->fd,
		.run_fd = run,
		.lock_fd = lock,
		.listen_fd = listener,
		.first_fd = theirs,
		.report_fd = report_write,
	};

	prefault_take(&sb.memory);
	if (fork_guard(&sb, err) < 0)
		return -1;
	cleanup_fd(&report_write);
	cleanup_fd(&theirs);
	if (err_receive(report_read, err) < 0)
		return -1;
	*ret_sock = TAKE_FD(ours);
	return 0;
}
