/* A profile written as INI again: conf/print. */
#include "profile_world.h"

static void assert_same_lists(const struct profile *x, const struct profile *y)
{
	assert_int_equal(x->env.n, y->env.n);
	for (size_t i = 0; i < x->env.n; i++) {
		assert_string_equal(x->env.v[i].name, y->env.v[i].name);
		assert_true(str_eq(x->env.v[i].value, y->env.v[i].value));
	}
	assert_int_equal(x->mounts.n, y->mounts.n);
	for (size_t i = 0; i < x->mounts.n; i++) {
		assert_string_equal(x->mounts.v[i].host, y->mounts.v[i].host);
		assert_string_equal(x->mounts.v[i].inside, y->mounts.v[i].inside);
		assert_int_equal(x->mounts.v[i].writable, y->mounts.v[i].writable);
	}
	assert_int_equal(x->net.ports.n, y->net.ports.n);
	for (size_t i = 0; i < x->net.ports.n; i++) {
		assert_true(str_eq(x->net.ports.v[i].address, y->net.ports.v[i].address));
		assert_int_equal(x->net.ports.v[i].host, y->net.ports.v[i].host);
		assert_int_equal(x->net.ports.v[i].inside, y->net.ports.v[i].inside);
	}
	assert_int_equal(x->build.n, y->build.n);
	for (size_t i = 0; i < x->build.n; i++) {
		assert_int_equal(x->build.v[i].kind, y->build.v[i].kind);
		assert_string_equal(x->build.v[i].s, y->build.v[i].s);
	}
	assert_int_equal(x->commit_exclude.n, y->commit_exclude.n);
	for (size_t i = 0; i < x->commit_exclude.n; i++)
		assert_string_equal(x->commit_exclude.v[i].s, y->commit_exclude.v[i].s);
}

static void assert_same(const struct profile *x, const struct profile *y)
{
	assert_true(str_eq(x->name.s, y->name.s));
	assert_int_equal(x->base.kind, y->base.kind);
	assert_true(str_eq(x->base.ref, y->base.ref));
	assert_int_equal(x->user.as, y->user.as);
	assert_int_equal(x->net.mode, y->net.mode);
	assert_int_equal(x->net.driver, y->net.driver);
	assert_int_equal(x->limits.memory.set, y->limits.memory.set);
	assert_true(x->limits.memory.n == y->limits.memory.n);
	assert_int_equal(x->limits.millicpus.set, y->limits.millicpus.set);
	assert_true(x->limits.millicpus.n == y->limits.millicpus.n);
	assert_int_equal(x->limits.pids.set, y->limits.pids.set);
	assert_true(x->limits.pids.n == y->limits.pids.n);
	assert_int_equal(x->limits.best_effort.on, y->limits.best_effort.on);
	assert_int_equal(x->security.seccomp, y->security.seccomp);
	assert_int_equal(x->security.nested.on, y->security.nested.on);
	assert_true(x->sandbox.linger_ms == y->sandbox.linger_ms);
	assert_same_lists(x, y);
}

static void test_print_round_trip(void **state)
{
	static const char *const texts[] = {
		"",
		PROFILE_EVERYTHING,
		"[limits]\nmemory = 1500K\ncpus = 1.125\n[base]\nimage = layer:"
		"0123456701234567012345670123456701234567012345670123456701234567\n",
		"[limits]\nmemory = 1048577\ncpus = 2.050\n[mounts]\n\" #a \" = /a:ro:rw\n"
		"\"[b\" = /b\n\"\\\\=\" = /c\n\\x = /d\n~ = /e\n",
		"[user]\nas = self\n[env]\nset.A = x\npass = B\nset.C = d;e\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		const struct profile *p = profile_of(a, texts[i]);
		_cleanup_buf_ struct buf printed = {0};
		_cleanup_buf_ struct buf again = {0};
		const struct profile *q;

		profile_print(p, &printed);
		q = profile_of(a, printed.p);
		assert_same(p, q);
		profile_print(q, &again);
		assert_int_not_equal(again.len, 0);
	}
}

static void test_print_words(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf printed = {0};

	(void)state;
	profile_print(
		profile_of(
			a,
			"[network]\nmode = none\n[build]\nrun = make\nworkdir = /x\nrun = test\n"),
		&printed);
	assert_string_equal(printed.p, "[base]\n"
				       "image = host             ; default\n"
				       "\n[user]\n"
				       "as = self                ; default\n"
				       "\n[network]\n"
				       "mode = none              ; sbx.ini:2\n"
				       "driver = auto            ; default\n"
				       "\n[security]\n"
				       "seccomp = default        ; default\n"
				       "nested = no              ; default\n"
				       "\n[build]\n"
				       "; sbx.ini:4\n"
				       "run = make\n"
				       "; sbx.ini:5\n"
				       "workdir = /x\n"
				       "; sbx.ini:6\n"
				       "run = test\n"
				       "\n[sandbox]\n"
				       "linger = 30s             ; default\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print_round_trip),
		cmocka_unit_test(test_print_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
