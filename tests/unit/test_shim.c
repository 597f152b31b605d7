/* cli/shim */
#include "cli/shim.h"
#include "store_world.h"

static void assert_judged(const char *text, enum shim_state state)
{
	_cleanup_buf_ struct buf b = {0};

	buf_adds(&b, text);
	assert_int_equal(shim_judge("/usr/bin/sbx", "gdb", &b), state);
}

static void texts(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	_cleanup_buf_ struct buf c = {0};

	(void)state;
	shim_text("/usr/bin/sbx", "gdb", &b);
	assert_string_equal(b.p,
			    "#!/usr/bin/sbx shim\n"
			    "# Made by `sbx shim`: runs gdb in the sandbox of this project.\n");
	assert_judged(b.p, SHIM_OK);
	assert_judged("#!/old/sbx shim\n"
		      "# Made by `sbx shim`: runs gdb in the sandbox of this project.\n",
		      SHIM_STALE);
	assert_judged("#!/old/sbx shim\n"
		      "# Made by `sbx shim`: runs ls in the sandbox of this project.\n",
		      SHIM_FOREIGN);
	assert_judged("", SHIM_FOREIGN);
	assert_judged("#!/bin/sh\nrm -rf ~\n", SHIM_FOREIGN);
	/* The first line of a script has no words. */
	shim_text("/my programs/sbx", "gdb", &c);
	assert_string_equal(c.p, "#!/bin/sh\n"
				 "# Made by `sbx shim`: runs gdb in the sandbox of this project.\n"
				 "exec '/my programs/sbx' shim \"$0\" \"$@\"\n");
}

static void assert_refused(const char *name, const char *why)
{
	struct err err = {0};

	assert_int_equal(shim_check_name(name, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_non_null(strstr(err.msg, why));
}

static void names(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(shim_check_name("python3.11", &err), 0);
	assert_int_equal(shim_check_name("g++", &err), 0);
	assert_refused("", "empty");
	assert_refused("../x", "without a folder");
	assert_refused("/bin/sh", "without a folder");
	assert_refused("..", "a dot or a dash");
	assert_refused("-x", "a dot or a dash");
	assert_refused("a\033[2J", "control character");
}

static void whose(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *project = NULL;
	const char *name = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(shim_of(a, "/usr/bin/env", &project, &name, &err), -1);
	assert_string_equal(err.msg, "'/usr/bin/env' is no launcher of a project");
	assert_string_equal(err.hint, "sbx shim CMD makes one; it is in .sbx/bin");
	assert_int_equal(shim_of(a, "/none/.sbx/bin/x", &project, &name, &err), -1);
	assert_null(project);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(names),
		cmocka_unit_test(whose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
