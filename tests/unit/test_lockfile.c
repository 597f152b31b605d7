/* sbx.lock: text to data and back.  What uses it, cli/lock, is covered by tests/cli/test_base.py; so are cli/base,
 * cli/base_facts, cli/base_oci and cli/base_tar. */
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/lockfile.h"
#include "profile_world.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define BASE "\"base\": {\"image\": \"host\"}"
#define PROFILE "\"profile\": \"sha256:" HEX "\""

static void comes_back_as_it_was(void **state)
{
	char layers[2][DIGEST_HEX + 1] = {HEX, HEX};
	struct lockfile lock = {
		.base = {.image = "r.example/a:1", .layers = layers, .n_layers = 2},
		.build = {.image = "localhost/p:build", .layers = layers, .n_layers = 1}};
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf text = {0};
	_cleanup_buf_ struct buf again = {0};
	struct lockfile got;
	struct err err = {0};

	(void)state;
	layers[1][0] = 'f';
	memcpy(lock.base.manifest, HEX, sizeof(lock.base.manifest));
	memcpy(lock.profile, HEX, sizeof(lock.profile));
	memcpy(lock.build.manifest, HEX, sizeof(lock.build.manifest));
	memcpy(lock.build.steps, HEX, sizeof(lock.build.steps));
	lockfile_write(&lock, &text);
	if (lockfile_parse(a, text.p, text.len, &got, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(got.base.image, "r.example/a:1");
	assert_string_equal(got.base.manifest, HEX);
	assert_int_equal(got.base.n_layers, 2);
	assert_string_equal(got.base.layers[1], layers[1]);
	assert_null(got.base.host);
	assert_string_equal(got.build.image, "localhost/p:build");
	assert_string_equal(got.build.manifest, HEX);
	assert_string_equal(got.build.steps, HEX);
	assert_string_equal(got.base.steps, "");
	assert_string_equal(got.profile, HEX);
	lockfile_write(&got, &again);
	assert_string_equal(arena_strndup(a, text.p, text.len),
			    arena_strndup(a, again.p, again.len));
}

static void refuses_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *msg, *hint;
	} bad[] = {
		{"", "line 1: '[' or '{' expected near end of file", ""},
		{"<<<<<<< ours\n{}\n", "line 1: '[' or '{' expected near '<'",
		 "it holds both sides of a merge: choose, or make it again by sbx lock"},
		{"[]", "it is no object", ""},
		{"{}", "it says no version", ""},
		{"{\"version\": 2}", "it is of version 2, which this sbx does not know",
		 "a newer sbx made it: update sbx"},
		{"{\"version\": 1, " BASE "}", "it has no digest of the profile", ""},
		{"{\"version\": 1, " BASE ", \"profile\": \"" HEX "\"}",
		 "it has no digest of the profile", ""},
		{"{\"version\": 1, " PROFILE "}", "\"base\" names no image", ""},
		{"{\"version\": 1, " PROFILE ", " BASE ", \"build\": 7}",
		 "\"build\" names no image", ""},
		{"{\"version\": 1, " PROFILE
		 ", \"base\": {\"image\": \"x\", \"manifest\": \"sha256:x\", \"layers\": []}}",
		 "a digest in \"base\" is not sha256: and 64 hexadecimal digits", ""},
		{"{\"version\": 1, " PROFILE
		 ", \"base\": {\"image\": \"x\", \"manifest\": \"sha256:" HEX "\"}}",
		 "a digest in \"base\" is not sha256: and 64 hexadecimal digits", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		struct lockfile got = {0};
		struct err err = {0};

		assert_int_equal(lockfile_parse(a, bad[i].text, strlen(bad[i].text), &got, &err),
				 -1);
		assert_string_equal(err.msg, bad[i].msg);
		assert_string_equal(err.hint, bad[i].hint);
		assert_null(got.base.image);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(comes_back_as_it_was),
		cmocka_unit_test(refuses_what_is_wrong),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
