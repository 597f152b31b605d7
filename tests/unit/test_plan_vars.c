/* The environment variables. */
#include "plan_world.h"

static const char *value_of(const struct plan *plan, const char *name)
{
	size_t len = strlen(name);
	const char *found = NULL;

	for (const char **v = plan->env; *v; v++) {
		if (strncmp(*v, name, len) != 0 || (*v)[len] != '=')
			continue;
		assert_null(found);
		found = *v + len + 1;
	}
	return found;
}

static int is_passed(const struct plan *plan, const char *name)
{
	int n = 0;

	for (const char **v = plan->pass; *v; v++)
		n += str_eq(*v, name);
	return n;
}

static void later_variables_win(void **state)
{
	struct world *w = *state;
	struct env_value values[] = {
		{.name = "A", .value = "1"},    {.name = "A", .value = NULL},
		{.name = "B", .value = NULL},   {.name = "B", .value = "2"},
		{.name = "TZ", .value = "UTC"}, {.name = "PATH", .value = NULL},
		{.name = "HOME", .value = ""},
	};
	const struct plan *plan;

	w->profile.env.v = values;
	w->profile.env.n = sizeof(values) / sizeof(values[0]);
	plan = made(w);
	assert_null(value_of(plan, "A"));
	assert_int_equal(is_passed(plan, "A"), 1);
	assert_string_equal(value_of(plan, "B"), "2");
	assert_int_equal(is_passed(plan, "B"), 0);
	assert_string_equal(value_of(plan, "TZ"), "UTC");
	assert_int_equal(is_passed(plan, "TZ"), 0);
	assert_int_equal(is_passed(plan, "LANG"), 1);
	/* Passed, but never lost. */
	assert_int_equal(is_passed(plan, "PATH"), 1);
	assert_non_null(value_of(plan, "PATH"));
	assert_string_equal(value_of(plan, "HOME"), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(later_variables_win),
	};

	return cmocka_run_group_tests_name("plan_vars", tests, NULL, NULL);
}
