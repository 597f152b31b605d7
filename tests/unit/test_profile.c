/* What each key of a profile means: conf/profile, conf/lines and the types of values. */
#include "conf/keys.h"
#include "conf/lists.h"
#include "conf/values.h"
#include "profile_world.h"

static void test_empty_is_defaults(void **state)
{
	static const char *const texts[] = {"", "\n", "# only\n; comments", "[network]\n[base]\n",
					    "\xef\xbb\xbf"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		const struct profile *p = profile_of(a, texts[i]);
		struct profile d;

		profile_defaults(a, &d);
		assert_null(p->name.s);
		assert_int_equal(p->base.kind, d.base.kind);
		assert_int_equal(p->base.kind, BASE_HOST);
		assert_int_equal(p->user.as, AS_SELF);
		assert_int_equal(p->net.mode, NET_SLIRP);
		assert_int_equal(p->net.driver, NETDRV_AUTO);
		assert_int_equal(p->security.seccomp, SECCOMP_DEFAULT);
		assert_false(p->security.nested.on);
		assert_false(p->limits.memory.set);
		assert_int_equal(p->sandbox.linger_ms, 30000);
		assert_null(p->net.mode_at.file);
		assert_int_equal(p->files.n, 1);
		assert_string_equal(p->files.v[0].s, "sbx.ini");
	}
}

static void test_everything(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = profile_of(a, PROFILE_EVERYTHING);

	(void)state;
	assert_string_equal(p->name.s, "thesis");
	assert_int_equal(p->name.at.line, 2);
	assert_int_equal(p->base.kind, BASE_REGISTRY);
	assert_string_equal(p->base.ref, "registry.example/library/debian:12");
	assert_int_equal(p->base.at.line, 4);
	assert_string_equal(p->base.at.file, "sbx.ini");
	assert_false(p->base.at.trusted);
	assert_int_equal(p->user.as, AS_ROOT);
	assert_int_equal(p->env.n, 5);
	assert_string_equal(p->env.v[2].name, "COLORTERM");
	assert_null(p->env.v[2].value);
	assert_string_equal(p->env.v[3].name, "PYTHONUTF8");
	assert_string_equal(p->env.v[3].value, "1");
	assert_string_equal(p->env.v[4].value, "a=b;c # d");
	assert_int_equal(p->env.v[4].at.line, 10);
	assert_int_equal(p->net.mode, NET_NONE);
	assert_int_equal(p->net.driver, NETDRV_PASTA);
	assert_int_equal(p->net.driver_at.line, 17);
	assert_true(p->limits.memory.n == UINT64_C(4) << 30);
	assert_int_equal(p->limits.millicpus.n, 500);
	assert_int_equal(p->limits.pids.n, 512);
	assert_true(p->limits.best_effort.on);
	assert_int_equal(p->security.seccomp, SECCOMP_STRICT);
	assert_true(p->security.nested.on);
	assert_int_equal(p->build.n, 2);
	assert_string_equal(p->build.v[1].s, "a; b");
	assert_int_equal(p->commit_exclude.n, 2);
	assert_string_equal(p->commit_exclude.v[0].s, "/var/cache/a b;c/**/[!x]*.deb");
	assert_int_equal(p->commit_exclude.v[0].at.line, 31);
	assert_int_equal(p->sandbox.linger_ms, 1500);
}

static void test_mounts_and_ports(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = profile_of(a, PROFILE_EVERYTHING);

	(void)state;
	assert_int_equal(p->mounts.n, 3);
	assert_string_equal(p->mounts.v[0].host, "~/data");
	assert_string_equal(p->mounts.v[0].inside, "/data");
	assert_false(p->mounts.v[0].writable);
	assert_string_equal(p->mounts.v[1].host, "./with space, comma:colon");
	assert_string_equal(p->mounts.v[1].inside, "/a b");
	assert_true(p->mounts.v[1].writable);
	assert_string_equal(p->mounts.v[2].host, "/odd = \"x\" ;y\\");
	assert_string_equal(p->mounts.v[2].inside, "/odd/path");
	assert_int_equal(p->net.ports.n, 3);
	assert_null(p->net.ports.v[0].address);
	assert_int_equal(p->net.ports.v[0].host, 8888);
	assert_int_equal(p->net.ports.v[0].inside, 8888);
	assert_string_equal(p->net.ports.v[1].address, "0.0.0.0");
	assert_int_equal(p->net.ports.v[1].inside, 8080);
	assert_string_equal(p->net.ports.v[2].address, "::1");
	assert_int_equal(p->net.ports.v[2].host, 81);
}

