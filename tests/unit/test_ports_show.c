/* Ports as they are told of. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "cli/ports_show.h"
#include "run/ports.h"

static void names_and_states(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct port four = {.address = "127.0.0.1", .host = 80, .inside = 81};
	const struct port six = {
		.address = "::1", .host = 53, .inside = 53, .udp = true, .errnum = EADDRINUSE};

	(void)state;
	assert_string_equal(ports_name(a, &four), "127.0.0.1:80");
	assert_string_equal(ports_name(a, &six), "[::1]:53/udp");
	assert_string_equal(ports_state(&four), "published");
	assert_string_equal(ports_state(&six), "Address already in use");
}

static void as_json(void **state)
{
	const struct port v[] = {
		{.address = "127.0.0.1",
		 .host = 80,
		 .inside = 81,
		 .connections = 3,
		 .from_profile = true},
		{.address = "::1", .host = 53, .inside = 53, .udp = true, .errnum = EADDRINUSE}};
	json_t *got = ports_json(v, 2);
	json_t *wanted = json_loads(
		"[{\"address\": \"127.0.0.1\", \"host\": 80, \"inside\": 81, \"protocol\": \"tcp\","
		"\"connections\": 3, \"from\": \"profile\", \"published\": true, \"trouble\": null},"
		"{\"address\": \"::1\", \"host\": 53, \"inside\": 53, \"protocol\": \"udp\","
		"\"connections\": 0, \"from\": \"add\", \"published\": false,"
		"\"trouble\": \"Address already in use\"}]",
		0, NULL);

	(void)state;
	assert_non_null(wanted);
	assert_true(json_equal(got, wanted));
	json_decref(got);
	json_decref(wanted);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_states),
		cmocka_unit_test(as_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
