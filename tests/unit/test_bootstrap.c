/* Which releases can be made.  Making them, cli/bootstrap, is covered by tests/cli/test_base.py. */
#include "cli/bootstrap.h"
#include "profile_world.h"

static void a_release_has_a_name_of_the_store(void **state)
{
	static const char *const bad[] = {"",           "debian",     "debian:",   ":bookworm",
					  "fedora:40",  "debian:a/b", "debian:-x", "debian:A",
					  "debian:a b", "debian:x;y", "debianx:y", "deb:ian"};
	_cleanup_arena_ struct arena *a = arena_new();
	const char *name = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(bootstrap_name(a, "debian:bookworm", &name, &err), 0);
	assert_string_equal(name, "localhost/debian:bookworm");
	assert_int_equal(bootstrap_name(a, "ubuntu:24-x", &name, &err), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = (struct err){0};
		if (bootstrap_name(a, bad[i], &name, &err) == 0)
			fail_msg("took '%s'", bad[i]);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_string_equal(err.hint,
				    "such as: sbx init --base debian:bookworm --bootstrap");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_release_has_a_name_of_the_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