static void test_images(void **state)
{
	static const struct {
		const char *text;
		enum base_kind kind;
		const char *ref;
	} images[] = {
		{"host", BASE_HOST, NULL},
		{"dir:./a b", BASE_DIR, "./a b"},
		{"tar:~/root.tar", BASE_TAR, "~/root.tar"},
		{"oci:/x:y", BASE_OCI, "/x:y"},
		{"layer:sha256:0123456701234567012345670123456701234567012345670123456701234567",
		 BASE_LAYER, "0123456701234567012345670123456701234567012345670123456701234567"},
		{"localhost/a", BASE_REGISTRY, "localhost/a"},
		{"localhost:5000/a-b_c.d/e__f/g---h:Tag.1", BASE_REGISTRY,
		 "localhost:5000/a-b_c.d/e__f/g---h:Tag.1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		const struct profile *p =
			profile_of(a, arena_printf(a, "[base]\nimage = %s\n", images[i].text));

		assert_int_equal(p->base.kind, images[i].kind);
		assert_true(str_eq(p->base.ref, images[i].ref));
	}
}

/* A line longer than inih's own limit comes through whole, at every length around it. */
static void test_long_values(void **state)
{
	(void)state;
	for (int n = 150; n<1200; n += n> 420 ? 37 : 1) {
		_cleanup_arena_ struct arena *a = arena_new();
		_cleanup_buf_ struct buf value = {0};
		const struct profile *p;

		for (int i = 0; i < n; i++)
			buf_adds(&value, i % 7 == 3 ? " " : i % 11 == 5 ? ";" : i % 5 ? "x" : "=");
		buf_adds(&value, "[#]");
		/* " ;" would be a comment. */
		for (char *s = value.p; (s = strstr(s, " ;")); s++)
			s[1] = '[';
		p = profile_of(a, arena_printf(a,
					       "[env]\nset.A = %s  ; comment\nset.B = b\n"
					       "[build]\n\trun = %s\n",
					       value.p, value.p));
		assert_string_equal(p->env.v[0].value, value.p);
		assert_string_equal(p->env.v[1].value, "b");
		assert_int_equal(p->env.v[1].at.line, 3);
		assert_string_equal(p->build.v[0].s, value.p);
	}
}

/* Steps of all kinds are one list, in their order. */
static void test_build(void **state)
{
	static const enum cf_kind kinds[] = {CF_WORKDIR, CF_COPY, CF_RUN, CF_ENV, CF_RUN};
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = profile_of(
		a, "[build]\nworkdir = /x\ncopy = --chmod=644 a \"b\" c/\nrun = [ -f /x ] || "
		   "false\nenv = A=b C=\"d e\"\nrun = [\"a\", \"b\"]\n");

	(void)state;
	assert_int_equal(p->build.n, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(p->build.v[i].kind, kinds[i]);
		assert_int_equal(p->build.v[i].at.line, 2 + (int)i);
	}
	assert_string_equal(p->build.v[3].s, "A=b C=\"d e\"");
	assert_string_equal(build_step_name(CF_COPY), "copy");
	assert_string_equal(build_step_name(CF_FROM), "image");
}

static void test_names(void **state)
{
	const struct key *key = NULL;

	(void)state;
	assert_string_equal(user_as_name(AS_ROOT), "root");
	assert_string_equal(net_mode_name(NET_HOST), "host");
	assert_string_equal(net_driver_name(NETDRV_PASTA), "pasta");
	assert_string_equal(seccomp_mode_name(SECCOMP_OFF), "off");
	assert_true(value_is_name("a.B-9_"));
	assert_false(value_is_name(""));
	assert_false(value_is_name(".a"));
	assert_false(value_is_name("a/b"));
	assert_int_equal(keys_find("mounts", "anything", &key, NULL), 0);
	assert_true(key->flags & KEY_ANY);
}

#define HEX16 "0123456789abcdef"
#define HEX64 HEX16 HEX16 HEX16 HEX16

/* Every prefix of a text that uses everything: an error or not, never a crash, and the
 * message tells the file. */
static void test_cut_anywhere(void **state)
{
	static const char text[] =
		"\xef\xbb\xbf# head\n[profile]\nname = a ; b\n[base]\nimage = "
		"registry.example:5000/a/b__c:t@sha256:" HEX64 "\n[mounts]\n\"a=\\\"b\" = /x:rw\n"
		"[network]\nports = [::1]:80:81, 0.0.0.0:82\n[limits]\nmemory = 1G\ncpus = 0.5\n"
		"[build]\nrun = \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n[sandbox]\nlinger = 5m\n";

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		_cleanup_arena_ struct arena *a = arena_new();
		const struct profile_source src = {.file = "sbx.ini", .text = text, .len = len};
		const struct profile *p;
		struct err err = {0};

		if (profile_parse(a, &src, NULL, NULL, &p, &err) < 0)
			assert_true(str_starts(err.msg, "sbx.ini:"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_is_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_mounts_and_ports),
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_build),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
