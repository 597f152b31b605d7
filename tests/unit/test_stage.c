#include <sys/file.h>

#include "store/env.h"
#include "store/stage.h"
#include "store_world.h"

static void is_ones_own_while_it_is_held(void **state)
{
	struct world *w = *state;
	struct store s = {.fd = -1};
	char first[STAGE_NAME];
	char second[STAGE_NAME];
	struct err err = {0};
	int a = -1;
	int b = -1;
	int again;

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(stage_make(&s, "x", first, &a, &err), 0);
	assert_int_equal(stage_make(&s, "x", second, &b, &err), 0);
	assert_string_not_equal(first, second);
	assert_true(str_starts(first, "x-"));
	assert_non_null(strstr(first, arena_printf(w->a, "-%d-", (int)getpid())));
	again = openat(s.fd, arena_printf(w->a, "tmp/%s", first), O_RDONLY | O_CLOEXEC);
	assert_true(again >= 0);
	assert_int_equal(flock(again, LOCK_EX | LOCK_NB), -1);
	(void)close(a);
	assert_int_equal(flock(again, LOCK_EX | LOCK_NB), 0);
	(void)close(again);
	(void)close(b);
	store_done(&s);
}

static void says_when_there_is_no_place(void **state)
{
	struct world *w = *state;
	struct store s = {.fd = -1};
	char name[STAGE_NAME];
	struct err err = {0};
	int fd = -1;

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(unlinkat(s.fd, "tmp", AT_REMOVEDIR), 0);
	assert_int_equal(stage_make(&s, "x", name, &fd, &err), -1);
	assert_non_null(strstr(err.msg, "sbx/tmp': No such file"));
	assert_int_equal(fd, -1);
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_ones_own_while_it_is_held),
		TEST(says_when_there_is_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
