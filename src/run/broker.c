#include "run/broker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/proc.h"
#include "plan/plan.h"
#include "run/broker_internal.h"
#include "run/dialer.h"
#include "run/listener.h"
#include "run/privs.h"
#include "run/seccomp.h"
#include "run/title.h"

/* More are not used; an eighth of them is for listeners and the like. */
#define MAX_FDS 40000

/* How often to look for peers of UDP that have gone. */
#define EXPIRE_MS 5000

/* Where descriptors or memory are short: when to try again. */
#define SHORT_MS 100

/* From one listener in a row; others wait. */
#define ACCEPTS 32

struct accepted {
	struct broker *b;
	int fd;
	uint32_t tag;
};

static void on_dialed(void *ctx, int fd, int errnum)
{
	struct accepted *a = ctx;

	(void)errnum;
	/* Nobody listens inside: as if nobody listened here. */
	if (fd < 0)
		joint_reset(a->fd);
	else
		joints_start(&a->b->joints, a->fd, fd, a->tag);
	free(a);
}

static bool may_accept(const struct broker *b)
{
	return b->short_of == 0 && b->dialing.n < DIALING_MAX &&
	       b->joints.n + b->dialing.n < b->max_joints;
}

static bool is_shortage(int errnum)
{
	return errnum == EMFILE || errnum == ENFILE || errnum == ENOBUFS || errnum == ENOMEM;
}

static void on_connection(struct watch *w, uint32_t events)
{
	struct published *p = (struct published *)w; /* its first field */
	struct broker *b = p->b;
	const struct dial_order order = {.port = p->port.inside};

	(void)events;
	for (int i = 0; i < ACCEPTS && may_accept(b); i++) {
		_cleanup_fd_ int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		struct accepted *a;

		if (fd < 0) {
			b->short_of = is_shortage(errno) ? errno : 0;
			return;
		}
		a = xcalloc(1, sizeof(*a));
		*a = (struct accepted){.b = b, .fd = TAKE_FD(fd), .tag = p->tag};
		if (dialing_ask(&b->dialing, &order, on_dialed, a) < 0)
			on_dialed(a, -1, ECONNRESET);
	}
}

/* What waits in a listener's backlog is accepted when there is room again. */
static void open_or_shut(struct broker *b)
{
	const bool open = may_accept(b);

	if (open == b->accepting)
		return;
	b->accepting = open;
	for (struct published *p = b->published; p; p = p->next)
		if (p->watch.fd >= 0)
			(void)loop_change(&b->loop, &p->watch, open ? EPOLLIN : 0);
}

/* The socket is theirs then. */
static int watch_port(struct broker *b, struct published *p, int fd)
{
	if (p->port.udp)
		return datagrams_start(&b->udp, fd, p->port.inside, &p->datagrams);
	p->watch = (struct watch){.fd = fd, .ready = on_connection};
	return loop_add(&b->loop, &p->watch, b->accepting ? EPOLLIN : 0);
}

int broker_publish(struct broker *b, const struct port *port, struct published **ret,
		   struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct published *p;
	struct port bound = *port;

	if (listener_open(&bound, &fd, err) < 0)
		return -1;
	p = xcalloc(1, sizeof(*p));
	*p = (struct published){.watch.fd = -1, .b = b, .port = bound, .tag = ++b->last_tag};
	p->port.errnum = 0;
	if (watch_port(b, p, fd) < 0) {
		free(p);
		return err_errno(err, errno, "cannot publish port %u", (unsigned)bound.host);
	}
	(void)TAKE_FD(fd);
	p->next = b->published;
	b->published = p;
	*ret = p;
	return 0;
}

void broker_unpublish(struct broker *b, struct published *p)
{
	struct published **link = &b->published;
	int fd = p->watch.fd;

	while (*link != p)
		link = &(*link)->next;
	*link = p->next;
	loop_remove(&b->loop, &p->watch);
	if (fd >= 0)
		(void)close(fd);
	datagrams_free(p->datagrams);
	loop_discard(&b->loop, p);
}

void broker_save(const struct broker *b)
{
	struct ports_table *t = b->how->table;
	uint32_t n = 0;

	for (const struct published *p = b->published; p && n < PORTS_MAX; p = p->next)
		t->port[n++] = p->port;
	t->n = n;
}

uint32_t broker_connections(const struct broker *b, const struct published *p)
{
	return p->datagrams ? datagrams_count(p->datagrams) : joints_count(&b->joints, p->tag);
}

/* The line of the profile that asked for it. */
static int failed_at(const struct broker_how *how, uint32_t i, struct err *err)
{
	const struct origin *at = &how->plan->ports[i].at;

	return at->file ? err_prefix(err, "%s:%d", at->file, at->line) : -1;
}

