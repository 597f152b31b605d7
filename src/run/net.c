#include "run/net.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "plan/plan.h"
#include "run/sandbox.h"
#include "run/service.h"

static void bring_lo_up(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_flags = IFF_UP};

	(void)snprintf(request.ifr_name, sizeof(request.ifr_name), "lo");
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		log_debug("cannot bring lo up: %s", strerror(errno));
}

/*
 * Who may send pings without privilege: a range of groups as the kernel numbers them, so that root's
 * and the user's own are both in it where the user's comes first or last of all; else the user's alone.
 */
static void open_ping(const struct plan *plan)
{
	static const char knob[] = "/proc/sys/net/ipv4/ping_group_range";
	unsigned own = sandbox_self_gid(plan);
	char range[64];

	(void)snprintf(range, sizeof(range), "%u 65535", own);
	if (plan->rung == RUNG_SUBIDS && own != 65535 && fs_write_knob(knob, range) == 0)
		return;
	(void)snprintf(range, sizeof(range), "%u %u", own, own);
	if (fs_write_knob(knob, range) < 0)
		log_debug("cannot write '%s': %s", knob, strerror(errno));
}

/*
 * Since Linux 6.10 descriptors are counted when their message is queued, and not when the user's limit is looked
 * at (run/privs.h, privs_reserve_files).  In between a sender waits for a full queue of datagrams: many of them
 * could go past the limit together.  With no limit for the queue they do not wait; how much each socket sends
 * without being read its buffer bounds.
 */
static void open_queues(void)
{
	static const char knob[] = "/proc/sys/net/unix/max_dgram_qlen";

	/* Before 6.10 it may not be there, and is not needed. */
	if (fs_write_knob(knob, "2147483647") < 0)
		log_debug("cannot write '%s': %s", knob, strerror(errno));
}

void net_prepare(const struct plan *plan)
{
	static const char low_ports[] = "/proc/sys/net/ipv4/ip_unprivileged_port_start";

	bring_lo_up();
	if (fs_write_knob(low_ports, "0") < 0)
		log_debug("cannot write '%s': %s", low_ports, strerror(errno));
	open_ping(plan);
	open_queues();
}

int net_start_slirp(const struct plan *plan, pid_t pid, struct service *ret_slirp,
		    int *ret_ready_fd, struct err *err)
{
	char path[64];
	char ns[32];
	char ready[16];
	int ends[2];
	_cleanup_fd_ int netns = -1;
	_cleanup_fd_ int ready_read = -1;
	_cleanup_fd_ int ready_write = -1;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0 || pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot open the network namespace");
	ready_read = ends[0];
	ready_write = ends[1];
	(void)snprintf(ns, sizeof(ns), "/proc/self/fd/%d", netns);
	(void)snprintf(ready, sizeof(ready), "%d", ready_write);

	const char *const argv[] = {
		plan->slirp4netns,
		"--configure",
		"--mtu=65520",
		"--disable-host-loopback",
		"--enable-sandbox",
		"--enable-seccomp",
		"--netns-type=path",
		"--ready-fd",
		ready,
		ns,
		"tap0",
		NULL,
	};
	const int fds[] = {netns, ready_write};
	const struct service_how how = {.argv = argv, .fds = fds, .n_fds = 2, .as_root = true};

	if (service_start(&how, ret_slirp, err) < 0)
		return -1;
	*ret_ready_fd = TAKE_FD(ready_read);
	return 0;
}

int net_start_pasta(const struct plan *plan, pid_t pid, int run_fd, struct service *ret_pasta,
		    int *ret_ready_fd, struct err *err)
{
	char path[64];
	static const char ns[] = "/proc/self/fd/0";
	static const char fifo[] = "/proc/self/fd/1/" NET_FIFO;
	static const char dns[] = "--dns-forward=" PLAN_PASTA_DNS;
	_cleanup_fd_ int netns = -1;
	_cleanup_fd_ int ready = -1;
	_cleanup_fd_ int run = fcntl(run_fd, F_DUPFD_CLOEXEC, 3);

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	netns = open(path, O_RDONLY | O_CLOEXEC);
	if (netns < 0 || run < 0)
		return err_errno(err, errno, "cannot open the network namespace");
	(void)unlinkat(run_fd, NET_FIFO, 0);
	if (mkfifoat(run_fd, NET_FIFO, 0600) < 0)
		return err_errno(err, errno, "cannot make a fifo in '%s/run'", plan->env_dir);
	ready = openat(run_fd, NET_FIFO, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
	if (ready < 0)
		return err_errno(err, errno, "cannot open a fifo in '%s/run'", plan->env_dir);

	const char *const argv[] = {
		plan->pasta,
		"--foreground",
		"--stderr",
		"--quiet",
		"--config-net",
		"--netns-only",
		"--no-netns-quit",
		/* Neither the host's loopback nor its ports, and none of ours there. */
		"--no-map-gw",
		"--tcp-ports=none",
		"--udp-ports=none",
		"--tcp-ns=none",
		"--udp-ns=none",
		dns,
		"--ns-ifname=tap0",
		"--pid",
		fifo,
		"--netns",
		ns,
		NULL,
	};
	/* Since 2024 it closes what is open but for the standard streams, before it reads its arguments. */
	const struct service_how how = {.argv = argv, .in = netns, .out = run};

	if (service_start(&how, ret_pasta, err) < 0)
		return -1;
	*ret_ready_fd = TAKE_FD(ready);
	return 0;
}
