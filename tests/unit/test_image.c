#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/image.h"

#define HEX8 "01234567"
#define HEX63 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 HEX8 "89abcde"
#define HEX64 HEX63 "f"
#define NO_REGISTRY "it names no registry"
#define NO_DIGEST " is not sha256: and 64 lower-case hexadecimal digits"
#define NO_PART " cannot be part of an image's name"

static void test_good(void **state)
{
	static const char *const good[] = {
		"registry.example/a",
		"registry.example/library/debian:12",
		"localhost/a",
		"localhost:5000/a",
		"r:1/a",
		"r:65535/a",
		"R-1.Example/a",
		"127.0.0.1/a",
		"r.x/a.b_c-d__e---f/0",
		"r.x/a:_T.a-g",
		"r.x/a@sha256:" HEX64,
		"r.x:1/a:t@sha256:" HEX64,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct err err = {0};

		if (image_check_reference(good[i], &err) < 0)
			fail_msg("%s: %s", good[i], err.msg);
		assert_int_equal(err.kind, ERR_NONE);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *s;
		const char *msg;
	} bad[] = {
		{"", NO_REGISTRY},
		{"a", NO_REGISTRY},
		{"a/b", NO_REGISTRY},
		{"localhos/b", NO_REGISTRY},
		{"localhost2/b", NO_REGISTRY},
		/* A ':' or '.' behind the first '/' makes no registry of what is before it. */
		{"a/b:1", NO_REGISTRY},
		{"a/b.c", NO_REGISTRY},
		{"docker://r.x/a", "it is an address of the web, not an image's name"},
		{"/a", NO_REGISTRY},
		{".x/a", "'.x' is not a registry's name"},
		{"x./a", "'x.' is not a registry's name"},
		{"-r.x/a", "'-r.x' is not a registry's name"},
		{"r-.x/a", "'r-.x' is not a registry's name"},
		{"r.-x/a", "'r.-x' is not a registry's name"},
		{"r_.x/a", "'r_.x' is not a registry's name"},
		{":1/a", "':1' is not a registry's name"},
		{"r:/a", "'' is not a port"},
		{"r:0/a", "'0' is not a port"},
		{"r:65536/a", "'65536' is not a port"},
		{"r:100000/a", "'100000' is not a port"},
		{"r:1x/a", "'1x' is not a port"},
		{"r.x/", "''" NO_PART},
		{"r.x/a/", "''" NO_PART},
		{"r.x//a", "''" NO_PART},
		{"r.x/..", "'..'" NO_PART},
		{"r.x/A", "'A'" NO_PART},
		{"r.x/_a", "'_a'" NO_PART},
		{"r.x/a_", "'a_'" NO_PART},
		{"r.x/a___b", "'a___b'" NO_PART},
		{"r.x/a..b", "'a..b'" NO_PART},
		{"r.x/a._b", "'a._b'" NO_PART},
		{"r.x/a b", "'a b'" NO_PART},
		{"r.x/a:", "'' is not a tag"},
		{"r.x/a:-t", "'-t' is not a tag"},
		{"r.x/a:t/b", "'t/b' is not a tag"},
		{"r.x/a@", "''" NO_DIGEST},
		{"r.x/a@sha256:" HEX63, "'sha256:" HEX63 "'" NO_DIGEST},
		{"r.x/a@sha512:" HEX64, "'sha512:" HEX64 "'" NO_DIGEST},
		{"r.x/a:@sha256:" HEX64, "'' is not a tag"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct err err = {0};

		if (image_check_reference(bad[i].s, &err) == 0)
			fail_msg("no error for '%s'", bad[i].s);
		assert_string_equal(err.msg, bad[i].msg);
	}
}

static void test_lengths(void **state)
{
	_cleanup_buf_ struct buf tag = {0};
	_cleanup_buf_ struct buf all = {0};
	struct err err = {0};

	(void)state;
	buf_adds(&tag, "r.x/a:");
	for (int i = 0; i < 128; i++)
		buf_adds(&tag, "t");
	assert_int_equal(image_check_reference(tag.p, &err), 0);
	buf_adds(&tag, "t");
	assert_int_equal(image_check_reference(tag.p, &err), -1);
	assert_true(str_ends(err.msg, "t' is not a tag"));

	buf_adds(&all, "r.x/");
	while (all.len < 512 - strlen(":latest"))
		buf_adds(&all, "a");
	assert_int_equal(image_check_reference(all.p, &err), 0);
	/* As it is kept, it would be too long. */
	buf_adds(&all, "a");
	assert_int_equal(image_check_reference(all.p, &err), -1);
	assert_string_equal(err.msg, "an image's name with its tag has at most 512 bytes");
	all.len -= 1;
	buf_adds(&all, ":latest");
	assert_int_equal(all.len, 512);
	assert_int_equal(image_check_reference(all.p, &err), 0);
	buf_adds(&all, "a");
	assert_int_equal(image_check_reference(all.p, &err), -1);
	assert_string_equal(err.msg, "an image's name has at most 512 bytes");
}

static void test_hex(void **state)
{
	(void)state;
	assert_true(image_is_hex(HEX64));
	assert_false(image_is_hex(""));
	assert_false(image_is_hex(HEX63));
	assert_false(image_is_hex(HEX64 "0"));
	assert_false(image_is_hex(HEX63 "F"));
	assert_false(image_is_hex(HEX63 "g"));
}

static void test_parts(void **state)
{
	static const struct {
		const char *s;
		struct image_ref want;
	} cases[] = {
		{"r.x/a", {"r.x", "a", "latest", NULL, "r.x/a:latest"}},
		{"r.x:5000/a/b", {"r.x:5000", "a/b", "latest", NULL, "r.x:5000/a/b:latest"}},
		{"localhost/a:1", {"localhost", "a", "1", NULL, "localhost/a:1"}},
		{"r.x/a@sha256:" HEX64, {"r.x", "a", NULL, HEX64, "r.x/a@sha256:" HEX64}},
		{"r.x:1/a:t@sha256:" HEX64, {"r.x:1", "a", "t", HEX64, "r.x:1/a:t@sha256:" HEX64}},
	};
	_cleanup_arena_ struct arena *a = arena_new();
	struct image_ref untouched = {.tag = "x"};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct image_ref *want = &cases[i].want;
		struct image_ref got;

		assert_int_equal(image_ref_parse(a, cases[i].s, &got, &err), 0);
		assert_string_equal(got.registry, want->registry);
		assert_string_equal(got.repository, want->repository);
		assert_true(str_eq(got.tag, want->tag));
		assert_true(str_eq(got.digest, want->digest));
		assert_string_equal(got.full, want->full);
	}
	assert_int_equal(image_ref_parse(a, "debian:12", &untouched, &err), -1);
	assert_string_equal(err.msg, NO_REGISTRY);
	assert_string_equal(untouched.tag, "x");
}

static void test_loopback(void **state)
{
	static const char *const yes[] = {"localhost",   "a.localhost", "127.0.0.1",
					  "127.255.0.9", "::1",         "[::1]"};
	static const char *const no[] = {"",           "localhost.example", "127.0.0.1.example",
					 "127.1",      "128.0.0.1",         "127.0.0.256",
					 "127.0.0.1 ", "127.0.0.1.1",       "127.0..1",
					 "0.0.0.0",    "alocalhost",        "127.0000.0.1"};

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(image_is_loopback(yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(image_is_loopback(no[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),    cmocka_unit_test(test_bad),
		cmocka_unit_test(test_lengths), cmocka_unit_test(test_hex),
		cmocka_unit_test(test_parts),   cmocka_unit_test(test_loopback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
