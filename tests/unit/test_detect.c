/* cli/detect and cli/vscode; the profiles are those of the source tree. */
#include "cli/detect.h"
#include "cli/vscode.h"
#include "profile_world.h"
#include "store_world.h"

static void touch(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	(void)fclose(f);
	free(path);
}

static void the_surest_file_counts(void **state)
{
	static const char *const files[] = {"README", "Makefile", "meson.build", "package.json",
					    "setup.py"};
	static const char *const profiles[] = {NULL, "c", "c", "node", "python"};
	_cleanup_arena_ struct arena *a = arena_new();
	char dir[] = "/tmp/sbx-detect-XXXXXX";
	struct err err = {0};

	(void)state;
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < 5; i++) {
		touch(dir, files[i]);
		assert_true(str_eq(detect_profile(a, dir).profile, profiles[i]));
		if (profiles[i])
			assert_string_equal(detect_profile(a, dir).file, files[i]);
	}
	assert_int_equal(fs_remove_tree_at(AT_FDCWD, dir, &err), 0);
	assert_null(detect_profile(a, dir).profile);
}

static void tools_of_a_profile(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct strv tools = {0};

	(void)state;
	vscode_tools(a, profile_of(a, "[env]\npass = X\n"), &tools);
	assert_int_equal(tools.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_surest_file_counts),
		cmocka_unit_test(tools_of_a_profile),
	};

	const char *root = getenv("SBX_SOURCE_ROOT");
	char *profiles = xasprintf("%s/profiles", root ? root : "..");

	assert_int_equal(setenv("SBX_PROFILES", profiles, 1), 0);
	free(profiles);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
