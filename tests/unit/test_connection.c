/* Connection files: text to data, and the file for inside.  What uses them, cli/kernel_exec with cli/kernelspec,
 * cli/inside, run/relay, run/client_dial and run/command_dial, is covered by tests/cli/test_kernel.py with a real
 * front end; cli/jupyter and cli/jupyter_install by tests/cli/test_jupyter.py, in a real browser;
 * cli/share, plan/plan_share and plan/host_share by tests/cli/test_share.py. */
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/connection.h"
#include "profile_world.h"

#define PORTS                                                                                     \
	"\"shell_port\": 50001, \"iopub_port\": 50002, \"stdin_port\": 50003, \"control_port\": " \
	"50004, \"hb_port\": 50005"
#define REST "\"signature_scheme\": \"hmac-sha256\", \"key\": \"a-b\", \"kernel_name\": \"t\""

static int parse(const char *text, struct connection *ret, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();

	return connection_parse(a, text, strlen(text), ret, err);
}

static void tcp_is_read(void **state)
{
	static const char text[] =
		"{\"transport\": \"tcp\", \"ip\": \"127.0.0.1\", " PORTS ", " REST "}";
	_cleanup_arena_ struct arena *a = arena_new();
	struct connection c = {0};
	struct err err = {0};

	(void)state;
	if (connection_parse(a, text, sizeof(text) - 1, &c, &err) < 0)
		fail_msg("%s", err.msg);
	assert_false(c.ipc);
	assert_string_equal(c.ip, "127.0.0.1");
	for (size_t i = 0; i < CONNECTION_CHANNELS; i++)
		assert_int_equal(c.port[i], 50001 + i);
}

static void what_others_reach_is_refused(void **state)
{
	static const char *const bad[] = {"0.0.0.0", "10.0.0.1",  "::",       "*",
					  "",        "localhost", "128.0.0.1"};
	static const char *const good[] = {"127.0.0.1", "127.9.9.9", "::1"};
	struct connection c = {0};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_buf_ struct buf b = {0};

		buf_printf(&b, "{\"ip\": \"%s\", %s}", bad[i], PORTS);
		assert_int_equal(parse(b.p, &c, &err), -1);
		assert_null(c.ip);
	}
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		_cleanup_buf_ struct buf b = {0};

		buf_printf(&b, "{\"ip\": \"%s\", %s}", good[i], PORTS);
		assert_int_equal(parse(b.p, &c, &err), 0);
	}
}

static void mistakes_are_named(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"", "it is no JSON: "},
		{"[]", "it is no JSON object"},
		{"{\"ip\": \"127.0.0.1\"}", "its shell_port is no port"},
		{"{\"ip\": 7, " PORTS "}", "it has no ip"},
		{"{\"transport\": \"epgm\", \"ip\": \"127.0.0.1\", " PORTS "}",
		 "its transport is neither tcp nor ipc"},
		{"{\"ip\": \"127.0.0.1\", \"shell_port\": 0}", "its shell_port is no port"},
		{"{\"ip\": \"127.0.0.1\", \"shell_port\": 65536}", "its shell_port is no port"},
		{"{\"ip\": \"127.0.0.1\", \"shell_port\": 1, \"iopub_port\": 1}",
		 "its iopub_port is that of shell, too"},
	};
	struct connection c = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {0};

		assert_int_equal(parse(cases[i].text, &c, &err), -1);
		if (!str_starts(err.msg, cases[i].message))
			fail_msg("%s: %s", cases[i].text, err.msg);
	}
}

static void the_inside_gets_sockets_and_the_rest_stays(void **state)
{
	static const char text[] =
		"{\"transport\": \"tcp\", \"ip\": \"127.0.0.1\", " PORTS ", " REST "}";
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf b = {0};
	struct connection c = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(connection_inside(text, sizeof(text) - 1, "/tmp/x", &b, &err), 0);
	assert_non_null(strstr(b.p, "\"key\": \"a-b\""));
	assert_non_null(strstr(b.p, "\"signature_scheme\": \"hmac-sha256\""));
	assert_int_equal(connection_parse(a, b.p, b.len, &c, &err), 0);
	assert_true(c.ipc);
	assert_string_equal(c.ip, "/tmp/x");
	for (size_t i = 0; i < CONNECTION_CHANNELS; i++)
		assert_int_equal(c.port[i], i + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_is_read),
		cmocka_unit_test(what_others_reach_is_refused),
		cmocka_unit_test(mistakes_are_named),
		cmocka_unit_test(the_inside_gets_sockets_and_the_rest_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
