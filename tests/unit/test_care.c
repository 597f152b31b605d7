/* Namespaces for the store as a whole, and leftovers that are removed in one: cli/care. */
#include "chain_world.h"
#include "cli/care.h"
#include "plan/plan.h"

static void shared_memory_is_shared(void **state)
{
	int *n = care_shared(sizeof(*n));
	pid_t pid;
	int status = 0;
	struct err err = {0};

	(void)state;
	assert_int_equal(*n, 0);
	pid = fork();
	if (pid == 0) {
		*n = 7;
		_exit(0);
	}
	assert_int_equal(proc_wait(pid, &status, &err), 0);
	assert_int_equal(*n, 7);
}

static void a_plan_has_the_ids_of_its_map(void **state)
{
	struct world *w = *state;
	const struct plan *plan = NULL;
	struct store s = {.fd = -1};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	if (care_plan(w->a, &s, "one-id", &plan, &err) < 0) {
		print_message("%s\n", err.msg);
		store_done(&s);
		skip();
		return;
	}
	assert_int_equal(plan->rung, RUNG_SINGLE);
	assert_int_equal(plan->uid_map.n, 1);
	assert_int_equal(plan->uid_map.line[0].count, 1);
	store_done(&s);
}

static void sweeping_nothing_needs_no_namespace(void **state)
{
	struct world *w = *state;
	struct store s = {.fd = -1};
	struct err err = {0};
	uint64_t bytes = 9;
	size_t n = 9;

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(care_sweep(w->a, &s, &n, &bytes, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(bytes, 0);
	store_done(&s);
}

static void sweeping_removes_what_is_left(void **state)
{
	struct world *w = *state;
	struct store s = {.fd = -1};
	const struct plan *plan = NULL;
	struct err err = {0};
	size_t n = 0;

	assert_int_equal(store_open(w->a, &s, &err), 0);
	if (care_plan(w->a, &s, NULL, &plan, &err) < 0) {
		print_message("%s\n", err.msg);
		store_done(&s);
		skip();
		return;
	}
	for (int i = 0; i < 70; i++)
		assert_int_equal(mkdirat(s.fd, arena_printf(w->a, "tmp/layer-%d", i), 0700), 0);
	if (care_sweep(w->a, &s, &n, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(n, 70);
	assert_int_equal(count(&s, "tmp"), 0);
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(shared_memory_is_shared),
		TEST(a_plan_has_the_ids_of_its_map),
		TEST(sweeping_nothing_needs_no_namespace),
		TEST(sweeping_removes_what_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
