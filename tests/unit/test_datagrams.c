/* Peers of a published UDP port, with a real dialer in a network namespace of the test's own. */
#include <sched.h>
#include <sys/epoll.h>

#include "plan/plan.h"
#include "run/datagrams.h"
#include "run/dialing.h"
#include "run/listener.h"
#include "run/net.h"
#include "run/ports.h"
#include "run/title.h"
#include "tcp_world.h"

struct udp {
	struct loop loop;
	struct dialing dialing;
	struct datagrams_common common;
	struct datagrams *d;
	uint16_t outside;
};

static int setup_udp(struct udp *u, uint16_t inside)
{
	const struct title title = {0};
	struct port port = {.address = "127.0.0.1", .inside = inside, .udp = true};
	_cleanup_fd_ int ns = -1;
	struct err err = {0};
	int sock = -1;
	int fd = -1;

	ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	REQUIRE(ns >= 0);
	REQUIRE_DONE(dialer_start(ns, -1, &title, &sock, &err));
	REQUIRE_DONE(loop_init(&u->loop, &err));
	REQUIRE(dialing_init(&u->dialing, &u->loop, sock) == 0);
	u->common =
		(struct datagrams_common){.loop = &u->loop, .dialing = &u->dialing, .max_peers = 3};
	REQUIRE_DONE(listener_open(&port, &fd, &err));
	REQUIRE(datagrams_start(&u->common, fd, inside, &u->d) == 0);
	u->outside = port.host;
	return 0;
}

/* Turn until `fd` has something, or nothing has happened for a while. */
static void turn_for(struct udp *u, int fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
			      {.fd = u->loop.epoll, .events = POLLIN}};

	while (poll(p, 2, 200) > 0 && !p[0].revents)
		loop_turn(&u->loop, 0);
}

static bool says(struct udp *u, int fd, const char *text)
{
	char got[64];
	ssize_t n;

	turn_for(u, fd);
	n = recv(fd, got, sizeof(got), MSG_DONTWAIT);
	return n == (ssize_t)strlen(text) && memcmp(got, text, (size_t)n) == 0;
}

static bool say(int fd, const char *text)
{
	return send(fd, text, strlen(text), 0) == (ssize_t)strlen(text);
}

static int talk(const struct world *w)
{
	struct udp u = {0};
	struct sockaddr_in from[2];
	socklen_t n = sizeof(from[0]);
	uint16_t inside = 0;
	char got[64];
	int server;
	int a;
	int b;
	int more;

	(void)w;
	if (unshare(CLONE_NEWNET) < 0)
		return NOT_HAD;
	net_prepare(&(const struct plan){.rung = RUNG_SINGLE});
	server = world_bound(false, SOCK_DGRAM, &inside);
	REQUIRE(server >= 0 && setup_udp(&u, inside) == 0);
	a = world_connect(u.outside, SOCK_DGRAM);
	b = world_connect(u.outside, SOCK_DGRAM);
	more = world_connect(u.outside, SOCK_DGRAM);

	/* Two that come before the socket inside is there arrive both, and from one address. */
	REQUIRE(say(a, "one") && say(a, "two"));
	turn_for(&u, server);
	REQUIRE(recvfrom(server, got, sizeof(got), 0, (struct sockaddr *)&from[0], &n) == 3);
	REQUIRE(says(&u, server, "two"));
	REQUIRE(say(b, "other"));
	turn_for(&u, server);
	REQUIRE(recvfrom(server, got, sizeof(got), 0, (struct sockaddr *)&from[1], &n) == 5);
	REQUIRE(from[0].sin_port != from[1].sin_port);
	REQUIRE(datagrams_count(u.d) == 2 && u.common.n_peers == 2);

	/* Each gets its own answer, and an empty one is one too. */
	REQUIRE(sendto(server, "to b", 4, 0, (struct sockaddr *)&from[1], n) == 4);
	REQUIRE(sendto(server, "to a", 4, 0, (struct sockaddr *)&from[0], n) == 4);
	REQUIRE(says(&u, b, "to b") && says(&u, a, "to a"));
	REQUIRE(sendto(server, "", 0, 0, (struct sockaddr *)&from[0], n) == 0);
	REQUIRE(says(&u, a, ""));
	REQUIRE(u.common.held == 0 || u.common.held == 5);

	/* Above the limit the one that was silent longest goes: b, for a was heard of since. */
	REQUIRE(say(more, "m") && says(&u, server, "m"));
	(void)close(more);
	more = world_connect(u.outside, SOCK_DGRAM);
	REQUIRE(say(more, "n") && says(&u, server, "n"));
	REQUIRE(datagrams_count(u.d) == 3);
	REQUIRE(say(a, "still") && says(&u, server, "still"));
	REQUIRE(sendto(server, "late", 4, 0, (struct sockaddr *)&from[1], n) == 4);
	REQUIRE(!says(&u, b, "late"));

	datagrams_expire(u.d, loop_now_ms() + 1);
	REQUIRE(datagrams_count(u.d) == 0 && u.common.n_peers == 0 && u.common.held == 0);
	loop_turn(&u.loop, 0);
	datagrams_free(u.d);
	dialing_done(&u.dialing);
	loop_done(&u.loop);
	return 0;
}

static void peers_are_told_apart(void **state)
{
	in_namespace(*state, talk);
}

/* At ::1 alone, and then at neither. */
static int only_six(const struct world *w)
{
	struct udp u = {0};
	uint16_t inside = 0;
	int server;
	int a;
	int b;

	(void)w;
	if (unshare(CLONE_NEWNET) < 0)
		return NOT_HAD;
	net_prepare(&(const struct plan){.rung = RUNG_SINGLE});
	server = world_bound(true, SOCK_DGRAM, &inside);
	if (server < 0)
		return NOT_HAD;
	REQUIRE(setup_udp(&u, inside) == 0);
	a = world_connect(u.outside, SOCK_DGRAM);
	REQUIRE(say(a, "six") && says(&u, server, "six"));
	REQUIRE(datagrams_count(u.d) == 1);
	/* Of two at once the second gets the refusal of the first. */
	b = world_connect(u.outside, SOCK_DGRAM);
	REQUIRE(say(b, "seven") && say(b, "eight"));
	REQUIRE(says(&u, server, "seven") && says(&u, server, "eight"));
	datagrams_expire(u.d, loop_now_ms() + 1);
	REQUIRE(say(a, "nine") && says(&u, server, "nine"));
	(void)close(server);
	REQUIRE(say(a, "nobody"));
	turn_for(&u, -1);
	REQUIRE(datagrams_count(u.d) == 0 && u.common.held == 0);
	datagrams_free(u.d);
	dialing_done(&u.dialing);
	loop_done(&u.loop);
	return 0;
}

static void what_listens_at_the_other_loopback_is_found(void **state)
{
	in_namespace(*state, only_six);
}

static void none_can_be_freed(void **state)
{
	(void)state;
	datagrams_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(peers_are_told_apart),
		TEST(what_listens_at_the_other_loopback_is_found),
		cmocka_unit_test(none_can_be_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
