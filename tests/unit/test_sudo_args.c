/*
 * The command line of the helper, without a system call.  What it does with it (run/sudo) is tested
 * from outside, in tests/cli.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "run/sudo_args.h"

#define WORDS(...)                \
	(const char *const[])     \
	{                         \
		__VA_ARGS__, NULL \
	}
#define NO_WORDS WORDS(NULL)

static struct arena *arena;

static int setup(void **state)
{
	(void)state;
	arena = arena_new();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_free(arena);
	arena = NULL;
	return 0;
}

static struct sudo_args args_of(const char *const *argv)
{
	struct sudo_args args = {0};
	struct err err = {0};

	if (sudo_args_read(arena, argv, &args, &err) < 0)
		fail_msg("refused: %s", err.msg);
	return args;
}

static void check_refused(const char *const *argv, const char *message)
{
	struct sudo_args args = {.user = "untouched"};
	struct err err = {0};

	assert_int_equal(sudo_args_read(arena, argv, &args, &err), -1);
	assert_string_equal(err.msg, message);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_string_equal(args.user, "untouched");
}

static void check_words(const char *const *got, const char *const *wanted)
{
	size_t i = 0;

	for (; wanted[i]; i++) {
		assert_non_null(got[i]);
		assert_string_equal(got[i], wanted[i]);
	}
	assert_null(got[i]);
}

static void a_command_is_what_is_left(void **state)
{
	struct sudo_args args;

	(void)state;
	args = args_of(WORDS("apt-get", "install", "-y", "cowsay"));
	assert_int_equal(args.mode, SUDO_RUN);
	check_words(args.command, WORDS("apt-get", "install", "-y", "cowsay"));
	check_words(args.vars, NO_WORDS);
	assert_null(args.user);
	assert_null(args.group);
	assert_null(args.dir);
	assert_false(args.login || args.shell);

	args = args_of(WORDS("--", "-u", "x"));
	check_words(args.command, WORDS("-u", "x"));
	args = args_of(WORDS("-", "x"));
	check_words(args.command, WORDS("-", "x"));
	args = args_of(WORDS(""));
	check_words(args.command, WORDS(""));
}

static void options_that_change_nothing(void **state)
{
	(void)state;
	check_words(args_of(WORDS("-n", "-E", "-H", "-S", "-A", "-B", "-N", "-k", "-p", "-x", "id"))
			    .command,
		    WORDS("id"));
	check_words(args_of(WORDS("-nEHS", "-pnone", "id")).command, WORDS("id"));
	check_words(args_of(WORDS("--non-interactive", "--preserve-env", "--set-home", "--stdin",
				  "--preserve-env=A,B", "--prompt", "x", "--prompt=x", "--bell",
				  "--askpass", "--no-update", "--reset-timestamp", "id"))
			    .command,
		    WORDS("id"));
	/* -E takes no word but with "=". */
	check_words(args_of(WORDS("-E", "A")).command, WORDS("A"));
	check_words(args_of(WORDS("--preserve-env", "A")).command, WORDS("A"));
}

static void users_groups_and_folders(void **state)
{
	struct sudo_args args;

	(void)state;
	args = args_of(WORDS("-u", "www-data", "-g", "#33", "-D", "/srv", "id"));
	assert_string_equal(args.user, "www-data");
	assert_string_equal(args.group, "#33");
	assert_string_equal(args.dir, "/srv");
	args = args_of(WORDS("-nuwww-data", "-g33", "id"));
	assert_string_equal(args.user, "www-data");
	assert_string_equal(args.group, "33");
	check_words(args.command, WORDS("id"));
	args = args_of(WORDS("--user=x", "--group", "y", "--chdir=z", "id"));
	assert_string_equal(args.user, "x");
	assert_string_equal(args.group, "y");
	assert_string_equal(args.dir, "z");
	/* The last one counts. */
	assert_string_equal(args_of(WORDS("-ua", "-ub", "id")).user, "b");
}

static void variables_before_the_command(void **state)
{
	struct sudo_args args;

	(void)state;
	args = args_of(WORDS("A=1", "-u", "x", "B=", "env", "C=3"));
	check_words(args.vars, WORDS("A=1", "B="));
	check_words(args.command, WORDS("env", "C=3"));
	assert_string_equal(args.user, "x");
	/* Those are commands. */
	check_words(args_of(WORDS("/bin/a=b", "x")).command, WORDS("/bin/a=b", "x"));
	check_words(args_of(WORDS("=x")).command, WORDS("=x"));
	check_words(args_of(WORDS("--", "A=1", "x")).command, WORDS("A=1", "x"));
}

static void shells(void **state)
{
	(void)state;
	assert_true(args_of(WORDS("-i")).login);
	assert_true(args_of(WORDS("--login")).login);
	assert_true(args_of(WORDS("-s")).shell);
	assert_true(args_of(WORDS("--shell", "id")).shell);
	check_refused(WORDS("-is"), "sudo: -i and -s exclude each other");
}

static void modes(void **state)
{
	static const struct {
		const char *option, *name;
		enum sudo_mode mode;
	} all[] = {
		{"-v", "--validate", SUDO_NOTHING},
		{"-k", "--reset-timestamp", SUDO_NOTHING},
		{"-K", "--remove-timestamp", SUDO_NOTHING},
		{"-l", "--list", SUDO_LIST},
		{"-h", "--help", SUDO_HELP},
		{"-V", "--version", SUDO_VERSION},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_int_equal(args_of(WORDS(all[i].option)).mode, all[i].mode);
		assert_int_equal(args_of(WORDS(all[i].name)).mode, all[i].mode);
	}
	assert_int_equal(args_of(WORDS("-l", "-U", "x", "cat")).mode, SUDO_LIST);
	/* With a command -k runs it. */
	assert_int_equal(args_of(WORDS("-k", "id")).mode, SUDO_RUN);
	assert_int_equal(args_of(WORDS("-k", "-s")).mode, SUDO_RUN);
}

