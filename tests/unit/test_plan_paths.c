/* Name, project, home and shell. */
#include "plan_world.h"

static void host_names_are_legal(void **state)
{
	static const struct {
		const char *name, *host;
	} cases[] = {
		{"demo", "demo"},
		{"My Thesis_2.0!", "My-Thesis-2-0"},
		{"--x--", "x"},
		{"", "sandbox"},
		{"\xc3\xa4\xff\n", "sandbox"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-aaaaa",
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = *state;

		w->env.name = cases[i].name;
		assert_string_equal(made(w)->name, cases[i].host);
	}
}

static void homes_of_system_users_move(void **state)
{
	static const char *const homes[] = {"/", "/usr/sbin", "/dev", "/var", "/proc"};

	for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
		struct world *w = *state;

		w->facts.home = homes[i];
		w->env.project = "/srv/demo";
		assert_string_equal(made(w)->home, "/home/me");
	}
}

static void projects_that_would_let_it_out(void **state)
{
	static const struct {
		const char *project, *why;
	} cases[] = {
		{"/", "it holds your home folder '/home/me'"},
		{"/home", "it holds your home folder '/home/me'"},
		{"/home/me", "it holds your home folder '/home/me'"},
		{"/home/me/.local", "it holds the store '/home/me/.local/share/sbx'"},
		{"/home/me/.local/share/sbx/tmp",
		 "it lies in the store '/home/me/.local/share/sbx'"},
		{"/home/me/.config", "your profiles are in '/home/me/.config/sbx'"},
		{"/tmp", "it is a folder of the system"},
		{"/usr", "it is a folder of the system"},
		{"/proc/1", "it is a folder of the system"},
		{"/run/sbx/x", "it is a folder of the system"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = *state;

		w->env.project = cases[i].project;
		refused(w,
			arena_printf(w->a, "cannot use '%s' as a project: %s", cases[i].project,
				     cases[i].why),
			"make a folder of its own for the project, and run `sbx init` in it");
	}
}

static void shells_that_are_not_there(void **state)
{
	static const char *const shells[][2] = {
		{"/bin/zsh", "/bin/zsh"},
		{"/home/me/.local/bin/fish", "/bin/sh"},
		{"/usr/sbin/nologin", "/bin/sh"},
		{"/bin/false", "/bin/sh"},
		{"", "/bin/sh"},
		{NULL, "/bin/sh"},
	};

	for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
		struct world *w = *state;

		w->facts.shell = shells[i][0];
		assert_string_equal(made(w)->shell, shells[i][1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(host_names_are_legal),
		WORLD_TEST(homes_of_system_users_move),
		WORLD_TEST(projects_that_would_let_it_out),
		WORLD_TEST(shells_that_are_not_there),
	};

	return cmocka_run_group_tests_name("plan_paths", tests, NULL, NULL);
}
