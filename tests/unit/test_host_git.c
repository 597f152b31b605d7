#include <stdlib.h>

#include "base/str.h"
#include "conf/profile.h"
#include "plan/host.h"
#include "plan/host_git.h"
#include "store_world.h"

/* What git has for a project in the world's `work/p`, with the world's folder as the home: "NAME <MAIL>". */
static const char *identity(const struct world *w, const char *project)
{
	struct text_value file = {.s = world_path(w, project)};
	struct profile p = {.files = {.v = &file, .n = 1}};
	struct host_facts f = {0};

	assert_int_equal(setenv("HOME", w->dir, 1), 0);
	assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
	host_git(w->a, &p, &f);
	return arena_printf(w->a, "%s <%s>", f.git_name ? f.git_name : "-",
			    f.git_mail ? f.git_mail : "-");
}

static void test_plain(void **state)
{
	const struct world *w = *state;

	assert_string_equal(identity(w, "work/p/sbx.ini"), "- <->");
	world_mkdir(w, ".config/git");
	world_write(w, ".config/git/config", "[user]\nname = Low\nemail = low@example.org\n");
	assert_string_equal(identity(w, "work/p/sbx.ini"), "Low <low@example.org>");
	world_write(w, ".gitconfig", "[core]\nname = no\n[USER]\n\tName = \"Ada; # L\" ; mine\n");
	assert_string_equal(identity(w, "work/p/sbx.ini"), "Ada; # L <low@example.org>");
	world_write(w, ".gitconfig", "[user]\nname = a\\\"b\nemail = x@example.org # mine\n");
	assert_string_equal(identity(w, "work/p/sbx.ini"), "- <x@example.org>");
}

static void test_include(void **state)
{
	const struct world *w = *state;

	world_mkdir(w, "dot/more");
	world_write(w, ".gitconfig",
		    "[user]\nname = Ada\n[include]\npath = ~/dot/one\npath = dot/gone\n"
		    "[user]\nemail = last@example.org\n");
	world_write(w, "dot/one", "[user]\nemail = one@example.org\n[include]\npath = more/two\n");
	world_write(w, "dot/more/two", "[user]\nname = Two\n");
	assert_string_equal(identity(w, "work/p/sbx.ini"), "Two <last@example.org>");
	/* In a circle: it ends. */
	world_write(w, "dot/more/two",
		    "[user]\nname = Round\n[include]\npath = ../one\npath = ../one\n"
		    "path = ../one\npath = ../one\npath = ../one\npath = ../one\n");
	assert_string_equal(identity(w, "work/p/sbx.ini"), "Round <last@example.org>");
}

static void test_include_if(void **state)
{
	static const struct {
		const char *condition;
		bool work, play;
	} cases[] = {
		{"gitdir:~/work/", true, false},
		{"gitdir:work/", true, false},
		{"gitdir:./work/p/.git", true, false},
		{"gitdir:~/WORK/", false, false},
		{"gitdir/i:~/WORK/", true, false},
		{"gitdir:**/p/.git", true, true},
		{"gitdir:~/wor*/", true, false},
		{"onbranch:main", false, false},
		{"hasconfig:remote.*.url:x", false, false},
	};
	const struct world *w = *state;

	world_write(w, "job", "[user]\nemail = job@example.org\n");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = arena_printf(
			w->a, "[user]\nemail = me@example.org\n[includeIf \"%s\"]\npath = job\n",
			cases[i].condition);

		world_write(w, ".gitconfig", text);
		if (str_starts(identity(w, "work/p/sbx.ini"), "- <job@") != cases[i].work ||
		    str_starts(identity(w, "play/p/sbx.ini"), "- <job@") != cases[i].play)
			fail_msg("%s: %s, %s", cases[i].condition, identity(w, "work/p/sbx.ini"),
				 identity(w, "play/p/sbx.ini"));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, world_make, world_remove),
		cmocka_unit_test_setup_teardown(test_include, world_make, world_remove),
		cmocka_unit_test_setup_teardown(test_include_if, world_make, world_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
