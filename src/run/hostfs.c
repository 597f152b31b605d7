#include "run/hostfs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/prefault.h"
#include "base/proc.h"
#include "plan/plan.h"
#include "run/hostfs_internal.h"
#include "run/mnt.h"
#include "run/seccomp_internal.h"
#include "run/title.h"

/* Descriptors that are kept open: as many as the kernel keeps folders of, or nearly. */
#define OPEN_MAX_WANTED ((rlim_t)4096)
#define OPEN_SPARE ((rlim_t)16)

/* All that serving takes; read only, and no socket, no process, no exec. */
static int make_filter(struct sock_fprog **ret_prog)
{
	static const int calls[] = {
		SCMP_SYS(read),       SCMP_SYS(write),        SCMP_SYS(pread64),
		SCMP_SYS(close),      SCMP_SYS(statx),        SCMP_SYS(readlinkat),
		SCMP_SYS(getdents64), SCMP_SYS(lseek),        SCMP_SYS(fstatfs),
		SCMP_SYS(mmap),       SCMP_SYS(munmap),       SCMP_SYS(mremap),
		SCMP_SYS(brk),        SCMP_SYS(madvise),      SCMP_SYS(futex),
		SCMP_SYS(exit_group), SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
	};
	const struct scmp_arg_cmp read_only = {2, SCMP_CMP_MASKED_EQ, O_ACCMODE | O_CREAT | O_TRUNC,
					       O_RDONLY};
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = ctx ? 0 : -1;

	for (size_t i = 0; r == 0 && i < sizeof(calls) / sizeof(calls[0]); i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	if (r == 0)
		r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1, &read_only);
	if (r == 0)
		r = seccomp_compile(ctx, NULL, 0, ret_prog, NULL);
	if (ctx)
		seccomp_release(ctx);
	return r;
}

static uint32_t raise_limit(void)
{
	struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		if (limit.rlim_cur > 2 * OPEN_MAX_WANTED)
			limit.rlim_cur = 2 * OPEN_MAX_WANTED;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur < 4 * OPEN_SPARE)
		return (uint32_t)OPEN_SPARE;
	limit.rlim_cur -= OPEN_SPARE;
	return (uint32_t)(limit.rlim_cur < OPEN_MAX_WANTED ? limit.rlim_cur : OPEN_MAX_WANTED);
}

/* Nothing of the caller's but its user: his permissions are what the base is read with. */
static int settle(const struct hostfs_how *how, pid_t parent)
{
	const int keep[] = {how->sock, how->lock_fd};
	struct title own;
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	for (int n = 1; n <= SIGRTMAX; n++)
		(void)signal(n, SIG_DFL);
	/* A terminal's interrupt is the caller's to act upon. */
	(void)setsid();
	if (!how->title)
		title_take(&own);
	title_set(how->title ? how->title : &own, "sbx-hostfs", "sbx-hostfs");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || null_fd < 0 || chdir("/") < 0)
		return -1;
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (dup2(null_fd, fd) < 0)
			return -1;
	cleanup_fd(&null_fd);
	proc_close_fds_except(STDERR_FILENO + 1, keep, how->lock_fd < 0 ? 1 : 2);
	return prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L);
}

_Noreturn static void server(const struct hostfs_how *how, pid_t parent)
{
	struct hostfs_tree tree;
	struct sock_fprog *filter = NULL;
	int root = -1;
	int fuse[PROC_MAX_FDS];
	size_t n = 0;
	char byte;

	if (how->memory)
		prefault(how->memory);
	if (settle(how, parent) < 0)
		_exit(1);
	root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || make_filter(&filter) < 0)
		_exit(1);
	hostfs_tree_init(&tree, how->plan, root, raise_limit());
	/* Until here all is made while the ids are mapped. */
	if (proc_recv(how->sock, &byte, 1, fuse, &n) != 1 || n != 1)
		_exit(1);
	(void)close(how->sock);
	/* Last, since all else is not needed to serve. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, filter) < 0)
		_exit(1);
	hostfs_serve(&tree, fuse[0]);
	_exit(0);
}

int hostfs_sockets(int ret_pair[2], struct err *err)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret_pair) < 0)
		return err_errno(err, errno, "cannot make a socket pair");
	return 0;
}

int hostfs_fork(const struct hostfs_how *how, pid_t *ret_pid, struct err *err)
{
	const pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0)
		return err_errno(err, errno, "cannot start the server of the host's root");
	if (pid == 0)
		server(how, parent);
	*ret_pid = pid;
	return 0;
}

int hostfs_start(const struct plan *plan, int lock_fd, struct hostfs *ret, struct err *err)
{
	_cleanup_fd_ int ours = -1;
	_cleanup_fd_ int theirs = -1;
	int pair[2];
	pid_t pid;

	if (hostfs_sockets(pair, err) < 0)
		return -1;
	theirs = pair[0];
	ours = pair[1];

	const struct hostfs_how how = {.plan = plan, .sock = theirs, .lock_fd = lock_fd};

	if (hostfs_fork(&how, &pid, err) < 0)
		return -1;
	*ret = (struct hostfs){.pid = pid, .sock = TAKE_FD(ours)};
	return 0;
}

int hostfs_device(int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		(void)err_errno(err, errno, "cannot mount the root: cannot open '/dev/fuse'");
		return err_hint(err, "sudo modprobe fuse && sudo chmod 0666 /dev/fuse; "
				     "`sbx doctor` checks it");
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int hostfs_mount(int sock, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fuse = -1;
	_cleanup_fd_ int fd = -1;
	char fuse_text[16];
	char uid[16];
	char gid[16];
	const struct mnt_option options[] = {
		{"source", "sbx-hostfs"},
		{"subtype", "sbx-hostfs"},
		{"ro", NULL},
		{"fd", fuse_text},
		{"rootmode", "40000"},
		{"user_id", uid},
		{"group_id", gid},
		{"default_permissions", NULL},
		{"allow_other", NULL},
		{NULL, NULL},
	};

	/* In the user namespace that mounts: EINVAL else. */
	if (hostfs_device(&fuse, err) < 0)
		return -1;
	(void)snprintf(fuse_text, sizeof(fuse_text), "%d", fuse);
	(void)snprintf(uid, sizeof(uid), "%u", (unsigned)getuid());
	(void)snprintf(gid, sizeof(gid), "%u", (unsigned)getgid());
	if (mnt_new("fuse", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOATIME, &fd,
		    err) < 0)
		return err_prefix(err, "cannot mount the host's root");
	/* Only the server may keep the device: with its end every call that waits must end. */
	if (proc_send(sock, "1", 1, &fuse, 1) < 0)
		return err_errno(err, errno, "cannot talk to the server of the host's root");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void hostfs_done(struct hostfs *h)
{
	if (!h)
		return;
	if (h->pid > 0) {
		proc_end(h->pid);
		cleanup_fd(&h->sock);
	}
	h->pid = 0;
}