/*
 * All of the table.  At the start of a sandbox each has to be had that is not optional; a broker that comes after
 * another takes those that are still free, and of the others says why.
 */
static int publish_table(struct broker *b, bool strict, struct err *err)
{
	const struct ports_table table = *b->how->table;

	for (uint32_t i = 0; i < table.n && i < PORTS_MAX; i++) {
		struct published *p;
		struct err why = {0};

		if (broker_publish(b, &table.port[i], &p, &why) == 0)
			continue;
		if (strict && !b->how->plan->ports[i].optional) {
			*err = why;
			return failed_at(b->how, i, err);
		}
		p = xcalloc(1, sizeof(*p));
		*p = (struct published){.watch = {.fd = -1}, .b = b, .port = table.port[i]};
		p->port.errnum = why.errnum ? why.errnum : EIO;
		p->next = b->published;
		b->published = p;
	}
	broker_save(b);
	return 0;
}

/* So that no descriptor is ever missing: two for a connection, one for a peer of UDP. */
static void set_limits(struct broker *b)
{
	struct rlimit limit = {.rlim_cur = 1024, .rlim_max = 1024};
	size_t n;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
		(void)getrlimit(RLIMIT_NOFILE, &limit);
	}
	n = limit.rlim_cur < MAX_FDS ? (size_t)limit.rlim_cur : MAX_FDS;
	b->udp.max_peers = n / 8;
	b->max_joints = (n - n / 8 - n / 8) / 2;
}

/* As little as it can do with: no folder, no file, no capability. */
static int settle(const struct broker_how *how, int parent, int *ret_dialer, struct err *err)
{
	const int keep[] = {how->door, how->netns, how->lock_fd, how->ready_fd};

	title_set(how->title, "sbx-ports", "sbx-ports");
	proc_close_fds_except(STDERR_FILENO + 1, keep, sizeof(keep) / sizeof(keep[0]));
	(void)signal(SIGPIPE, SIG_IGN);
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	if (chdir("/") < 0)
		return err_errno(err, errno, "cannot change to '/'");
	if (dialer_start(how->netns, how->lock_fd, how->title, ret_dialer, err) < 0)
		return -1;
	(void)close(how->netns);
	return privs_drop(err);
}

static int start(struct broker *b, int parent, struct err *err)
{
	int dialer = -1;

	set_limits(b);
	if (settle(b->how, parent, &dialer, err) < 0 || loop_init(&b->loop, err) < 0)
		return -1;
	joints_init(&b->joints, &b->loop);
	b->udp.loop = &b->loop;
	b->udp.dialing = &b->dialing;
	if (dialing_init(&b->dialing, &b->loop, dialer) < 0 || broker_listen(b) < 0)
		return err_errno(err, errno, "cannot watch the broker's sockets");
	if (seccomp_confine(SECCOMP_BROKER, err) < 0)
		return -1;
	b->accepting = true;
	return publish_table(b, b->how->ready_fd >= 0, err);
}

static void expire(struct broker *b)
{
	const uint64_t now = loop_now_ms();

	if (b->udp.n_peers == 0 || now - b->expired_ms < EXPIRE_MS)
		return;
	b->expired_ms = now;
	for (const struct published *p = b->published; p; p = p->next)
		if (p->datagrams && now > DATAGRAMS_IDLE_MS)
			datagrams_expire(p->datagrams, now - DATAGRAMS_IDLE_MS);
}

static int timeout(const struct broker *b, bool more)
{
	if (more)
		return 0;
	if (b->short_of)
		return SHORT_MS;
	return b->udp.n_peers > 0 ? EXPIRE_MS : -1;
}

static bool idle(const struct broker *b)
{
	return !b->published && b->joints.n == 0 && b->dialing.n == 0 && b->n_controls == 0;
}

_Noreturn void broker_main(const struct broker_how *how, int parent)
{
	struct broker b = {.how = how};
	struct err err = {0};
	bool more = false;

	if (start(&b, parent, &err) < 0) {
		if (how->ready_fd >= 0)
			err_send(&err, how->ready_fd);
		_exit(1);
	}
	if (how->ready_fd >= 0) {
		(void)!write(how->ready_fd, "1", 1);
		(void)close(how->ready_fd);
	}
	/* Without its dialer it is of no use: the supervisor starts both anew. */
	while (!b.dialing.over) {
		loop_turn(&b.loop, timeout(&b, more));
		b.short_of = 0;
		more = joints_work(&b.joints);
		open_or_shut(&b);
		expire(&b);
		if (idle(&b))
			_exit(0);
	}
	_exit(1);
}
