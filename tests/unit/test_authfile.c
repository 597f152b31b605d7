#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/authfile.h"

#define A_B "YTpi"          /* a:b */
#define C_D "YzpkOmU="      /* c:d:e */
#define NO_COLON "YWI="     /* ab */
#define WITH_NUL "YToAYg==" /* a: NUL b */

static void expect(const char *text, const char *registry, const char *repository,
		   const struct auth *want)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf b = {0};
	struct auth got = {0};
	struct err err = {0};

	buf_adds(&b, text);
	if (authfile_find(a, &b, registry, repository, &got, &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	assert_true(str_eq(got.user, want->user));
	assert_true(str_eq(got.password, want->password));
	assert_true(str_eq(got.token, want->token));
	assert_true(str_eq(got.helper, want->helper));
	assert_true(str_eq(got.server, want->server));
}

static const struct auth nobody = {0};
static const struct auth ab = {.user = "a", .password = "b"};
static const struct auth cd = {.user = "c", .password = "d:e"};

static void test_keys(void **state)
{
	static const char both[] = "{\"auths\": {\"r.x\": {\"auth\": \"" A_B "\"},"
				   "\"r.x/me\": {\"auth\": \"" C_D "\"}}}";

	(void)state;
	expect(both, "r.x", NULL, &ab);
	expect(both, "r.x", "you/a", &ab);
	expect(both, "r.x", "me/a", &cd);
	expect(both, "r.x", "me", &cd);
	expect(both, "r.x", "meet/a", &ab);
	expect(both, "r.x:5000", "me/a", &nobody);
	expect(both, "x", NULL, &nobody);
	expect(both, "r.xy", NULL, &nobody);
	expect("{}", "r.x", NULL, &nobody);
	expect("{\"auths\": {\"r.x\": {}}}", "r.x", NULL, &nobody);
}

static void test_old_keys(void **state)
{
	static const char hub[] =
		"{\"auths\": {\"https://index.docker.io/v1/\": {\"auth\": \"" A_B "\"}}}";
	static const char other[] = "{\"auths\": {\"https://r.x/v2/\": {\"auth\": \"" A_B "\"}}}";
	static const char two[] = "{\"auths\": {\"https://r.x\": {\"auth\": \"" A_B "\"},"
				  "\"r.x\": {\"auth\": \"" C_D "\"}}}";

	(void)state;
	expect(hub, "docker.io", "library/debian", &ab);
	expect(hub, "index.docker.io", "library/debian", &ab);
	expect(hub, "r.x", NULL, &nobody);
	expect(other, "r.x", "a", &ab);
	expect(two, "r.x", "a", &cd);
}

static void test_kinds(void **state)
{
	const struct auth token = {.token = "tok"};
	const struct auth helper = {.helper = "pass-2", .server = "r.x"};
	const struct auth hub = {.helper = "s", .server = "https://index.docker.io/v1/"};

	(void)state;
	expect("{\"auths\": {\"r.x\": {\"username\": \"a\", \"password\": \"b\"}}}", "r.x", NULL,
	       &ab);
	expect("{\"auths\": {\"r.x\": {\"identitytoken\": \"tok\"}}}", "r.x", NULL, &token);
	expect("{\"credHelpers\": {\"r.x\": \"pass-2\"}, \"auths\": {\"r.x\": {\"auth\": \"" A_B
	       "\"}}}",
	       "r.x", "a", &helper);
	expect("{\"credsStore\": \"s\", \"auths\": {\"r.x\": {\"auth\": \"" A_B "\"}}}", "r.x",
	       NULL, &ab);
	expect("{\"credsStore\": \"s\", \"auths\": {\"docker.io\": {}}}", "docker.io", NULL, &hub);
}

static void test_bad(void **state)
{
	static const struct {
		const char *text, *msg;
	} cases[] = {
		{"{\"auths\": []}", "'auths' is no object"},
		{"{\"credHelpers\": 1}", "'credHelpers' is no object"},
		{"{\"auths\": {\"r.x\": 1}}", "the entry 'r.x' is no object"},
		{"{\"auths\": {\"r.x\": {\"auth\": 1}}}", "'auth' is no string"},
		{"{\"auths\": {\"r.x\": {\"auth\": \"!\"}}}",
		 "the 'auth' of 'r.x' is not user:password in base64"},
		{"{\"auths\": {\"r.x\": {\"auth\": \"" NO_COLON "\"}}}",
		 "the 'auth' of 'r.x' is not user:password in base64"},
		{"{\"auths\": {\"r.x\": {\"auth\": \"" WITH_NUL "\"}}}",
		 "the 'auth' of 'r.x' is not user:password in base64"},
		{"{\"credsStore\": \"../x\"}", "'../x' is not the name of a credential helper"},
		{"{\"credHelpers\": {\"r.x\": \"a/b\"}}",
		 "'a/b' is not the name of a credential helper"},
		{"{\"credsStore\": \"X\"}", "'X' is not the name of a credential helper"},
	};
	_cleanup_arena_ struct arena *a = arena_new();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_buf_ struct buf b = {0};
		struct auth got = {0};
		struct err err = {0};

		buf_adds(&b, cases[i].text);
		if (authfile_find(a, &b, "r.x", "a", &got, &err) == 0)
			fail_msg("no error for '%s'", cases[i].text);
		assert_string_equal(err.msg, cases[i].msg);
		assert_null(got.user);
		assert_null(got.helper);
	}
}

