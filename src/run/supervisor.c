#include "run/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/prefault.h"
#include "base/proc.h"
#include "run/command.h"
#include "run/init.h"
#include "run/mnt.h"
#include "run/net.h"
#include "run/prefetch.h"
#include "run/publish.h"
#include "run/root.h"
#include "run/sandbox.h"
#include "run/service.h"
#include "run/source.h"
#include "run/title.h"
#include "run/userns.h"

#define BACKLOG 128

/* A start that takes longer than this has failed; slow disks are waited for. */
#define START_MS 60000

/* fuse-overlayfs ends by itself once its mount is gone; else it is ended. */
#define UNMOUNT_MS 2000

/* How long a service that broke has to end, when pid 1 has felt it already. */
#define BROKEN_MS 500

struct supervisor {
	const struct sandbox *sb;
	int signals;
	pid_t init;
	int init_sock;
	struct service fuse;
	struct service slirp;
	struct publish ports;
	struct sources sources;
	struct prefetch prefetch; /* in the meantime */
	int net_ready_fd;
	bool init_ready, net_ready;
	bool up;
	bool over;
};

static int say(const struct supervisor *v, enum init_word word, struct err *err)
{
	if (proc_send(v->init_sock, &word, sizeof(word), NULL, 0) < 0)
		return err_errno(err, errno, "cannot talk to pid 1");
	return 0;
}

/* Only with its pid namespace, which no process can enter: the others it makes while U is mapped. */
static int fork_init(struct supervisor *v, struct err *err)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(err, errno, "cannot make a socket pair");
	v->init_sock = ends[0];
	v->init = userns_fork(CLONE_NEWPID);
	if (v->init == 0)
		init_main(v->sb, ends[1]);
	(void)close(ends[1]);
	if (v->init < 0) {
		v->init = 0;
		return err_errno(err, errno, "cannot make the sandbox's namespaces");
	}
	return 0;
}

static int start_net(struct supervisor *v, struct err *err)
{
	const struct plan *plan = v->sb->plan;

	if (plan->pasta)
		return net_start_pasta(plan, v->init, v->sb->run_fd, &v->slirp, &v->net_ready_fd,
				       err);
	return net_start_slirp(plan, v->init, &v->slirp, &v->net_ready_fd, err);
}

/* What needs no map of U. */
static int prepare(struct supervisor *v, struct err *err)
{
	/* unshare(2) moves the current folder to the new namespace's mounts; fds stay behind. */
	if (fchdir(v->sb->env_fd) < 0 || unshare(CLONE_NEWNS) < 0)
		return err_errno(err, errno, "cannot make a mount namespace");
	if (mnt_make_slave(err) < 0)
		return -1;
	return fork_init(v, err);
}

/* Until pid 1 has its namespaces. */
static int await_init(const struct supervisor *v, struct err *err)
{
	struct init_failure msg = {0};
	ssize_t n = proc_recv(v->init_sock, &msg, sizeof(msg), NULL, NULL);

	if (n == (ssize_t)sizeof(msg) && msg.word == INIT_FAILED) {
		*err = msg.err;
		return -1;
	}
	if (n <= 0 || msg.word != INIT_APART)
		return err_set(err, "cannot start the sandbox: pid 1 ended");
	return 0;
}

static void give_root(const struct supervisor *v)
{
	const enum init_word word = INIT_ROOT;
	_cleanup_fd_ int ground = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc_send(v->init_sock, &word, sizeof(word), &ground, 1) == 0)
		(void)sources_send(&v->sources, v->init_sock);
}

