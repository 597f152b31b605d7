/* This program runs itself, with arguments and an environment that must not be seen any more. */
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "run/title.h"
#include "run_world.h"

/* How the child is told what to do: its arguments have to be known byte for byte. */
#define SHORT "c"
#define LONG "child-with-some-room-for-a-title"

static bool is_zeros(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

/* Exactly this text, and then nothing but NULs up to `size`. */
static bool shows(const char *file, const char *text, size_t size)
{
	_cleanup_buf_ struct buf b = {0};
	size_t n = strlen(text);

	if (fs_read_at(AT_FDCWD, file, 65536, &b, NULL) < 0)
		return false;
	if (b.len == size && memcmp(b.p, text, n) == 0 && is_zeros(b.p + n, size - n))
		return true;
	(void)fprintf(stderr, "# %s: %zu bytes, '%s'\n", file, b.len, b.p);
	return false;
}

/* The environment as /proc shows it: the kernel leaves out what begins with a NUL. */
static bool shows_no_environment(void)
{
	_cleanup_buf_ struct buf b = {0};

	return fs_read_at(AT_FDCWD, "/proc/self/environ", 65536, &b, NULL) == 0 &&
	       (b.len == 0 || is_zeros(b.p, b.len));
}

static int child(int argc, char **argv)
{
	const bool is_short = strcmp(argv[0], SHORT) == 0;
	char name[16] = "";
	struct title title;

	REQUIRE(getenv("SECRET") != NULL && !shows_no_environment());
	(void)argc;
	/* A name that looks like more fields of /proc/self/stat. */
	title_take(&title);
	title_set(&title, "other", "sbx-a-longer-one");
	title_set(&title, "x) R 1 2", "sbx-title");
	REQUIRE(shows("/proc/self/cmdline", is_short ? "s" : "sbx-title",
		      is_short ? sizeof(SHORT) : sizeof(LONG) + sizeof("--token=abc")));
	REQUIRE(shows_no_environment());
	REQUIRE(getenv("SECRET") == NULL && (!environ || !environ[0]));
	REQUIRE(prctl(PR_GET_NAME, name) == 0 && strcmp(name, "x) R 1 2") == 0);
	/* The memory can still be used as libc does. */
	REQUIRE(setenv("NEW", "1", 1) == 0 && strcmp(getenv("NEW"), "1") == 0);
	return 0;
}

static int run_self(void *arg)
{
	static const char *const long_args[] = {LONG, "--token=abc", NULL};
	static const char *const short_args[] = {SHORT, NULL};
	/* What a sanitizer is told has to reach it. */
	const char *asan = getenv("ASAN_OPTIONS");
	_cleanup_free_ char *options = xasprintf("ASAN_OPTIONS=%s", asan ? asan : "");
	const char *const env[] = {"SECRET=hidden", options, NULL};
	const bool is_short = arg != NULL;

	(void)execve("/proc/self/exe",
		     (char *const *)(uintptr_t)(is_short ? short_args : long_args),
		     (char *const *)(uintptr_t)env);
	return 2;
}

static void arguments_and_environment_are_wiped(void **state)
{
	(void)state;
	assert_int_equal(proc_call(run_self, NULL), 0);
}

static void a_title_is_cut_to_the_room(void **state)
{
	(void)state;
	assert_int_equal(proc_call(run_self, state), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(arguments_and_environment_are_wiped),
		TEST(a_title_is_cut_to_the_room),
	};

	if (strcmp(argv[0], SHORT) == 0 || strcmp(argv[0], LONG) == 0)
		_exit(child(argc, argv));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
