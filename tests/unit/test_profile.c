#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/keys.h"
#include "conf/lists.h"
#include "conf/profile.h"
#include "conf/values.h"

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
	struct profile_source src = { .file = "sbx.ini", .text = text, .len = strlen(text) };
	struct shelf copy = *shelf;

	return profile_parse(a, &src, find, &copy, ret, err);
}

static const struct profile *parse(struct arena *a, const char *text)
{
	static const char *const none[] = { NULL };
	const struct shelf shelf = { none, true };
	const struct profile *p = NULL;
	struct err err = { 0 };

	if (parse_with(a, text, &shelf, &p, &err) < 0)
		fail_msg("%s", err.msg);
	return p;
}

static void test_empty_is_defaults(void **state)
{
	static const char *const texts[] = { "", "\n", "# only\n; comments", "[network]\n[base]\n",
					     "\xef\xbb\xbf" };

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		const struct profile *p = parse(a, texts[i]);
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

/* The example of DESIGN.md §3, with a registry's name of its own. */
static const char everything[] =
	"[profile]\n"
	"name = thesis\n"
	"[base]\n"
	"image = registry.example/library/debian:12   ; or host\n"
	"[user]\n"
	"as = root\n"
	"[env]\n"
	"pass = LANG TERM, COLORTERM\n"
	"set.PYTHONUTF8 = 1\n"
	"set.OPTS = a=b;c # d\n"
	"[mounts]\n"
	"~/data = /data:ro       ; read-only\n"
	"./with space, comma:colon = /a b:rw\n"
	"\"/odd = \\\"x\\\" ;y\\\\\" = /odd//path/\n"
	"[network]\n"
	"mode = none\n"
	"driver = pasta\n"
	"ports = 8888 0.0.0.0:80:8080,[::1]:81\n"
	"[limits]\n"
	"memory = 4G\n"
	"cpus = 0.5\n"
	"pids = 512\n"
	"best-effort = yes\n"
	"[security]\n"
	"seccomp = strict\n"
	"nested = on\n"
	"[build]\n"
	"run = apt-get update && apt-get install -y build-essential\n"
	"  run = a; b\n"
	"[sandbox]\n"
	"linger = 1500ms\n";

static void test_everything(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = parse(a, everything);

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
	assert_int_equal(p->build_run.n, 2);
	assert_string_equal(p->build_run.v[1].s, "a; b");
	assert_int_equal(p->sandbox.linger_ms, 1500);
}

static void test_mounts_and_ports(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = parse(a, everything);

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
		{ "host", BASE_HOST, NULL },
		{ "dir:./a b", BASE_DIR, "./a b" },
		{ "tar:~/root.tar", BASE_TAR, "~/root.tar" },
		{ "oci:/x:y", BASE_OCI, "/x:y" },
		{ "layer:sha256:0123456701234567012345670123456701234567012345670123456701234567",
		  BASE_LAYER, "0123456701234567012345670123456701234567012345670123456701234567" },
		{ "localhost/a", BASE_REGISTRY, "localhost/a" },
		{ "localhost:5000/a-b_c.d/e__f/g---h:Tag.1", BASE_REGISTRY,
		  "localhost:5000/a-b_c.d/e__f/g---h:Tag.1" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		const struct profile *p =
			parse(a, arena_printf(a, "[base]\nimage = %s\n", images[i].text));

		assert_int_equal(p->base.kind, images[i].kind);
		assert_true(str_eq(p->base.ref, images[i].ref));
	}
}

static void test_extends(void **state)
{
	static const char *const pairs[] = {
		"b", "[profile]\nname = notmine\nextends = c\n[network]\nmode = none\n"
		     "[env]\npass = X\nset.Y = b\n[mounts]\n/b = /m\n/keep = /k\n"
		     "[build]\nrun = b\n[network-not]\n",
		NULL,
	};
	static const char *const good[] = {
		"b", "[profile]\nname = notmine\nextends = c\n[network]\nmode = none\n"
		     "ports = 80:1 81\n[env]\npass = X\nset.Y = b\n[mounts]\n/b = /m\n/keep = /k\n"
		     "[build]\nrun = b\n[limits]\npids = 7\n",
		"c", "[base]\nimage = dir:/c\n[network]\nmode = host\ndriver = pasta\n"
		     "[env]\nset.X = c\n[build]\nrun = c\n",
		NULL,
	};
	static const char top[] =
		"[profile]\nextends = b\n[env]\nset.Y = top\n[mounts]\n/top = /m:rw\n"
		"[network]\nports = 0.0.0.0:80\n[build]\nrun = top\n[limits]\nbest-effort = yes\n";
	_cleanup_arena_ struct arena *a = arena_new();
	const struct shelf shelf = { good, true };
	const struct shelf bad = { pairs, true };
	const struct profile *p = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(parse_with(a, top, &bad, &p, &err), -1);
	assert_string_equal(err.msg, "/named/b.ini:13: there is no section [network-not]");
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
	assert_int_equal(p->build_run.n, 3);
	assert_string_equal(p->build_run.v[0].s, "c");
	assert_string_equal(p->build_run.v[2].s, "top");
	assert_int_equal(p->files.n, 3);
	assert_string_equal(p->files.v[2].s, "/named/c.ini");
	assert_string_equal(p->files.v[2].at.file, "/named/b.ini");
	assert_int_equal(p->files.v[2].at.line, 3);
}

/* What an untrusted file extends is not trusted: it chose it. */
static void test_trust_goes_down_the_chain(void **state)
{
	static const char *const pairs[] = { "mine", "[network]\nmode = host\n", NULL };
	const struct shelf shelf = { pairs, true };
	_cleanup_arena_ struct arena *a = arena_new();
	struct profile_source src = { "own.ini", "[profile]\nextends = mine\n", 25, true };
	struct shelf copy = shelf;
	const struct profile *p = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(parse_with(a, "[profile]\nextends = mine\n", &shelf, &p, &err), 0);
	assert_false(p->net.mode_at.trusted);
	assert_int_equal(profile_parse(a, &src, find, &copy, &p, &err), 0);
	assert_true(p->net.mode_at.trusted);
}

static void assert_fails(const char *text, const char *const *pairs, const char *msg)
{
	const struct shelf shelf = { pairs, true };
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = NULL;
	struct err err = { 0 };

	assert_int_equal(parse_with(a, text, &shelf, &p, &err), -1);
	assert_string_equal(err.msg, msg);
	assert_null(p);
}

static void test_extends_fails(void **state)
{
	static const char *const itself[] = { "a", "\n[profile]\nextends = a\n", NULL };
	static const char *const loop[] = {
		"a", "[profile]\nextends = b\n", "b", "[profile]\nextends = c\n",
		"c", "[profile]\nextends = b\n", NULL,
	};
	static const char *const none[] = { NULL };

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
	static const char *const pairs[] = { "a", "[profile]\nextends = b\n", "b",
					     "[profile]\nextends = a\n", NULL };
	struct shelf shelf = { pairs, true };
	struct profile_source src = { "/named/a.ini", pairs[1], strlen(pairs[1]), true };
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = NULL;
	struct err err = { 0 };

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
	struct profile_source src = { "sbx.ini", "[profile]\nextends = p1\n", 23, false };
	const struct profile *p = NULL;
	struct err err = { 0 };
	int n = 0;

	(void)state;
	assert_int_equal(profile_parse(a, &src, find_next, &n, &p, &err), -1);
	assert_string_equal(err.msg, "p15.ini:2: 'extends' is more than 16 profiles deep");
	assert_int_equal(n, 15);
}

static void test_text(void **state)
{
	static const char *const pairs[] = { "b", "# b\n", NULL };
	const struct shelf shelf = { pairs, true };
	_cleanup_arena_ struct arena *a = arena_new();
	const struct profile *p = NULL;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(parse_with(a, "[profile]\nextends = b", &shelf, &p, &err), 0);
	assert_string_equal(p->text, "sbx.ini 21\n[profile]\nextends = b\n/named/b.ini 4\n# b\n\n");
	assert_int_equal(p->text_len, strlen(p->text));
}

/* A line longer than inih's own limit comes through whole, at every length around it. */
static void test_long_values(void **state)
{
	(void)state;
	for (int n = 150; n < 1200; n += n > 420 ? 37 : 1) {
		_cleanup_arena_ struct arena *a = arena_new();
		_cleanup_buf_ struct buf value = { 0 };
		const struct profile *p;

		for (int i = 0; i < n; i++)
			buf_adds(&value, i % 7 == 3 ? " " : i % 11 == 5 ? ";" : i % 5 ? "x" : "=");
		buf_adds(&value, "[#]");
		/* " ;" would be a comment. */
		for (char *s = value.p; (s = strstr(s, " ;")); s++)
			s[1] = '[';
		p = parse(a, arena_printf(a, "[env]\nset.A = %s  ; comment\nset.B = b\n"
					     "[build]\n\trun = %s\n", value.p, value.p));
		assert_string_equal(p->env.v[0].value, value.p);
		assert_string_equal(p->env.v[1].value, "b");
		assert_int_equal(p->env.v[1].at.line, 3);
		assert_string_equal(p->build_run.v[0].s, value.p);
	}
}

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
	assert_int_equal(x->build_run.n, y->build_run.n);
	for (size_t i = 0; i < x->build_run.n; i++)
		assert_string_equal(x->build_run.v[i].s, y->build_run.v[i].s);
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
		"", everything,
		"[limits]\nmemory = 1500K\ncpus = 1.125\n[base]\nimage = layer:"
		"0123456701234567012345670123456701234567012345670123456701234567\n",
		"[limits]\nmemory = 1048577\ncpus = 2.050\n[mounts]\n\" #a \" = /a:ro:rw\n"
		"\"[b\" = /b\n\"\\\\=\" = /c\n\\x = /d\n~ = /e\n",
		"[user]\nas = self\n[env]\nset.A = x\npass = B\nset.C = d;e\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		const struct profile *p = parse(a, texts[i]);
		_cleanup_buf_ struct buf printed = { 0 };
		_cleanup_buf_ struct buf again = { 0 };
		const struct profile *q;

		profile_print(p, &printed);
		q = parse(a, printed.p);
		assert_same(p, q);
		profile_print(q, &again);
		assert_int_not_equal(again.len, 0);
	}
}

static void test_print_words(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf printed = { 0 };

	(void)state;
	profile_print(parse(a, "[network]\nmode = none\n[build]\nrun = make\n"), &printed);
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
				       "\n[sandbox]\n"
				       "linger = 30s             ; default\n");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_is_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_mounts_and_ports),
		cmocka_unit_test(test_images),
		cmocka_unit_test(test_extends),
		cmocka_unit_test(test_trust_goes_down_the_chain),
		cmocka_unit_test(test_extends_fails),
		cmocka_unit_test(test_extends_top),
		cmocka_unit_test(test_extends_depth),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_print_round_trip),
		cmocka_unit_test(test_print_words),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