/* What is there stays, whoever wrote it. */
static void test_set(void **state)
{
	static const char before[] = "{\"credsStore\": \"s\", \"HttpHeaders\": {\"X\": \"y\"},"
				     "\"auths\": {\"other.x\": {\"auth\": \"" A_B "\"}}}";
	_cleanup_buf_ struct buf set = {0};
	_cleanup_buf_ struct buf gone = {0};
	_cleanup_buf_ struct buf fresh = {0};
	_cleanup_buf_ struct buf was = {0};
	const struct buf none = {0};
	struct err err = {0};
	bool there = true;

	(void)state;
	buf_adds(&was, before);
	assert_int_equal(authfile_set(&was, "r.x", &cd, &set, &there, &err), 0);
	assert_false(there);
	expect(set.p, "r.x", NULL, &cd);
	expect(set.p, "other.x", NULL, &ab);
	assert_non_null(strstr(set.p, "\"X\": \"y\""));
	assert_int_equal(authfile_set(&set, "r.x", &nobody, &gone, &there, &err), 0);
	assert_true(there);
	assert_null(strstr(gone.p, "\"r.x\""));
	expect(gone.p, "other.x", NULL, &ab);
	assert_int_equal(authfile_set(&none, "r.x", &ab, &fresh, &there, &err), 0);
	assert_false(there);
	expect(fresh.p, "r.x", NULL, &ab);
}

static void paths_are(const char *named, const char *want)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf b = {0};
	struct strv paths = {0};
	struct err err = {0};

	assert_int_equal(authfile_paths(a, named, &paths, &err), 0);
	for (size_t i = 0; i < paths.n; i++)
		buf_printf(&b, "%s ", paths.v[i]);
	assert_string_equal(b.p, want);
}

static void test_paths(void **state)
{
	(void)state;
	(void)setenv("HOME", "/h", 1);
	(void)unsetenv("REGISTRY_AUTH_FILE");
	(void)unsetenv("DOCKER_CONFIG");
	(void)unsetenv("XDG_CONFIG_HOME");
	(void)unsetenv("XDG_RUNTIME_DIR");
	paths_are(NULL, "/h/.config/containers/auth.json /h/.docker/config.json ");
	(void)setenv("XDG_RUNTIME_DIR", "/r", 1);
	(void)setenv("XDG_CONFIG_HOME", "/c", 1);
	(void)setenv("DOCKER_CONFIG", "/d", 1);
	paths_are(NULL, "/r/containers/auth.json /c/containers/auth.json /d/config.json ");
	paths_are("/n", "/n ");
	(void)setenv("REGISTRY_AUTH_FILE", "/e", 1);
	paths_are(NULL, "/e ");
	paths_are("/n", "/n ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),  cmocka_unit_test(test_old_keys),
		cmocka_unit_test(test_kinds), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_set),   cmocka_unit_test(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
