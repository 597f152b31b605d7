/*
 * Pid 1 becomes what it is: its namespaces, what lies over the root, and then V.
 *
 * It is forked before U is mapped and before there is a root, and does meanwhile what needs neither.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "plan/plan.h"
#include "run/init_internal.h"
#include "run/mount.h"
#include "run/net.h"
#include "run/privs.h"
#include "run/sandbox.h"
#include "run/source.h"
#include "run/title.h"

/* Where sudo finds pid 1 (run/sudo.c). */
#define INNER_SOCKET "/run/sbx/sock"
#define BACKLOG 128

static int say(const struct init *in, enum init_word word)
{
	return proc_send(in->supervisor, &word, sizeof(word), NULL, 0);
}

int init_await(const struct init *in, enum init_word word, struct err *err)
{
	enum init_word got = 0;
	ssize_t n = proc_recv(in->supervisor, &got, sizeof(got), NULL, NULL);

	if (n != (ssize_t)sizeof(got) || got != word)
		return err_set(err, "the supervisor went away");
	return 0;
}

/* The namespaces that have nothing to do with the root.  Making that of the network takes longest. */
static int leave_others(const struct init *in, struct err *err)
{
	const struct plan *plan = in->sb->plan;
	int flags = CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

	if (plan->net != NET_HOST)
		flags |= CLONE_NEWNET;
	if (unshare(flags) < 0)
		return err_errno(err, errno, "cannot make the sandbox's namespaces");
	if (say(in, INIT_APART) < 0)
		return err_errno(err, errno, "cannot talk to the supervisor");
	if (sethostname(plan->name, strlen(plan->name)) < 0)
		return err_errno(err, errno, "cannot set the host name '%s'", plan->name);
	return 0;
}

/* The root and what goes over it; then a mount namespace of its own, to which the current folder goes along. */
static int take_root(const struct init *in, struct sources *ret_sources, struct err *err)
{
	enum init_word got = 0;
	_cleanup_fd_ int ground = -1;
	int fds[PROC_MAX_FDS];
	size_t n_fds = 0;
	ssize_t n = proc_recv(in->supervisor, &got, sizeof(got), fds, &n_fds);

	if (n_fds > 0)
		ground = fds[0];
	if (n != (ssize_t)sizeof(got) || got != INIT_ROOT || n_fds != 1 ||
	    sources_receive(in->sb->plan, in->supervisor, ret_sources) < 0)
		return err_set(err, "the supervisor went away");
	if (fchdir(ground) < 0 || unshare(CLONE_NEWNS) < 0)
		return err_errno(err, errno, "cannot make a mount namespace");
	return 0;
}

/* In U, with the namespaces that U owns. */
static int build(const struct init *in, struct err *err)
{
	__attribute__((cleanup(mounting_done))) struct mounting mounting = {0};
	__attribute__((cleanup(sources_done))) struct sources sources = {0};

	/* While the root is built. */
	if (mount_make(in->sb->plan, &mounting, err) < 0)
		return -1;
	if (take_root(in, &sources, err) < 0 || mount_put(&mounting, &sources, err) < 0)
		return -1;
	return mount_enter(err);
}

static int write_self_map(const char *path, uint32_t outside, struct err *err)
{
	char line[64];

	(void)snprintf(line, sizeof(line), "0 %u 1", (unsigned)outside);
	if (fs_write_knob(path, line) < 0)
		return err_errno(err, errno, "cannot write '%s'", path);
	return 0;
}

struct root_ns {
	const struct plan *plan;
	int fd;
	struct err err;
};

/* In it, with the memory and the descriptors of pid 1.  Whoever is in it may map to 0 who he was outside. */
static int map_root_ns(void *arg)
{
	struct root_ns *r = arg;

	if (write_self_map("/proc/self/uid_map", r->plan->self_uid, &r->err) < 0 ||
	    write_self_map("/proc/self/gid_map", r->plan->self_gid, &r->err) < 0)
		return 1;
	r->fd = open("/proc/self/ns/user", O_RDONLY | O_CLOEXEC);
	if (r->fd < 0)
		(void)err_errno(&r->err, errno, "cannot open '/proc/self/ns/user'");
	return r->fd < 0;
}

