#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/opt.h"

struct values {
	const char *env;
	const char *dir;
	bool root, list;
};

static const struct opt opts[] = {
	{"env", 'e', "NAME", offsetof(struct values, env), "the environment"},
	{"directory-of-start", 'C', "DIR", offsetof(struct values, dir), "act as if started there"},
	{"root", 'r', NULL, offsetof(struct values, root), "be root"},
	{"list", 0, NULL, offsetof(struct values, list), "only list"},
	{0},
};

static const struct opt_table table = {
	.name = "demo",
	.args = "[ID] [ID]",
	.summary = "shows options",
	.opts = opts,
	.max_args = 2,
};

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

struct result {
	struct arena *a;
	struct values values;
	struct opt_args args;
	struct err err;
	int r;
};

static int setup(void **state)
{
	struct arena *a = arena_new();
	struct result *r = ARENA_NEW(a, struct result);

	r->a = a;
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct result *r = *state;

	arena_free(r->a);
	return 0;
}

/* Read it, with everything as it is at first. */
static struct result *read_with(void **state, const struct opt_table *t, const char *const *argv)
{
	struct result *r = *state;

	*r = (struct result){.a = r->a};
	r->r = opt_read(r->a, t, argv, &r->values, &r->args, &r->err);
	return r;
}

static void assert_usage(void **state, const struct opt_table *t, const char *const *argv,
			 const char *msg, const char *hint)
{
	const struct result *r = read_with(state, t, argv);

	assert_int_equal(r->r, -1);
	assert_int_equal(r->err.kind, ERR_USAGE);
	assert_string_equal(r->err.msg, msg);
	assert_string_equal(r->err.hint, hint);
	assert_null(r->args.v);
}

static void test_nothing(void **state)
{
	const char *const none[] = {NULL};
	const struct result *r = read_with(state, &table, none);

	assert_int_equal(r->r, 0);
	assert_null(r->values.env);
	assert_false(r->values.root);
	assert_int_equal(r->args.n, 0);
	assert_null(r->args.v[0]);
	assert_false(r->args.help);
}

/* Each way to write a value and a flag. */
static void test_values(void **state)
{
	static const char *const ways[][6] = {
		{"--env=x", "--root", "a", NULL},
		{"--env", "x", "--root", "a", NULL},
		{"-ex", "-r", "a", NULL},
		{"-e", "x", "a", "-r", NULL},
		{"-rex", "a", NULL},
		{"-re", "x", "a", NULL},
		{"-e", "y", "-ex", "-rr", "a", NULL}, /* the last one counts */
	};

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		const struct result *r = read_with(state, &table, ways[i]);

		assert_int_equal(r->r, 0);
		assert_string_equal(r->values.env, "x");
		assert_true(r->values.root);
		assert_false(r->values.list);
		assert_null(r->values.dir);
		assert_int_equal(r->args.n, 1);
		assert_string_equal(r->args.v[0], "a");
		assert_null(r->args.v[1]);
	}
}

static void test_odd_values(void **state)
{
	const struct result *r = read_with(state, &table, WORDS("--env=", "-C", "--", "-", ""));

	assert_int_equal(r->r, 0);
	assert_string_equal(r->values.env, "");
	/* Whatever stands there is the value. */
	assert_string_equal(r->values.dir, "--");
	assert_int_equal(r->args.n, 2);
	assert_string_equal(r->args.v[0], "-");
	assert_string_equal(r->args.v[1], "");
	r = read_with(state, &table, WORDS("--env=a=b", "-C=x"));
	assert_string_equal(r->values.env, "a=b");
	assert_string_equal(r->values.dir, "=x");
}

