#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"

static void allocations_are_zeroed_aligned_and_apart(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	unsigned char *p[2000];

	(void)state;
	for (size_t i = 0; i < 2000; i++) {
		size_t size = i % 300;
		p[i] = arena_alloc(a, size);
		assert_int_equal((uintptr_t)p[i] % _Alignof(max_align_t), 0);
		for (size_t j = 0; j < size; j++)
			assert_int_equal(p[i][j], 0);
		memset(p[i], (int)(i & 0xff), size);
	}
	for (size_t i = 0; i < 2000; i++)
		for (size_t j = 0; j < i % 300; j++)
			assert_int_equal(p[i][j], i & 0xff);
	assert_ptr_not_equal(arena_alloc(a, 0), arena_alloc(a, 0));
}

static void large_ones_do_not_end_the_chunk(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	char *first = arena_alloc(a, 16);
	char *large = arena_alloc(a, 1 << 20);
	char *second = arena_alloc(a, 16);

	(void)state;
	memset(large, 1, 1 << 20);
	assert_ptr_equal(second, first + 16);
	assert_int_equal(second[0], 0);
}

/* That it is freed, and once, is for the sanitizers to say. */
static void what_is_adopted_stays_as_it_is(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	char *first = xstrdup("first");
	char *second = xmalloc(1 << 20);

	(void)state;
	arena_adopt(a, NULL);
	arena_adopt(a, first);
	memset(second, 2, 1 << 20);
	arena_adopt(a, second);
	assert_string_equal(first, "first");
	assert_int_equal(second[(1 << 20) - 1], 2);
	assert_int_equal(*(char *)arena_alloc(a, 1), 0);
}

static void large_first_then_small(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	char *large = arena_alloc(a, 100000);
	char *small = arena_alloc(a, 10);

	(void)state;
	memset(large, 1, 100000);
	memset(small, 2, 10);
	assert_int_equal(large[99999], 1);
}

static void strings_are_copied(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	char word[] = "hello";
	char *copy = arena_strdup(a, word);

	(void)state;
	word[0] = 'j';
	assert_string_equal(copy, "hello");
	assert_null(arena_strdup(a, NULL));
	assert_string_equal(arena_strndup(a, "hello", 2), "he");
	assert_string_equal(arena_strndup(a, "he", 20), "he");
	assert_string_equal(arena_printf(a, "%d-%s", 5, "x"), "5-x");
	assert_int_equal(strlen(arena_printf(a, "%*s", 50000, "x")), 50000);
}

static void strv_grows_and_ends_with_null(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct strv list = {0};

	(void)state;
	assert_int_equal(strv_contains(&list, "7"), 0);
	for (int i = 0; i < 100; i++) {
		strv_pushf(a, &list, "%d", i);
		assert_null(list.v[list.n]);
	}
	strv_push(a, &list, "last");
	assert_int_equal(list.n, 101);
	for (int i = 0; i < 100; i++)
		assert_string_equal(list.v[i], arena_printf(a, "%d", i));
	assert_string_equal(list.v[100], "last");
	assert_null(list.v[101]);
	assert_int_equal(strv_contains(&list, "7"), 1);
	assert_int_equal(strv_contains(&list, "700"), 0);
}

static void empty_handles_are_fine(void **state)
{
	struct arena *a = NULL;

	(void)state;
	arena_free(NULL);
	arena_cleanup(&a);
	assert_null(a);
}

static void x_functions(void **state)
{
	char *p = xcalloc(4, 4);
	char *s = xstrdup("abc");
	char *f = xasprintf("%s%d", s, 1);

	(void)state;
	assert_int_equal(p[15], 0);
	p = xrealloc(p, 100);
	assert_string_equal(s, "abc");
	assert_string_equal(f, "abc1");
	free(p);
	free(s);
	free(f);
	p = xmalloc(0);
	assert_non_null(p);
	free(p);
}

/* Memory that cannot be had ends the process: status 125, a message, no return. */
static void out_of_memory_ends_with_125(void **state)
{
	char text[128] = "";
	int p[2];
	int status = 0;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(p), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		struct arena *a = arena_new();
		(void)dup2(p[1], STDERR_FILENO);
		(void)arena_alloc(a, SIZE_MAX - 1);
		_exit(0);
	}
	(void)close(p[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 125);
	assert_true(read(p[0], text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "sbx: error: out of memory\n");
	(void)close(p[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(allocations_are_zeroed_aligned_and_apart),
		cmocka_unit_test(large_ones_do_not_end_the_chunk),
		cmocka_unit_test(what_is_adopted_stays_as_it_is),
		cmocka_unit_test(large_first_then_small),
		cmocka_unit_test(strings_are_copied),
		cmocka_unit_test(strv_grows_and_ends_with_null),
		cmocka_unit_test(empty_handles_are_fine),
		cmocka_unit_test(x_functions),
		cmocka_unit_test(out_of_memory_ends_with_125),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