/*
 * Where there is one id, and it is the user's: a user namespace below V in which it is 0.  The child
 * that makes it ends at once; the fd keeps it.
 */
static int make_root_ns(const struct plan *plan, int *ret_fd, struct err *err)
{
	struct root_ns r = {.plan = plan, .fd = -1};
	pid_t pid = proc_vfork_in(CLONE_NEWUSER | CLONE_FILES, map_root_ns, &r);
	int status;

	if (pid < 0)
		return err_errno(err, errno, "cannot make the namespace of root");
	(void)proc_wait(pid, &status, NULL);
	if (r.fd >= 0) {
		*ret_fd = r.fd;
		return 0;
	}
	*err = r.err;
	return err_prefix(err, "cannot make root's own user namespace");
}

/* Into V, whose map the supervisor writes. */
static int enter_v(struct init *in, struct err *err)
{
	const struct plan *plan = in->sb->plan;

	/* The kernel takes it apart when nobody has it any more, and waits for all processors. */
	in->before_v = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	/* From here on the mounts are locked: they belong to U. */
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return err_errno(err, errno, "cannot make the inner user namespace");
	if (say(in, INIT_IN_V) < 0)
		return err_errno(err, errno, "cannot talk to the supervisor");
	if (init_await(in, INIT_MAPPED, err) < 0)
		return err_prefix(err, "cannot go into the inner user namespace");
	if (plan->rung == RUNG_SINGLE && plan->self_uid != 0 &&
	    make_root_ns(plan, &in->context.root_ns, err) < 0)
		return -1;
	if (plan->rung == RUNG_SUBIDS && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_errno(err, errno, "cannot become root of the sandbox");
	/* A change of ids clears both.  Not dumpable: nothing inside may look into this memory, or
	 * into that of a shim or a command before its exec, which are copies of it. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_errno(err, errno, "cannot protect pid 1");
	return privs_bound(err);
}

static int listen_inside(struct init *in, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = INNER_SOCKET};

	mode_t mask;
	int r = -1;

	in->inner = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/* bind(2) gives the file the mode of the socket, less the umask. */
	mask = umask(0);
	if (in->inner >= 0 && fchmod(in->inner, 0666) == 0)
		r = bind(in->inner, (const struct sockaddr *)&address, sizeof(address));
	(void)umask(mask);
	if (r < 0 || listen(in->inner, BACKLOG) < 0)
		return err_errno(err, errno, "cannot listen at '%s'", INNER_SOCKET);
	return 0;
}

/* All but what is pid 1's own. */
static void close_others(const struct init *in)
{
	const struct sandbox *sb = in->sb;
	const int keep[] = {in->supervisor, sb->listen_fd, sb->first_fd, sb->lock_fd};

	proc_close_fds_except(STDERR_FILENO + 1, keep, sizeof(keep) / sizeof(keep[0]));
}

/* What needs no root. */
static int prepare(struct init *in, struct err *err)
{
	const struct plan *plan = in->sb->plan;

	if (leave_others(in, err) < 0 || seccomp_make(plan, &in->filters, err) < 0)
		return -1;
	if (init_await(in, INIT_BEGIN, err) < 0)
		return -1;
	if (plan->net != NET_HOST)
		net_prepare(plan);
	return 0;
}

int init_start(struct init *in, struct err *err)
{
	const struct sandbox *sb = in->sb;
	sigset_t wanted;

	close_others(in);
	title_set(&sb->title, "sbx-init", "sbx-init");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGCHLD);
	(void)sigaddset(&wanted, SIGTERM);
	in->signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	if (in->signals < 0)
		return err_errno(err, errno, "cannot wait for signals");
	if (prepare(in, err) < 0 || build(in, err) < 0 || enter_v(in, err) < 0 ||
	    listen_inside(in, err) < 0)
		return -1;
	in->context.devpts = open("/dev/pts", O_PATH | O_DIRECTORY | O_CLOEXEC);
	in->context.proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (in->context.devpts < 0 || in->context.proc < 0)
		return err_errno(err, errno,
				 "cannot open the sandbox's own '/dev/pts' and '/proc'");
	if (say(in, INIT_READY) < 0)
		return err_errno(err, errno, "cannot talk to the supervisor");
	return 0;
}
