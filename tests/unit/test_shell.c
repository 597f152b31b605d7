/* cli/shell */
#include "cli/shell.h"
#include "store_world.h"

static void scripts(void **state)
{
	static const char *const shells[] = {"bash", "zsh", "fish"};
	_cleanup_arena_ struct arena *a = arena_new();
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		_cleanup_buf_ struct buf b = {0};

		assert_int_equal(shell_script(a, "hook", shells[i], &b, &err), 0);
		assert_int_equal(shell_script(a, "completion", shells[i], &b, &err), 0);
		assert_null(strstr(b.p, "@SBX@"));
		/* This very program. */
		assert_non_null(strstr(b.p, "/test_shell hook --notice"));
		assert_non_null(strstr(b.p, "/test_shell completion --list"));
	}

	_cleanup_buf_ struct buf b = {0};

	assert_int_equal(shell_script(a, "hook", "csh", &b, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_string_equal(err.msg, "cannot make a hook for the shell 'csh'");
	assert_string_equal(err.hint, "there is one for bash, zsh and fish");
}

static void names(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	assert_string_equal(shell_name(a, "demo-1.2_x+"), "demo-1.2_x+");
	assert_string_equal(shell_name(a, "th\u00e8se"), "th\u00e8se");
	assert_string_equal(shell_name(a, "a b"), "a?b");
	assert_string_equal(shell_name(a, "$(x)`y`%F\\w"), "??x??y??F??w");
	assert_string_equal(shell_name(a, "\033[2J"), "?x1b?2J");
	assert_string_equal(shell_name(a, ""), "");
}

static void inside(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *const *v = shell_inside(a, "a b", 0);

	(void)state;
	assert_string_equal(v[0], "debian_chroot=sbx:a?b");
	assert_true(str_starts(v[1], "PROMPT_COMMAND=case"));
	assert_non_null(strstr(v[1], "(sbx:a?b) "));
	assert_null(v[2]);
	v = shell_inside(a, "a", 1);
	assert_string_equal(v[2], "SBX_LEAVE=1");
	assert_null(v[3]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scripts),
		cmocka_unit_test(names),
		cmocka_unit_test(inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
