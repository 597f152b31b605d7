/* Whose the other end is.  That another user's is told from one's own: tests/cli/test_kernel.py. */
#include "run/peer.h"
#include "tcp_world.h"

static void of_both_ends_it_is_known(void **state)
{
	uid_t uid = (uid_t)-1;
	int fds[2];

	(void)state;
	world_pair(fds);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(peer_uid(fds[i], &uid), 0);
		assert_int_equal(uid, getuid());
		assert_false(peer_is_foreign(fds[i]));
	}
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void over_ipv6_too(void **state)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	uint16_t port = 0;
	_cleanup_fd_ int listener = world_bound(true, SOCK_STREAM, &port);
	_cleanup_fd_ int near = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_fd_ int far = -1;
	uid_t uid = (uid_t)-1;

	(void)state;
	if (listener < 0) {
		not_had("IPv6");
		return;
	}
	to.sin6_port = htons(port);
	assert_int_equal(connect(near, (const struct sockaddr *)&to, sizeof(to)), 0);
	far = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_int_equal(peer_uid(far, &uid), 0);
	assert_int_equal(uid, getuid());
}

/* Not known is not foreign: what is no connection, or no TCP. */
static void of_others_it_is_not_known(void **state)
{
	uint16_t port = 0;
	_cleanup_fd_ int listener = world_bound(false, SOCK_STREAM, &port);
	uid_t uid = 7;
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_int_equal(peer_uid(fds[0], &uid), -1);
	assert_int_equal(peer_uid(listener, &uid), -1);
	assert_int_equal(peer_uid(-1, &uid), -1);
	assert_int_equal(uid, 7);
	assert_false(peer_is_foreign(fds[0]));
	(void)close(fds[0]);
	(void)close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(of_both_ends_it_is_known),
		cmocka_unit_test(over_ipv6_too),
		cmocka_unit_test(of_others_it_is_not_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
