/* Connecting inside: run/dialer, and run/dialing, which asks it. */
#include <sched.h>

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
		cmocka_unit_test(where_it_cannot_go_is_told),
		cmocka_unit_test(an_empty_one_can_be_done_with),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
