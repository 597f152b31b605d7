/* What a profile gets from those that it extends; part of conf/profile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/profile.h"

/* The named profiles of a test: pairs of name and text, ended by NULL. */
struct shelf {
	const char *const *pairs;
	bool trusted;
};

static int find(void *ctx, struct arena *a, const char *name, struct profile_source *ret,
		struct err *err)
{
	const struct shelf *shelf = ctx;

	for (const char *const *p = shelf->pairs; *p; p += 2)
		if (str_eq(p[0], name)) {
			ret->file = arena_printf(a, "/named/%s.ini", name);
			ret->text = p[1];
			ret->len = strlen(p[1]);
			ret->trusted = shelf->trusted;
			return 0;
		}
	return err_set(err, "there is no profile '%s'", name);
}

static int parse_with(struct arena *a, const char *text, const struct shelf *shelf,
		      const struct profile **ret, struct err *err)
{
	struct profile_source src = {.file = "sbx.ini", .text = text, .len = strlen(text)};
	struct shelf copy = *shelf;

	return profile_parse(a, &src, find, &copy, ret, err);
}

static void test_extends(void **state)
{
	static const char *const pairs[] = {
		"b",
		"[profile]\nname = notmine\nextends = c\n[network]\nmode = none\n"
		"[env]\npass = X\nset.Y = b\n[mounts]\n/b = /m\n/keep = /k\n"
		"[build]\nrun = b\n[network-not]\n",
		NULL,
	};
	static const char *const good[] = {
		"b",
		"[profile]\nname = notmine\nextends = c\n[network]\nmode = none\n"
		"ports = 80:1 81\n[env]\npass = X\nset.Y = b\n[mounts]\n/b = /m\n/keep = /k\n"
		"[build]\nrun = b\n[commit]\nexclude = b\n[limits]\npids = 7\n",
		"c",
		"[base]\nimage = dir:/c\n[network]\nmode = host\ndriver = pasta\n"
		"[env]\nset.X = c\n[build]\nrun = c\n[commit]\nexclude = *.log\nexclude = /c/\n",
		NULL,
	};
	static const char top[] =
		"[profile]\nextends = b\n[env]\nset.Y = top\n[mounts]\n/top = /m:rw\n"
		"[network]\nports = 0.0.0.0:80\n[build]\nrun = top\n[commit]\nexclude = *.log\n[limits]\nbest-effort = yes\n";
	_cleanup_arena_ struct arena *a = arena_new();
	const struct shelf shelf = {good, true};
	const struct shelf bad = {pairs, true};
	const struct profile *p = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(parse_with(a, top, &bad, &p, &err), -1);
	assert_string_equal(err.msg, "/named/b.ini:14: there is no section [network-not]");
	assert_int_equal(parse_with(a, top, &shelf, &p, &err), 0);
	assert_null(p->name.s); /* a name is not inherited */
	assert_int_equal(p->base.kind, BASE_DIR);
	assert_string_equal(p->base.at.file, "/named/c.ini");
	assert_int_equal(p->net.mode, NET_NONE);
	assert_string_equal(p->net.mode_at.file, "/named/b.ini");
	assert_int_equal(p->net.driver, NETDRV_PASTA);
	assert_int_equal(p->limits.pids.n, 7);
	assert_true(p->limits.best_effort.on);
	/* X of c gives way to b's pass, Y of b to the top's. */
	assert_int_equal(p->env.n, 2);
	assert_string_equal(p->env.v[0].name, "X");
	assert_null(p->env.v[0].value);
	assert_string_equal(p->env.v[1].value, "top");
	assert_int_equal(p->mounts.n, 2);
	assert_string_equal(p->mounts.v[0].host, "/keep");
	assert_string_equal(p->mounts.v[1].host, "/top");
	assert_int_equal(p->net.ports.n, 2);
	assert_int_equal(p->net.ports.v[0].host, 81);
	assert_string_equal(p->net.ports.v[1].address, "0.0.0.0");
	assert_int_equal(p->build.n, 3);
	assert_string_equal(p->build.v[0].s, "c");
	assert_string_equal(p->build.v[2].s, "top");
	/* The pattern that two of them have comes once. */
	assert_int_equal(p->commit_exclude.n, 3);
	assert_string_equal(p->commit_exclude.v[0].s, "/c/");
	assert_string_equal(p->commit_exclude.v[1].s, "b");
	assert_string_equal(p->commit_exclude.v[2].s, "*.log");
	assert_string_equal(p->commit_exclude.v[2].at.file, "sbx.ini");
	assert_int_equal(p->files.n, 3);
	assert_string_equal(p->files.v[2].s, "/named/c.ini");
	assert_string_equal(p->files.v[2].at.file, "/named/b.ini");
	assert_int_equal(p->files.v[2].at.line, 3);
}

/* What an untrusted file extends is not trusted: it chose it. */
static void test_trust_goes_down_the_chain(void **state)
{
	static const char *const pairs[] = {"mine", "[network]\nmode = host\n", NULL};
	const struct shelf shelf = {pairs, true};
	_cleanup_arena_ struct arena *a = arena_new();
	struct profile_source src = {"own.ini", "[profile]\nextends = mine\n", 25, true};
	struct shelf copy = shelf;
	const struct profile *p = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(parse_with(a, "[profile]\nextends = mine\n", &shelf, &p, &err), 0);
	assert_false(p->net.mode_at.trusted);
	assert_int_equal(profile_parse(a, &src, find, &copy, &p, &err), 0);
	assert_true(p->net.mode_at.trusted);
}