static int build(struct supervisor *v, struct err *err)
{
	const struct plan *plan = v->sb->plan;
	const struct root_parts parts = {
		.sources = &v->sources, .hostfs = v->sb->hostfs_fd, .lock_fd = v->sb->lock_fd};

	/* Where pid 1 has failed meanwhile it has said so: await_init, hear_init. */
	(void)say(v, INIT_BEGIN, NULL);
	if (sources_open(plan, &v->sources, err) < 0 ||
	    root_build(plan, &parts, &v->fuse, err) < 0 || await_init(v, err) < 0)
		return -1;
	/* Before it goes into V, from where on its /proc is closed. */
	if (publish_open(&v->ports, v->sb, v->init, err) < 0)
		return -1;
	v->net_ready = plan->net != NET_SLIRP;
	if (!v->net_ready && start_net(v, err) < 0)
		return -1;
	give_root(v);
	sources_done(&v->sources);
	if (publish_start(&v->ports, v->sb, err) < 0)
		return -1;
	/* While pid 1 mounts. */
	prefetch_first(plan, v->sb->program, &v->prefetch);
	return 0;
}

/* Listen, by a path that is never too long for an address. */
static int open_door(const struct supervisor *v, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s",
		       v->sb->run_fd, SANDBOX_SOCKET);
	/* One that a power cut left behind; we hold the lock. */
	(void)unlinkat(v->sb->run_fd, SANDBOX_SOCKET, 0);
	(void)umask(0077);
	r = bind(v->sb->listen_fd, (const struct sockaddr *)&address, sizeof(address));
	if (r < 0 || listen(v->sb->listen_fd, BACKLOG) < 0)
		return err_errno(err, errno, "cannot listen for commands in '%s/run'",
				 v->sb->plan->env_dir);
	return 0;
}

/* Everything is there: let requests in, and tell the starter by closing the report. */
static int go(struct supervisor *v, struct err *err)
{
	if (open_door(v, err) < 0 || say(v, INIT_GO, err) < 0)
		return -1;
	v->up = true;
	(void)close(v->sb->listen_fd);
	(void)close(v->sb->first_fd);
	(void)close(v->sb->report_fd);
	cleanup_fd(&v->init_sock);
	return 0;
}

static int hear_init(struct supervisor *v, struct err *err);

/* `err` is what came of the end of pid 1: where it has failed with a message, that is the cause. */
static int last_words(struct supervisor *v, struct err *err)
{
	struct err why = {0};

	for (;;) {
		struct pollfd fd = {.fd = v->init_sock, .events = POLLIN};

		if (poll(&fd, 1, 0) != 1)
			return -1;
		if (hear_init(v, &why) < 0) {
			*err = why;
			return -1;
		}
	}
}

/* A part has ended.  While starting this is a failure; later it is the end. */
static int ended(struct supervisor *v, pid_t pid, int status, struct err *err)
{
	if (pid == v->init) {
		v->init = 0;
		v->over = true;
		if (v->up)
			return 0;
		(void)err_set(err, "cannot start the sandbox: pid 1 ended");
		return last_words(v, err);
	}
	if (pid == v->fuse.pid) {
		v->fuse.pid = 0;
		v->over = true;
		if (v->up)
			return 0;
		(void)service_failed(&v->fuse, status, err);
		return err_prefix(err, "cannot mount the root");
	}
	if (pid == v->ports.pid) {
		/* While starting it says itself what is wrong. */
		if (v->up)
			publish_ended(&v->ports, v->sb);
		else
			v->ports.pid = 0;
		return 0;
	}
	if (pid == v->slirp.pid) {
		v->slirp.pid = 0;
		v->over = true;
		if (v->up)
			return 0;
		(void)service_failed(&v->slirp, status, err);
		return err_prefix(err, "cannot set up the network");
	}
	return 0;
}

