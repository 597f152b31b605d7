/* Connecting inside: run/dialer, and run/dialing, which asks it. */
#include <sched.h>
#include <sys/resource.h>

#include "plan/plan.h"
#include "run/dialer.h"
#include "run/dialing.h"
#include "run/net.h"
#include "run/title.h"
#include "tcp_world.h"

static void it_connects_to_either_loopback(void **state)
{
	uint16_t four = 0;
	uint16_t six = 0;
	_cleanup_fd_ int a = world_bound(false, SOCK_STREAM, &four);
	_cleanup_fd_ int b = world_bound(true, SOCK_STREAM, &six);
	_cleanup_fd_ int x = -1;
	_cleanup_fd_ int y = -1;
	struct dial_order order = {.port = four};

	(void)state;
	assert_int_equal(dialer_dial(&order, &x), 0);
	assert_true(readable(a));
	order.six = true;
	assert_int_equal(dialer_dial(&order, &y), ECONNREFUSED);
	if (b < 0) {
		not_had("IPv6");
		return;
	}
	/* At ::1 alone: found without being told. */
	order = (struct dial_order){.port = six};
	assert_int_equal(dialer_dial(&order, &y), 0);
	assert_true(readable(b));
}

static void where_nobody_listens_it_says_so(void **state)
{
	uint16_t port = 0;
	int fd = world_bound(false, SOCK_STREAM, &port);
	const struct dial_order order = {.port = port};
	int got = -1;

	(void)state;
	(void)close(fd);
	assert_int_equal(dialer_dial(&order, &got), ECONNREFUSED);
	assert_int_equal(got, -1);
}

struct outcome {
	int fd, errnum;
	unsigned calls;
};

static void keep(void *ctx, int fd, int errnum)
{
	struct outcome *o = ctx;

	*o = (struct outcome){fd, errnum, o->calls + 1};
}

/* In a network namespace of another process, which a client cannot reach itself. */
static int dial_inside(const struct world *w)
{
	const struct title title = {0};
	struct outcome good = {.fd = -1};
	struct outcome bad = {.fd = -1};
	struct outcome forgotten = {.fd = -1};
	struct dialing d = {0};
	struct loop loop = {0};
	struct err err = {0};
	uint16_t port = 0;
	_cleanup_fd_ int before = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int inside = -1;
	_cleanup_fd_ int listener = -1;
	int sock = -1;

	(void)w;
	if (unshare(CLONE_NEWNET) < 0)
		return NOT_HAD;
	net_prepare(&(const struct plan){.rung = RUNG_SINGLE});
	inside = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	listener = world_bound(false, SOCK_STREAM, &port);
	/* Another one, so that it has to go there. */
	REQUIRE(inside >= 0 && listener >= 0 && before >= 0 && unshare(CLONE_NEWNET) == 0);
	REQUIRE_DONE(dialer_start(inside, -1, &title, &sock, &err));
	REQUIRE_DONE(loop_init(&loop, &err));
	REQUIRE(dialing_init(&d, &loop, sock) == 0);

	const struct dial_order right = {.port = port};
	const struct dial_order wrong = {.port = 1};

	REQUIRE(dialing_ask(&d, &right, keep, &good) == 0);
	REQUIRE(dialing_ask(&d, &right, keep, &forgotten) == 0);
	REQUIRE(dialing_ask(&d, &wrong, keep, &bad) == 0);
	dialing_forget(&d, &forgotten);
	while (d.n > 0)
		loop_turn(&loop, RUN_LIMIT_MS);
	REQUIRE(good.calls == 1 && good.fd >= 0 && good.errnum == 0);
	REQUIRE(forgotten.calls == 0);
	REQUIRE(bad.calls == 1 && bad.fd == -1 && bad.errnum == ECONNREFUSED);
	REQUIRE(readable(listener));
	/* It ends with its channel, and whoever waits hears of that. */
	REQUIRE(dialing_ask(&d, &right, keep, &bad) == 0);
	REQUIRE(shutdown(sock, SHUT_RDWR) == 0);
	while (d.n > 0)
		loop_turn(&loop, RUN_LIMIT_MS);
	loop_turn(&loop, 0);
	REQUIRE(d.over && dialing_ask(&d, &right, keep, &bad) == -1);
	dialing_done(&d);
	loop_done(&loop);
	(void)close(good.fd);
	(void)close(sock);
	return 0;
}

static void it_dials_in_the_namespace_it_was_given(void **state)
{
	in_namespace(*state, dial_inside);
}

#define ON_THEIR_WAY 250 /* with one message not more than SCM_MAX_FD, 253 */