static void assert_fails(const char *text, const char *const *pairs, const char *msg)
{
	const struct shelf shelf = {pairs, true};
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = NULL;
	struct err err = {0};

	assert_int_equal(parse_with(a, text, &shelf, &p, &err), -1);
	assert_string_equal(err.msg, msg);
	assert_null(p);
}

static void test_extends_fails(void **state)
{
	static const char *const itself[] = {"a", "\n[profile]\nextends = a\n", NULL};
	static const char *const loop[] = {
		"a", "[profile]\nextends = b\n", "b",  "[profile]\nextends = c\n",
		"c", "[profile]\nextends = b\n", NULL,
	};
	static const char *const none[] = {NULL};

	(void)state;
	assert_fails("[profile]\nextends = a\n", itself,
		     "/named/a.ini:3: 'extends' goes in a circle: a -> a");
	assert_fails("[profile]\nextends = a\n", loop,
		     "/named/c.ini:2: 'extends' goes in a circle: b -> c -> b");
	assert_fails("[profile]\nextends = a\n", none,
		     "sbx.ini:2: cannot extend 'a': there is no profile 'a'");
}

/* A named profile that is the top itself is known by its file. */
static void test_extends_top(void **state)
{
	static const char *const pairs[] = {"a", "[profile]\nextends = b\n", "b",
					    "[profile]\nextends = a\n", NULL};
	struct shelf shelf = {pairs, true};
	struct profile_source src = {"/named/a.ini", pairs[1], strlen(pairs[1]), true};
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(profile_parse(a, &src, find, &shelf, &p, &err), -1);
	assert_string_equal(err.msg, "/named/b.ini:2: 'extends' goes in a circle: "
				     "/named/a.ini -> b -> /named/a.ini");
	assert_int_equal(profile_parse(a, &src, NULL, NULL, &p, &err), -1);
	assert_string_equal(err.msg, "/named/a.ini:2: 'extends' cannot be used here");
}

/* Each name extends the next number: p1, p2, … */
static int find_next(void *ctx, struct arena *a, const char *name, struct profile_source *ret,
		     struct err *err)
{
	int *n = ctx;

	(void)name;
	(void)err;
	(*n)++;
	ret->file = arena_printf(a, "p%d.ini", *n);
	ret->text = arena_printf(a, "[profile]\nextends = p%d\n", *n + 1);
	ret->len = strlen(ret->text);
	return 0;
}

static void test_extends_depth(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct profile_source src = {"sbx.ini", "[profile]\nextends = p1\n", 23, false};
	const struct profile *p = NULL;
	struct err err = {0};
	int n = 0;

	(void)state;
	assert_int_equal(profile_parse(a, &src, find_next, &n, &p, &err), -1);
	assert_string_equal(err.msg, "p15.ini:2: 'extends' is more than 16 profiles deep");
	assert_int_equal(n, 15);
}

static void test_text(void **state)
{
	static const char *const pairs[] = {"b", "# b\n", NULL};
	const struct shelf shelf = {pairs, true};
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(parse_with(a, "[profile]\nextends = b", &shelf, &p, &err), 0);
	assert_string_equal(p->text, "sbx.ini 21\n[profile]\nextends = b\n/named/b.ini 4\n# b\n\n");
	assert_int_equal(p->text_len, strlen(p->text));
}

/* What is wrong is left out, and the first of it told; all else counts. */
static void test_rest(void **state)
{
	static const char *const pairs[] = {
		"up", "[network]\nmode = none\n[commit]\nexclude = /a\n", NULL};
	static const struct {
		const char *text, *why;
		enum net_mode mode;
		size_t excluded;
	} cases[] = {
		{"[profile]\nextends = up\n", "", NET_NONE, 1},
		{"[profile]\nextends = up\n[nosuch]\nmode = host\n[commit]\nexclude = /b\n",
		 "top.ini:3: there is no section [nosuch]", NET_NONE, 2},
		{"junk\n[network]\nmode = host\nmood = x\n",
		 "top.ini:1: this is neither 'key = value' nor '[section]'", NET_HOST, 0},
		{"[network]\nmode = nil\n[network]\nmode = host\n",
		 "top.ini:2: bad value 'nil' of 'mode'", NET_HOST, 0},
		{"[profile]\nextends = down\n[network]\nmode = host\n",
		 "top.ini:2: cannot extend 'down'", NET_HOST, 0},
		{"[network\nmode = host\n\x01\n[commit]\nexclude = /b\n",
		 "top.ini:1: a section's name ends with ']'", NET_SLIRP, 1},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		const struct profile_source top = {
			.file = "top.ini", .text = cases[i].text, .len = strlen(cases[i].text)};
		struct shelf shelf = {.pairs = pairs};
		struct err why = {0};
		const struct profile *p = NULL;

		assert_int_equal(profile_parse_rest(a, &top, find, &shelf, &p, &why),
				 cases[i].why[0] ? 1 : 0);
		if (strncmp(why.msg, cases[i].why, strlen(cases[i].why)) != 0 ||
		    (!cases[i].why[0] && why.msg[0]))
			fail_msg("%zu: %s", i, why.msg);
		assert_int_equal(p->net.mode, cases[i].mode);
		assert_int_equal(p->commit_exclude.n, cases[i].excluded);
		assert_non_null(p->text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_extends),
		cmocka_unit_test(test_trust_goes_down_the_chain),
		cmocka_unit_test(test_extends_fails),
		cmocka_unit_test(test_extends_top),
		cmocka_unit_test(test_extends_depth),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