static int reap(struct supervisor *v, struct err *err)
{
	struct signalfd_siginfo info;
	int status = 0;
	int r = 0;
	pid_t pid;

	while (read(v->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo != SIGTERM)
			continue;
		v->over = true;
		if (!v->up)
			r = err_set(err, "the start was ended by a signal");
	}
	/* The first failure is the cause of the others. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct err why = {0};

		if (ended(v, pid, status, &why) < 0 && r == 0) {
			*err = why;
			r = -1;
		}
	}
	return r;
}

/* Wait until one of our children has ended, or `ms` are over. */
static void await_child(const struct supervisor *v, uint64_t ms)
{
	struct pollfd fd = {.fd = v->signals, .events = POLLIN};

	(void)poll(&fd, 1, (int)ms);
}

/*
 * Pid 1 failed.  Where that was because the root's server ended under it, the server's own last
 * words say more.
 */
static int init_failed(struct supervisor *v, const struct err *why, struct err *err)
{
	const uint64_t end = command_now_ms() + BROKEN_MS;
	int e = why->errnum;

	if (v->fuse.pid > 0 && (e == ENOTCONN || e == ECONNABORTED || e == EIO)) {
		for (uint64_t now = command_now_ms(); now < end && v->fuse.pid > 0;
		     now = command_now_ms()) {
			int status = 0;
			pid_t pid = waitpid(v->fuse.pid, &status, WNOHANG);

			if (pid == v->fuse.pid)
				return ended(v, pid, status, err);
			await_child(v, 20);
		}
	}
	*err = *why;
	return -1;
}

static int hear_init(struct supervisor *v, struct err *err)
{
	struct init_failure msg = {0};
	ssize_t n = proc_recv(v->init_sock, &msg, sizeof(msg), NULL, NULL);

	if (n <= 0) {
		/* Its end is told by waitpid(2). */
		cleanup_fd(&v->init_sock);
		return 0;
	}
	switch (msg.word) {
	case INIT_IN_V:
		if (userns_map_inner(v->sb->plan, v->init, err) < 0)
			return -1;
		return say(v, INIT_MAPPED, err);
	case INIT_READY:
		v->init_ready = true;
		return 0;
	case INIT_APART:
		return 0;
	case INIT_FAILED:
		if (n != (ssize_t)sizeof(msg))
			return err_set(err, "cannot start the sandbox: pid 1 failed");
		return init_failed(v, &msg.err, err);
	case INIT_BEGIN:
	case INIT_ROOT:
	case INIT_MAPPED:
	case INIT_GO:
		break;
	}
	return err_set(err, "cannot start the sandbox: pid 1 said what it cannot say");
}

static void hear_net(struct supervisor *v)
{
	char byte;

	/* The end of file instead: it is about to end, and says why. */
	if (read(v->net_ready_fd, &byte, 1) == 1)
		v->net_ready = true;
	cleanup_fd(&v->net_ready_fd);
	if (v->sb->plan->pasta)
		(void)unlinkat(v->sb->run_fd, NET_FIFO, 0);
}

/* One round: wait for anything, and do what is to be done. */
static int turn(struct supervisor *v, int timeout, struct err *err)
{
	const int door = v->up && v->ports.pid == 0 ? v->ports.door : -1;
	struct pollfd fds[7] = {
		{.fd = v->signals, .events = POLLIN},
		{.fd = v->init_sock, .events = POLLIN},
		{.fd = v->net_ready_fd, .events = POLLIN},
		{.fd = v->fuse.err_fd, .events = POLLIN},
		{.fd = v->slirp.err_fd, .events = POLLIN},
		{.fd = v->ports.ready_fd, .events = POLLIN},
		{.fd = door, .events = POLLIN},
	};
	int n = poll(fds, 7, v->prefetch.root >= 0 ? 0 : timeout);

	if (n == 0 && v->prefetch.root >= 0) {
		(void)prefetch_step(&v->prefetch);
		return 0;
	}
	if (n < 0 && errno != EINTR)
		return err_errno(err, errno, "cannot wait for the sandbox");
	if (n == 0)
		return err_set(err, "cannot start the sandbox: it took more than %d s",
			       START_MS / 1000);
	service_listen(&v->fuse);
	service_listen(&v->slirp);
	if (fds[1].revents && hear_init(v, err) < 0)
		return -1;
	if (fds[2].revents)
		hear_net(v);
	if (fds[5].revents && publish_hear(&v->ports, err) < 0)
		return -1;
	if (fds[0].revents && reap(v, err) < 0)
		return -1;
	if (fds[6].revents && !v->over)
		publish_knocked(&v->ports, v->sb);
	if (!v->up && !v->over && v->init_ready && v->net_ready && v->ports.ready_fd < 0)
		return go(v, err);
	return 0;
}

/* fuse-overlayfs may still have to write: it ends when the last mount is gone. */
static void end_fuse(struct supervisor *v)
{
	const uint64_t end = command_now_ms() + UNMOUNT_MS;
	uint64_t now;

	(void)umount2("root", MNT_DETACH);
	while (v->fuse.pid > 0 && (now = command_now_ms()) < end) {
		struct signalfd_siginfo info;
		int status = 0;

		if (waitpid(v->fuse.pid, &status, WNOHANG) == v->fuse.pid) {
			v->fuse.pid = 0;
			return;
		}
		await_child(v, end - now);
		(void)!read(v->signals, &info, sizeof(info));
		service_listen(&v->fuse);
	}
	proc_end(v->fuse.pid);
}

static void tear_down(struct supervisor *v)
{
	/* With pid 1 goes all that runs inside: pid_namespaces(7). */
	proc_end(v->init);
	proc_end(v->ports.pid);
	proc_end(v->slirp.pid);
	end_fuse(v);
	/* Else the next start removes it, and where the filesystem discards what becomes free it waits for that. */
	if (v->sb->plan->driver == ROOT_KERNEL)
		(void)unlinkat(AT_FDCWD, ROOT_WORK, AT_REMOVEDIR);
	(void)unlinkat(v->sb->run_fd, SANDBOX_SOCKET, 0);
	publish_close(&v->ports, v->sb);
	prefetch_done(&v->prefetch);
}

static int run(struct supervisor *v, struct err *err)
{
	const uint64_t end = command_now_ms() + START_MS;

	if (build(v, err) < 0)
		return last_words(v, err);
	while (!v->over) {
		const uint64_t now = command_now_ms();
		int left = now < end ? (int)(end - now) : 0;

		if (turn(v, v->up ? -1 : left, err) < 0)
			return -1;
	}
	return 0;
}

/* The next word of the guard; without one, it says itself what is wrong. */
static bool hear_guard(int sock)
{
	char byte;
	ssize_t n;

	do
		n = read(sock, &byte, 1);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

_Noreturn void supervisor_main(const struct sandbox *sb, int mapping)
{
	struct supervisor v = {
		.sb = sb,
		.init_sock = -1,
		.net_ready_fd = -1,
		.fuse = SERVICE_NONE,
		.slirp = SERVICE_NONE,
		.ports = PUBLISH_NONE,
		.prefetch = PREFETCH_NONE,
	};
	struct err err = {0};
	sigset_t wanted;
	bool told = false;

	prefault(&sb->memory);
	title_set(&sb->title, "sbx-super", "sbx-supervisor");
	(void)sigemptyset(&wanted);
	(void)sigaddset(&wanted, SIGCHLD);
	(void)sigaddset(&wanted, SIGTERM);
	v.signals = signalfd(-1, &wanted, SFD_CLOEXEC | SFD_NONBLOCK);
	/* When the guard dies, an orderly end; where it is dead already, the same. */
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != sb->guard_pid)
		_exit(1);
	if (v.signals < 0)
		(void)err_errno(&err, errno, "cannot wait for signals");
	else if (!hear_guard(mapping))
		told = true;
	else if (prepare(&v, &err) == 0)
		told = !hear_guard(mapping);
	if (err.kind == ERR_NONE && !told)
		(void)run(&v, &err);
	tear_down(&v);
	if (!v.up && !told)
		err_send(&err, sb->report_fd);
	_exit(0);
}