/* As many descriptors of this user's on their way as one message holds. */
static int fill_the_way(int sock, int fd)
{
	static union {
		char bytes[CMSG_SPACE(ON_THEIR_WAY * sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte = 0;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};

	control.align = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
					 .cmsg_type = SCM_RIGHTS,
					 .cmsg_len = CMSG_LEN(ON_THEIR_WAY * sizeof(int))};
	for (size_t i = 0; i < ON_THEIR_WAY; i++)
		memcpy(CMSG_DATA(&control.align) + i * sizeof(int), &fd, sizeof(int));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

/* A message with a descriptor, of a process that has this limit. */
static int send_with(int sock, rlim_t soft, rlim_t hard)
{
	const struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
	struct rlimit after;
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		int r;

		if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
			_exit(255);
		r = proc_send(sock, "x", 1, &sock, 1) < 0 ? errno : 0;
		if (getrlimit(RLIMIT_NOFILE, &after) < 0 || after.rlim_cur != soft)
			r = 255;
		_exit(r);
	}
	return proc_wait(pid, &status, NULL) == 0 ? proc_exit_status(status) : -1;
}

/* The soft limit is what a process gives itself; the hard one is what it may have. */
static int send_crowded(const struct world *w)
{
	struct rlimit limit;
	int way[2];
	int pair[2];

	(void)w;
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, way) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max > ON_THEIR_WAY);
	REQUIRE(fill_the_way(way[0], pair[0]) == 0);
	REQUIRE(send_with(pair[0], ON_THEIR_WAY - 1, ON_THEIR_WAY - 1) == ETOOMANYREFS);
	REQUIRE(send_with(pair[0], ON_THEIR_WAY - 1, limit.rlim_max) == 0);
	return 0;
}

static void only_the_hard_limit_keeps_a_descriptor_back(void **state)
{
	in_namespace(*state, send_crowded);
}

/* A dialer with a limit that the user's descriptors on their way reach. */
static int dial_crowded(const struct world *w)
{
	const struct title title = {0};
	struct outcome crowded = {.fd = -1};
	struct outcome later = {.fd = -1};
	const struct rlimit low = {.rlim_cur = ON_THEIR_WAY - 1, .rlim_max = ON_THEIR_WAY - 1};
	struct dialing d = {0};
	struct loop loop = {0};
	struct err err = {0};
	uint16_t port = 0;
	_cleanup_fd_ int net = -1;
	_cleanup_fd_ int listener = -1;
	struct dial_order order = {0};
	int way[2];
	int sock = -1;

	(void)w;
	if (unshare(CLONE_NEWNET) < 0)
		return NOT_HAD;
	net_prepare(&(const struct plan){.rung = RUNG_SINGLE});
	net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	listener = world_bound(false, SOCK_STREAM, &port);
	order.port = port;
	REQUIRE(net >= 0 && listener >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, way) == 0);
	REQUIRE(setrlimit(RLIMIT_NOFILE, &low) == 0);
	REQUIRE_DONE(dialer_start(net, -1, &title, &sock, &err));
	REQUIRE_DONE(loop_init(&loop, &err));
	REQUIRE(dialing_init(&d, &loop, sock) == 0);
	REQUIRE(fill_the_way(way[0], net) == 0);
	REQUIRE(dialing_ask(&d, &order, keep, &crowded) == 0);
	while (d.n > 0)
		loop_turn(&loop, RUN_LIMIT_MS);
	REQUIRE(crowded.calls == 1 && crowded.fd == -1 && crowded.errnum == ETOOMANYREFS);
	/* Closed, they are on their way no longer; the dialer is there still. */
	(void)close(way[0]);
	(void)close(way[1]);
	REQUIRE(dialing_ask(&d, &order, keep, &later) == 0);
	while (d.n > 0)
		loop_turn(&loop, RUN_LIMIT_MS);
	REQUIRE(later.calls == 1 && later.fd >= 0 && later.errnum == 0);
	dialing_done(&d);
	loop_done(&loop);
	(void)close(later.fd);
	(void)close(sock);
	return 0;
}

static void without_a_descriptor_to_send_it_goes_on(void **state)
{
	in_namespace(*state, dial_crowded);
}

/* What is no network namespace. */
static void where_it_cannot_go_is_told(void **state)
{
	const struct title title = {0};
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct err err = {0};
	int sock = -1;

	(void)state;
	assert_int_equal(dialer_start(null_fd, -1, &title, &sock, &err), -1);
	assert_string_equal(err.msg,
			    "cannot enter the sandbox's network namespace: Invalid argument");
	assert_int_equal(sock, -1);
}

static void an_empty_one_can_be_done_with(void **state)
{
	struct dialing d = {0};

	(void)state;
	dialing_done(NULL);
	dialing_done(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_connects_to_either_loopback),
		cmocka_unit_test(where_nobody_listens_it_says_so),
		TEST(it_dials_in_the_namespace_it_was_given),
		TEST(without_a_descriptor_to_send_it_goes_on),
		TEST(only_the_hard_limit_keeps_a_descriptor_back),
		cmocka_unit_test(where_it_cannot_go_is_told),
		cmocka_unit_test(an_empty_one_can_be_done_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
