/* cli/complete, over two small tables. */
#include <stddef.h>

#include "cli/complete.h"
#include "cli/opt.h"
#include "store_world.h"

static const struct opt global_opts[] = {{"quiet", 'q', NULL, 0, "be still", NULL}, {0}};
static const struct opt run_opts[] = {
	{"env", 'e', "NAME", 0, "which", NULL},
	{"root", 0, NULL, 0, "as root", NULL},
	{"how", 'c', "HOW", 0, "how", "gzip|zstd"},
	{0},
};
static const struct opt no_opts[] = {{0}};

static const struct opt_table global = {.name = "", .opts = global_opts};
static const struct opt_table tables[] = {
	{.name = "run",
	 .args = "[--] CMD [ARG ...]",
	 .summary = "run one",
	 .opts = run_opts,
	 .max_args = OPT_ANY_ARGS,
	 .leading = true},
	{.name = "profile",
	 .args = "list | show [NAME] | check [FILE]",
	 .summary = "profiles",
	 .opts = no_opts},
	{.name = "save", .args = "[WHAT]", .summary = "write", .opts = no_opts},
	{.name = "kernel",
	 .args = "add|rm [TAG | -- CMD ...]",
	 .summary = "kernels",
	 .opts = no_opts},
	{.name = "rest", .args = "FILE|sock [TAG ...]", .summary = "rest", .opts = no_opts},
};

static const struct opt_table *table(size_t i)
{
	return i < sizeof(tables) / sizeof(tables[0]) ? &tables[i] : NULL;
}

static void list(void *ctx, struct arena *a, const char *kind, struct strv *ret)
{
	(void)ctx;
	strv_pushf(a, ret, "%s-1", kind);
	strv_pushf(a, ret, "$(%s)", kind);
	strv_pushf(a, ret, "%s\033[2J", kind);
	strv_push(a, ret, "");
}

/* `line`: words separated by a blank, of which the last may be empty. */
static void assert_completes(const char *line, const char *expected)
{
	const struct completer c = {.global = &global, .table = table, .list = list};
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_buf_ struct buf b = {0};
	struct strv words = {0};

	for (const char *at = line;;) {
		size_t n = strcspn(at, " ");

		strv_push(a, &words, arena_strndup(a, at, n));
		if (!at[n])
			break;
		at += n + 1;
	}
	buf_adds(&b, "");
	complete(a, &c, (const char *const *)words.v, words.n, &b);
	assert_string_equal(b.p, expected);
}

static void commands_and_options(void **state)
{
	(void)state;
	assert_completes("ru", "run\trun one\n");
	assert_completes("-q ru", "run\trun one\n");
	assert_completes("help ru", "run\trun one\n");
	assert_completes("--q", "--quiet\tbe still\n");
	assert_completes("run --r", "--root\tas root\n");
	assert_completes("run --h", "--how\thow\n--help\tshow this text\n");
	assert_completes("nosuch ", "");
	assert_completes("nosuch --x=", "");
}

static void values(void **state)
{
	(void)state;
	assert_completes("run -e ", "envs-1\n");
	assert_completes("run -e x", "");
	assert_completes("run --env ", "envs-1\n");
	assert_completes("run --env=en", "--env=envs-1\n");
	assert_completes("run --how z", "zstd\n");
	assert_completes("run --how=", "--how=gzip\n--how=zstd\n");
	assert_completes("run -czstd ", ":commands\n");
	assert_completes("run --root=", "");
}

static void arguments(void **state)
{
	(void)state;
	assert_completes("run -e x ", ":commands\n");
	assert_completes("run ls ", ":files\n");
	assert_completes("run ls --", ":files\n");
	assert_completes("run -- --", ":commands\n");
	assert_completes("profile s", "show\n");
	assert_completes("profile show ", "profiles-1\n");
	assert_completes("profile list ", "");
	assert_completes("profile check ", ":files\n");
	assert_completes("save ", "tags-1\nimages-1\n");
	assert_completes("kernel ", "add\nrm\n");
	assert_completes("kernel rm ", "tags-1\n");
	assert_completes("rest s", ":files\nsock\n");
	assert_completes("rest x y z ", "tags-1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_and_options),
		cmocka_unit_test(values),
		cmocka_unit_test(arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
