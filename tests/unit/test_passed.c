#include "cli/passed.h"
#include "profile_world.h"

static const char *const outside[] = {
	"LANG=de",        "LC_ALL=C",      "LC_=x",      "LCX=1",
	"TERM=xterm",     "COLORTERM=",    "NO_COLOR=1", "TZ=UTC",
	"LANGUAGE=de:en", "HOME=/home/me", "PATH=/bin",  "SECRET=a=b",
	"TERMINFO=/x",    "=odd",          "nonsense",   NULL,
};

/* The names and values that come through, one a line. */
static void assert_passes(const char *profile, const char *const *environment, const char *expected)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf all = {0};
	const char *const *v = passed_env(a, profile_of(a, profile), environment);

	buf_adds(&all, "");
	for (; *v; v++)
		buf_printf(&all, "%s\n", *v);
	assert_string_equal(all.p, expected);
}

#define HARMLESS                                                                 \
	"LANG=de\nLC_ALL=C\nLC_=x\nTERM=xterm\nCOLORTERM=\nNO_COLOR=1\nTZ=UTC\n" \
	"LANGUAGE=de:en\n"

/* Ours go first, and the profile's word before ours. */
static void test_own(void **state)
{
	static const char *const own[] = {"PS1=x", "SEEN=1", "LANG=xx", NULL};
	static const char *const from[] = {"LANG=de", NULL};
	_cleanup_arena_ struct arena *a = arena_new();
	const char *const *v;

	(void)state;
	v = passed_env_and(a, profile_of(a, "[env]\npass = SEEN\n"), from, own);
	assert_string_equal(v[0], "PS1=x");
	assert_string_equal(v[1], "LANG=xx");
	assert_string_equal(v[2], "LANG=de");
	assert_null(v[3]);
}

static void test_default(void **state)
{
	(void)state;
	assert_passes("", outside, HARMLESS);
}

static void test_passed(void **state)
{
	(void)state;
	/* In the order of outside; what is not set there stays unset. */
	assert_passes("[env]\npass = SECRET HOME ABSENT LANG\n", outside,
		      HARMLESS "HOME=/home/me\nSECRET=a=b\n");
}

/* The plan sets these: a value from outside must not come over it. */
static void test_set_wins(void **state)
{
	(void)state;
	assert_passes("[env]\nset.LANG = C\nset.LC_ALL = C\nset.SECRET = 1\n", outside,
		      "LC_=x\nTERM=xterm\nCOLORTERM=\nNO_COLOR=1\nTZ=UTC\nLANGUAGE=de:en\n");
}

static void test_nothing_outside(void **state)
{
	static const char *const none[] = {NULL};
	static const char *const secret[] = {"SECRET=1", NULL};

	(void)state;
	assert_passes("[env]\npass = SECRET\n", none, "");
	assert_passes("", secret, "");
}

/* A later line of a name wins, as it does when profiles are merged. */
static void test_later_line(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct env_value lines[] = {{.name = "X", .value = "1"}, {.name = "X"}};
	static const char *const environment[] = {"X=2", NULL};
	struct profile p = {0};

	(void)state;
	p.env.v = lines;
	p.env.n = 2;
	assert_string_equal(passed_env(a, &p, environment)[0], "X=2");
	lines[0].value = NULL;
	lines[1].value = "1";
	assert_null(passed_env(a, &p, environment)[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_default),         cmocka_unit_test(test_own),
		cmocka_unit_test(test_passed),          cmocka_unit_test(test_set_wins),
		cmocka_unit_test(test_nothing_outside), cmocka_unit_test(test_later_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
