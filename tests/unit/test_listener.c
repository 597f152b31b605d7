/* Sockets for published ports, and what stands in the way of one. */
#include "run/listener.h"
#include "run/ports.h"
#include "tcp_world.h"

static void a_free_port_is_found_and_told(void **state)
{
	struct port p = {.address = "127.0.0.1", .inside = 80};
	struct port same;
	struct err err = {0};
	char name[LISTENER_NAME];
	int fd = -1;
	int other = -1;

	(void)state;
	assert_int_equal(listener_open(&p, &fd, &err), 0);
	assert_true(p.host > 0);
	other = world_connect(p.host, SOCK_STREAM);
	assert_true(other >= 0);
	assert_true(readable(fd));
	(void)close(other);
	/* It is taken now; of UDP it is another one. */
	same = p;
	assert_int_equal(listener_open(&same, &other, &err), -1);
	assert_int_equal(err.errnum, EADDRINUSE);
	assert_true(str_starts(listener_name(&p, name), "127.0.0.1:"));
	assert_non_null(strstr(err.msg, name));
	assert_non_null(strstr(err.hint, "another program has it, `ss -lntp` says which; or use "
					 "another one: "));
	same.udp = true;
	assert_int_equal(listener_open(&same, &other, &err), 0);
	assert_true(str_ends(listener_name(&same, name), "/udp"));
	(void)close(other);
	(void)close(fd);
}

static void both_of_udp_cannot_be_had(void **state)
{
	struct port p = {.address = "127.0.0.1", .inside = 80, .udp = true};
	struct port same;
	struct err err = {0};
	int fd = -1;
	int other = -1;

	(void)state;
	assert_int_equal(listener_open(&p, &fd, &err), 0);
	same = p;
	assert_int_equal(listener_open(&same, &other, &err), -1);
	assert_int_equal(err.errnum, EADDRINUSE);
	assert_non_null(strstr(err.hint, "`ss -lnup` says which"));
	(void)close(fd);
}

static void an_address_of_another_machine_is_told(void **state)
{
	struct port p = {.address = "192.0.2.1", .host = 18888, .inside = 80};
	struct port no = {.address = "nowhere", .host = 18888, .inside = 80};
	struct err err = {0};
	int fd = -1;

	(void)state;
	assert_int_equal(listener_open(&p, &fd, &err), -1);
	assert_string_equal(err.msg,
			    "cannot publish port 18888 at '192.0.2.1:18888': Cannot assign "
			    "requested address");
	assert_string_equal(err.hint, "this machine does not have that address: `ip address` lists "
				      "those that it has");
	assert_int_equal(listener_open(&no, &fd, &err), -1);
	assert_string_equal(err.msg, "cannot publish a port at 'nowhere': it is not an address");
	assert_int_equal(fd, -1);
}

/* As anybody who is not root, where low ports are root's. */
static int low_port(void *arg)
{
	struct port p = {.address = "127.0.0.1", .host = 81, .inside = 8000};
	struct err err = {0};
	int fd = -1;

	(void)arg;
	if (geteuid() == 0 && setresuid(4321, 4321, 4321) < 0)
		return NOT_HAD;
	if (listener_open(&p, &fd, &err) == 0)
		return NOT_HAD;
	REQUIRE(strcmp(err.msg, "cannot publish port 81 at '127.0.0.1:81': Permission denied") ==
		0);
	REQUIRE(strcmp(err.hint, "ports below 1024 are root's here: use another one, 8081:8000; or "
				 "sudo sysctl net.ipv4.ip_unprivileged_port_start=81") == 0);
	return 0;
}

static void a_low_port_is_roots(void **state)
{
	int r = proc_call(low_port, NULL);

	(void)state;
	if (r == NOT_HAD)
		not_had("a low port that is root's");
	else
		assert_int_equal(r, 0);
}

static void six_and_four_are_two(void **state)
{
	struct port p = {.address = "::", .inside = 80};
	struct port four;
	struct err err = {0};
	char name[LISTENER_NAME];
	int fd = -1;
	int other = -1;

	(void)state;
	if (listener_open(&p, &fd, &err) < 0) {
		not_had("IPv6");
		return;
	}
	assert_true(str_starts(listener_name(&p, name), "[::]:"));
	four = p;
	(void)snprintf(four.address, sizeof(four.address), "0.0.0.0");
	assert_int_equal(listener_open(&four, &other, &err), 0);
	(void)close(fd);
	(void)close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_free_port_is_found_and_told),
		cmocka_unit_test(both_of_udp_cannot_be_had),
		cmocka_unit_test(an_address_of_another_machine_is_told),
		cmocka_unit_test(a_low_port_is_roots),
		cmocka_unit_test(six_and_four_are_two),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
