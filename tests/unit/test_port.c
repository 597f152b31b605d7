/* How a published port is written. */
#include <string.h>

#include "base/str.h"
#include "conf/port.h"
#include "profile_world.h"

/* Read, and printed again. */
static void reads(struct arena *a, const char *text, unsigned flags, const char *again)
{
	_cleanup_buf_ struct buf b = {0};
	struct port_value v = {0};
	struct err err = {0};

	if (port_parse(a, text, flags, &v, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	port_print(&v, &b);
	assert_string_equal(b.p, again);
}

static void what_is_written_is_read(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	reads(a, "8888", 0, "8888");
	reads(a, "8888:8888", 0, "8888");
	reads(a, "8888:80", 0, "8888:80");
	reads(a, "8888/tcp", 0, "8888");
	reads(a, "53:5353/udp", 0, "53:5353/udp");
	reads(a, "127.0.0.2:80:81", 0, "127.0.0.2:80:81");
	reads(a, "[::1]:80/udp", 0, "[::1]:80/udp");
	reads(a, "0:80", PORT_ANY, "0:80");
	reads(a, "[::1]:0:80", PORT_ANY, "[::1]:0:80");
}

static void refuses(struct arena *a, const char *text, unsigned flags, const char *message,
		    const char *hint)
{
	struct port_value v = {.host = 7};
	struct err err = {0};

	assert_int_equal(port_parse(a, text, flags, &v, &err), -1);
	assert_string_equal(err.msg, message);
	assert_string_equal(err.hint, hint);
	assert_int_equal(v.host, 7);
}

static void mistakes_are_told(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	refuses(a, "0:80", 0, "'0' is not a port: a number from 1 to 65535", "");
	refuses(a, "0", PORT_ANY, "'0' does not say which port inside",
		"0 is any port of the host's that is free: write 0:8888");
	refuses(a, "70000", PORT_ANY, "'70000' is not a port: a number from 0 to 65535", "");
	refuses(a, "80:0", PORT_ANY, "'0' is not a port: a number from 1 to 65535", "");
	refuses(a, "80/sctp", 0, "'sctp' is not a protocol: tcp or udp", "");
	refuses(a, "80/udp:53", 0, "'udp:53' is not a protocol: tcp or udp", "");
	refuses(a, "", 0, "'' is not a port: a number from 1 to 65535", "");
	refuses(a, "[::1", 0, "'[::1' is not [ADDRESS:]PORT[:PORT-INSIDE][/udp]", "");
	refuses(a, "localhost:80", 0, "'localhost' is not an address",
		"write a numeric address such as 127.0.0.1:8888 or [::1]:8888");
}

static bool clash(struct arena *a, const char *x, const char *y)
{
	struct port_value v = {0};
	struct port_value w = {0};
	struct err err = {0};

	assert_int_equal(port_parse(a, x, PORT_ANY, &v, &err), 0);
	assert_int_equal(port_parse(a, y, PORT_ANY, &w, &err), 0);
	assert_int_equal(port_clash(&v, &w), port_clash(&w, &v));
	return port_clash(&v, &w);
}

static void which_cannot_be_bound_both(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	assert_true(clash(a, "80", "80:81"));
	assert_true(clash(a, "80", "127.0.0.1:80"));
	assert_true(clash(a, "80", "0.0.0.0:80"));
	assert_true(clash(a, "[::]:80", "[::1]:80"));
	assert_false(clash(a, "80", "81"));
	assert_false(clash(a, "80", "80/udp"));
	assert_false(clash(a, "80", "127.0.0.2:80"));
	assert_false(clash(a, "0.0.0.0:80", "[::]:80"));
	assert_false(clash(a, "0:80", "0:80"));
}

static void which_others_reach(void **state)
{
	(void)state;
	assert_true(port_is_loopback(NULL));
	assert_true(port_is_loopback("127.0.0.1"));
	assert_true(port_is_loopback("127.1.2.3"));
	assert_true(port_is_loopback("::1"));
	assert_false(port_is_loopback("0.0.0.0"));
	assert_false(port_is_loopback("::"));
	assert_false(port_is_loopback("::ffff:127.0.0.1"));
	assert_false(port_is_loopback("192.0.2.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(mistakes_are_told),
		cmocka_unit_test(which_cannot_be_bound_both),
		cmocka_unit_test(which_others_reach),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