static void test_end_of_options(void **state)
{
	struct opt_table leading = table;
	const struct result *r = read_with(state, &table, WORDS("a", "--", "--root"));

	assert_int_equal(r->r, 0);
	assert_false(r->values.root);
	assert_string_equal(r->args.v[1], "--root");

	/* The first argument ends them where the rest is another program's; later words are its own. */
	leading.leading = true;
	leading.max_args = OPT_ANY_ARGS;
	r = read_with(state, &leading, WORDS("-r", "ls", "--list", "--", "-x", "--help"));
	assert_int_equal(r->r, 0);
	assert_true(r->values.root);
	assert_false(r->values.list);
	assert_false(r->args.help);
	assert_int_equal(r->args.n, 5);
	assert_string_equal(r->args.v[1], "--list");
	assert_string_equal(r->args.v[2], "--");
	r = read_with(state, &leading, WORDS("--", "--", "-r"));
	assert_int_equal(r->args.n, 2);
	assert_string_equal(r->args.v[0], "--");
}

static void test_unknown(void **state)
{
	struct opt_table global = table;

	global.name = "";
	assert_usage(state, &table, WORDS("--roto"), "unknown option '--roto' of 'sbx demo'",
		     "did you mean '--root'?");
	assert_usage(state, &table, WORDS("--hepl"), "unknown option '--hepl' of 'sbx demo'",
		     "did you mean '--help'?");
	assert_usage(state, &table, WORDS("--quiet"), "unknown option '--quiet' of 'sbx demo'",
		     "it stands before the command: sbx --quiet demo");
	assert_usage(state, &table, WORDS("-rq"), "unknown option '-q' of 'sbx demo'",
		     "it stands before the command: sbx -q demo");
	assert_usage(state, &table, WORDS("--xyzzy=1"), "unknown option '--xyzzy' of 'sbx demo'",
		     "sbx demo --help");
	assert_usage(state, &global, WORDS("--xyzzy"), "unknown option '--xyzzy' of 'sbx'",
		     "sbx --help");
	/* No name is abbreviated, and none goes on behind its end. */
	assert_usage(state, &table, WORDS("--directory"),
		     "unknown option '--directory' of 'sbx demo'", "sbx demo --help");
	assert_usage(state, &table, WORDS("--roots"), "unknown option '--roots' of 'sbx demo'",
		     "did you mean '--root'?");
	assert_usage(state, &table, WORDS("-rxe"), "unknown option '-x' of 'sbx demo'",
		     "sbx demo --help");
	assert_usage(state, &table, WORDS("-\xc3\xa4"), "unknown option '-\xc3\xa4' of 'sbx demo'",
		     "sbx demo --help");
}

static void test_bad_values(void **state)
{
	assert_usage(state, &table, WORDS("--root=1"), "option '--root' takes no value", "");
	assert_usage(state, &table, WORDS("--env"), "option '--env' needs a value: NAME", "");
	assert_usage(state, &table, WORDS("-rC"), "option '-C' needs a value: DIR", "");
}

static void test_counts(void **state)
{
	struct opt_table t = table;

	t.min_args = 1;
	assert_usage(state, &t, WORDS("-r"), "'sbx demo' needs more arguments: [ID] [ID]",
		     "sbx demo --help");
	assert_usage(state, &t, WORDS("a", "b", "c"), "'sbx demo' has no use for the argument 'c'",
		     "sbx demo --help");
	assert_int_equal(read_with(state, &t, WORDS("a"))->r, 0);
	assert_int_equal(read_with(state, &t, WORDS("a", "b"))->r, 0);
}

/* Help wins over all that stands behind it, and over what is missing. */
static void test_help(void **state)
{
	static const char *const ways[][3] = {{"--help", "--nonsense"}, {"-h"}, {"-rh", "x"}};
	static const struct opt own[] = {
		{"host", 'h', NULL, offsetof(struct values, list), "an h of its own"},
		{0},
	};
	struct opt_table t = table;
	const struct result *r;

	t.min_args = 1;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		r = read_with(state, &t, ways[i]);
		assert_int_equal(r->r, 0);
		assert_true(r->args.help);
	}
	t = (struct opt_table){.name = "own", .opts = own};
	r = read_with(state, &t, WORDS("-h"));
	assert_false(r->args.help);
	assert_true(r->values.list);
}