static void what_it_cannot_do_is_refused(void **state)
{
	(void)state;
	check_refused(NO_WORDS, "sudo: no command was given");
	check_refused(WORDS("-u", "x"), "sudo: no command was given");
	check_refused(WORDS("A=1"), "sudo: no command was given");
	check_refused(WORDS("-Z", "id"), "sudo: unknown option '-Z'");
	check_refused(WORDS("-n\033", "id"), "sudo: unknown option '-\033'");
	check_refused(WORDS("--foo=1", "id"), "sudo: unknown option '--foo=1'");
	check_refused(WORDS("-u"), "sudo: the option -u needs a word");
	check_refused(WORDS("--user"), "sudo: the option --user needs a word");
	check_refused(WORDS("--login=x"), "sudo: the option --login takes no word");
	check_refused(WORDS("-b", "id"),
		      "sudo: the option -b (--background) does not work in a sandbox");
	check_refused(WORDS("--edit", "x"),
		      "sudo: the option -e (--edit) does not work in a sandbox");
	check_refused(WORDS("-R/x", "id"),
		      "sudo: the option -R (--chroot) does not work in a sandbox");
	check_refused(WORDS("-T", "5", "id"),
		      "sudo: the option -T (--command-timeout) does not work in a sandbox");
}

static void numbers(void **state)
{
	uint32_t id = 7;

	(void)state;
	assert_true(sudo_args_id("#0", &id));
	assert_int_equal(id, 0);
	assert_true(sudo_args_id("#4294967294", &id));
	assert_int_equal(id, 4294967294U);
	id = 7;
	/* The last is -1, which setuid(2) takes for "as it is". */
	for (const char *const *p = WORDS("33", "#", "#-1", "# 1", "#1x", "", "#4294967295"); *p;
	     p++)
		assert_false(sudo_args_id(*p, &id));
	assert_int_equal(id, 7);
}

static void what_is_executed(void **state)
{
	struct sudo_args args;

	(void)state;
	args = args_of(WORDS("id", "-u"));
	check_words(sudo_args_command(arena, &args, "/bin/x"), WORDS("id", "-u"));
	args = args_of(WORDS("-s"));
	check_words(sudo_args_command(arena, &args, "/bin/x"), WORDS("/bin/x"));
	args = args_of(WORDS("-i"));
	check_words(sudo_args_command(arena, &args, "/bin/x"), WORDS("/bin/x", "-l"));
	args = args_of(WORDS("-s", "echo", "a b", "$HOME", "it's", "a\nb", "x_1-2;"));
	check_words(sudo_args_command(arena, &args, "/bin/x"),
		    WORDS("/bin/x", "-c", "echo a\\ b $HOME it\\'s a'\n'b x_1-2\\;"));
	args = args_of(WORDS("-i", "id"));
	check_words(sudo_args_command(arena, &args, "/bin/x"), WORDS("/bin/x", "-l", "-c", "id"));
}

static const struct sudo_user target = {"www", "/var/www", "/bin/tsh", 33, 34};
static const struct sudo_user caller = {"me", "/home/me", "/bin/csh", 1000, 1001};

static void the_environment(void **state)
{
	struct sudo_args args = args_of(WORDS("A=new", "SUDO_UID=5", "B=2", "id", "a b"));

	(void)state;
	check_words(sudo_args_env(arena, &args,
				  WORDS("AB=x", "A=old", "HOMES=x", "HOME=/home/me", "USER=me",
					"broken", "XDG_RUNTIME_DIR=/run/user/1000", "TERM=xterm"),
				  &target, &caller),
		    WORDS("AB=x", "A=new", "HOMES=x", "HOME=/var/www", "USER=www",
			  "XDG_RUNTIME_DIR=/run/user/33", "TERM=xterm", "LOGNAME=www",
			  "SHELL=/bin/tsh", "MAIL=/var/mail/www", "SUDO_USER=me", "SUDO_UID=5",
			  "SUDO_GID=1001", "SUDO_COMMAND=id a b", "B=2"));
}

static void the_command_in_the_environment_is_cut(void **state)
{
	char word[5000];
	struct sudo_args args;
	const char *const *env;
	size_t n = 0;

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	args = args_of(WORDS(word));
	env = sudo_args_env(arena, &args, NO_WORDS, &target, &caller);
	while (env[n + 1])
		n++;
	assert_int_equal(strlen(env[n]), strlen("SUDO_COMMAND=") + 4096);
	args = args_of(WORDS("-i"));
	env = sudo_args_env(arena, &args, NO_WORDS, &target, &caller);
	assert_string_equal(env[n], "SUDO_COMMAND=/bin/tsh -l");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_command_is_what_is_left),
		CASE(options_that_change_nothing),
		CASE(users_groups_and_folders),
		CASE(variables_before_the_command),
		CASE(shells),
		CASE(modes),
		CASE(what_it_cannot_do_is_refused),
		CASE(numbers),
		CASE(what_is_executed),
		CASE(the_environment),
		CASE(the_command_in_the_environment_is_cut),
	};

	return cmocka_run_group_tests_name("sudo_args", tests, NULL, NULL);
}
