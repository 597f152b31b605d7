/* The plan as a whole and its text (plan/show). */
#include "plan_world.h"

static void same_input_same_text(void **state)
{
	struct world *w = *state;
	_cleanup_buf_ struct buf one = {0};
	_cleanup_buf_ struct buf two = {0};

	w->env.project = "/home/me/a \"b\"\n\x1b[2J\xe2\x80\xae";
	plan_show(made(w), &one);
	plan_show(made(w), &two);
	assert_string_equal(one.p, two.p);
	assert_non_null(strstr(one.p, "  project \"/home/me/a \\\"b\\\"\\n\\x1b[2J\\u{202e}\"\n"));
	/* No control byte but the ends of lines: THREATS.md A11. */
	for (size_t i = 0; i < one.len; i++)
		assert_true(one.p[i] == '\n' || (unsigned char)one.p[i] >= ' ');
}

static void rungs_and_drivers_have_names(void **state)
{
	(void)state;
	assert_string_equal(id_rung_name(RUNG_SUBIDS), "subordinate ids");
	assert_string_equal(id_rung_name(RUNG_SINGLE), "one id");
	assert_string_equal(root_driver_name(ROOT_FUSE), "fuse-overlayfs");
	assert_string_equal(root_driver_name(ROOT_KERNEL), "overlayfs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(same_input_same_text),
		WORLD_TEST(rungs_and_drivers_have_names),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