static void test_words(void **state)
{
	static const char *const words[] = {"add", "list", NULL};
	struct err err = {0};

	(void)state;
	assert_int_equal(opt_word("port", "list", words, &err), 0);
	assert_int_equal(opt_word("port", "lsit", words, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_string_equal(err.msg, "unknown command 'port lsit'");
	assert_string_equal(err.hint, "did you mean 'sbx port list'?");
	assert_int_equal(opt_word("port", "xyzzy", words, &err), -1);
	assert_string_equal(err.hint, "sbx port --help");
	assert_int_equal(opt_word("", "lits", words, &err), -1);
	assert_string_equal(err.msg, "unknown command 'lits'");
	assert_string_equal(err.hint, "did you mean 'sbx list'?");
	assert_int_equal(opt_word("port", "ls", words, &err), -1);
	assert_string_equal(err.hint, "did you mean 'sbx port list'?");
	/* What is called so elsewhere, but not here. */
	assert_int_equal(opt_word("port", "exec", words, &err), -1);
	assert_string_equal(err.hint, "sbx port --help");
	assert_int_equal(opt_word("", "xyzzy", words, &err), -1);
	assert_string_equal(err.hint, "sbx --help lists the commands");
}

static void test_texts(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct opt_table t = table;

	(void)state;
	opt_synopsis(&table, &b);
	assert_string_equal(b.p, "sbx demo [-e NAME] [-C DIR] [-r] [--list] [ID] [ID]");
	buf_done(&b);
	opt_help(&table, &b);
	assert_string_equal(b.p, "usage: sbx demo [-e NAME] [-C DIR] [-r] [--list] [ID] [ID]\n"
				 "\n"
				 "shows options\n"
				 "\n"
				 "  -e, --env NAME        the environment\n"
				 "  -C, --directory-of-start DIR\n"
				 "                        act as if started there\n"
				 "  -r, --root            be root\n"
				 "      --list            only list\n"
				 "  -h, --help            show this text\n");
	t = (struct opt_table){.name = "", .details = "All of it.", .opts = &opts[4]};
	buf_done(&b);
	opt_help(&t, &b);
	assert_string_equal(b.p, "usage: sbx\n\nAll of it.\n\n"
				 "  -h, --help            show this text\n");
}

/* Nothing is wider than a terminal; what is in brackets is in one line, columns are as they are. */
static void test_width(void **state)
{
	static const struct opt many[] = {
		{"one-of-them", 0, "A VALUE", 0,
		 "a text that is much too long to be in one line beside the name of the option"},
		{"another-one", 'a', NULL, 0, "short"},
		{0},
	};
	_cleanup_buf_ struct buf b = {0};
	struct opt_table t = {
		.name = "wide",
		.opts = many,
		.args = "[several words in brackets] | MORE ... [NAMES]",
		.details =
			"One line of the source that ends\nsomewhere.  Another sentence, behind two "
			"blanks.\nA third one.",
	};

	(void)state;
	opt_help(&t, &b);
	assert_string_equal(
		b.p,
		"usage: sbx wide [--one-of-them A VALUE] [-a] [several words in brackets] | MORE\n"
		"       ... [NAMES]\n"
		"\n"
		"One line of the source that ends somewhere.  Another sentence, behind two\n"
		"blanks.  A third one.\n"
		"\n"
		"      --one-of-them A VALUE\n"
		"                        a text that is much too long to be in one line beside\n"
		"                        the name of the option\n"
		"  -a, --another-one     short\n"
		"  -h, --help            show this text\n");
	t.details = "add     to it\nrm      from it";
	buf_done(&b);
	opt_help(&t, &b);
	assert_non_null(strstr(b.p, "\n\nadd     to it\nrm      from it\n\n"));
}

#define OPT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPT_TEST(test_nothing),        OPT_TEST(test_values),  OPT_TEST(test_odd_values),
		OPT_TEST(test_end_of_options), OPT_TEST(test_unknown), OPT_TEST(test_bad_values),
		OPT_TEST(test_counts),         OPT_TEST(test_help),    OPT_TEST(test_texts),
		OPT_TEST(test_words),          OPT_TEST(test_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
