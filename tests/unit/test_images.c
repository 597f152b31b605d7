/* Names of images, as people and archives write them: cli/images_name.  cli/images, cli/images_make and cli/save_layer
 * need user namespaces: tests/cli/test_images.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "cli/images.h"

static void a_name_becomes_whole(void **state)
{
	static const struct {
		const char *name;
		bool docker;
		const char *full;
	} cases[] = {
		{"tools", false, "localhost/tools:latest"},
		{"me/tools:2", false, "localhost/me/tools:2"},
		{"localhost/tools:1", false, "localhost/tools:1"},
		{"registry.example:5000/a/b", false, "registry.example:5000/a/b:latest"},
		{"debian:12", true, "docker.io/library/debian:12"},
		{"me/tools", true, "docker.io/me/tools:latest"},
		{"localhost/tools:1", true, "localhost/tools:1"},
	};
	struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {0};
		const char *full = NULL;

		if (images_name(a, cases[i].name, cases[i].docker, &full, &err) < 0)
			fail_msg("%s", err.msg);
		assert_string_equal(full, cases[i].full);
	}
	arena_free(a);
}

static void what_is_no_name_is_refused(void **state)
{
	static const char *const bad[] = {"", "Tools", "a//b", "a:b:c", "../a", "a\nb", "a:-"};
	struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};
		const char *full = NULL;

		if (images_name(a, bad[i], false, &full, &err) == 0)
			fail_msg("accepted: %s", bad[i]);
		assert_null(full);
		assert_non_null(strstr(err.msg, "as an image's name: "));
	}
	arena_free(a);
}

static void anything_can_be_called_something(void **state)
{
	struct arena *a = arena_new();

	(void)state;
	assert_string_equal(images_name_for(a, "My Tools!", "latest"), "localhost/my-tools:latest");
	assert_string_equal(images_name_for(a, "", "1"), "localhost/image:1");
	assert_string_equal(images_name_for(a, "\xff/..", "a b"), "localhost/image:latest");
	assert_string_equal(images_name_for(a, "a", "../x"), "localhost/a:latest");
	arena_free(a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_becomes_whole),
		cmocka_unit_test(what_is_no_name_is_refused),
		cmocka_unit_test(anything_can_be_called_something),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
