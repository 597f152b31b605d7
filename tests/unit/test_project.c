/* Covers store/project. */
#include <errno.h>

#include "store/project.h"
#include "store_world.h"

static void finds_upwards(void **state)
{
	struct world *w = *state;
	const char *dir = NULL;
	struct err err = {0};

	world_mkdir(w, "home/a b\n,/src/deep");
	world_write(w, "home/a b\n,/sbx.ini", "");
	assert_int_equal(project_find(w->a, world_path(w, "home/a b\n,/src/deep"), &dir, &err), 0);
	assert_string_equal(dir, world_path(w, "home/a b\n,"));
	/* The nearest one. */
	world_write(w, "home/a b\n,/src/sbx.ini", "");
	assert_int_equal(project_find(w->a, world_path(w, "home/a b\n,/src/deep"), &dir, &err), 0);
	assert_string_equal(dir, world_path(w, "home/a b\n,/src"));
	/* From the current folder, and through a link: the same path. */
	assert_int_equal(symlink("home/a b\n,", world_path(w, "link")), 0);
	assert_int_equal(project_find(w->a, world_path(w, "link/src"), &dir, &err), 0);
	assert_string_equal(dir, world_path(w, "home/a b\n,/src"));
	assert_int_equal(chdir(world_path(w, "link/src/deep")), 0);
	assert_int_equal(project_find(w->a, NULL, &dir, &err), 0);
	assert_string_equal(dir, world_path(w, "home/a b\n,/src"));
	assert_int_equal(chdir("/"), 0);
}

static void says_that_there_is_none(void **state)
{
	struct world *w = *state;
	const char *dir = NULL;
	struct err err = {0};

	assert_int_equal(project_find(w->a, world_path(w, "home"), &dir, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.msg, arena_printf(w->a,
						  "no 'sbx.ini' in '%s/home' nor in a folder above "
						  "it",
						  w->dir));
	assert_string_equal(err.hint, "'sbx init' makes one");
	assert_int_equal(project_find(w->a, "home", &dir, &err), -1);
	assert_string_equal(err.msg,
			    "cannot look for 'sbx.ini' from 'home': the path is not absolute");
	assert_int_equal(project_find(w->a, world_path(w, "zork"), &dir, &err), -1);
	assert_non_null(strstr(err.msg, "zork': No such file or directory"));
	assert_null(dir);
}

static void says_that_the_folder_is_gone(void **state)
{
	struct world *w = *state;
	const char *dir = NULL;
	struct err err = {0};

	world_mkdir(w, "gone");
	assert_int_equal(chdir(world_path(w, "gone")), 0);
	assert_int_equal(rmdir(world_path(w, "gone")), 0);
	assert_int_equal(project_find(w->a, NULL, &dir, &err), -1);
	assert_string_equal(err.msg, "cannot tell the current folder: No such file or directory");
	assert_string_equal(err.hint, "it may have been removed: cd to another one");
	assert_int_equal(chdir("/"), 0);
}

/* In a child that is one user alone: whatever is not its own is somebody else's. */
static int foreign_link(void *arg)
{
	const struct world *w = arg;
	const struct profile *p = NULL;
	struct err err = {0};

	if (world_unshare() < 0)
		return 2;
	if (project_profile(w->a, world_path(w, "home"), &p, &err) == 0)
		return 3;
	return strstr(err.msg, "it belongs to user ") ? 0 : 4;
}

static void refuses_somebody_elses(void **state)
{
	struct world *w = *state;
	const char *dir = NULL;
	const struct profile *p = NULL;
	struct err err = {0};

	if (geteuid() != 0) {
		assert_int_equal(symlink("/etc/passwd", world_path(w, "home/sbx.ini")), 0);
		assert_int_equal(proc_call(foreign_link, w), 0);
		return;
	}
	world_mkdir(w, "home/src");
	world_write(w, "home/sbx.ini", "");
	assert_int_equal(chown(world_path(w, "home/sbx.ini"), 12345, 12345), 0);
	assert_int_equal(project_find(w->a, world_path(w, "home/src"), &dir, &err), -1);
	assert_non_null(strstr(err.msg, "cannot trust '"));
	assert_non_null(
		strstr(err.msg, "home/sbx.ini': it belongs to user 12345, not to you (user 0)"));
	assert_non_null(strstr(err.hint, "read it; if it does what you want, work in a copy of the "
					 "folder that is your own: cp -r"));
	assert_int_equal(project_profile(w->a, world_path(w, "home"), &p, &err), -1);
	assert_non_null(strstr(err.msg, "cannot trust '"));
	/* A link of our own to somebody else's file is no better. */
	assert_int_equal(rename(world_path(w, "home/sbx.ini"), world_path(w, "home/theirs")), 0);
	assert_int_equal(symlink("theirs", world_path(w, "home/sbx.ini")), 0);
	assert_int_equal(project_profile(w->a, world_path(w, "home"), &p, &err), -1);
	assert_non_null(strstr(err.msg, "it belongs to user 12345"));
	assert_null(p);
}

static void refuses_what_is_no_file(void **state)
{
	struct world *w = *state;
	const struct profile *p = NULL;
	struct err err = {0};

	/* Were it opened and waited for, this test would hang. */
	assert_int_equal(mkfifo(world_path(w, "home/sbx.ini"), 0600), 0);
	assert_int_equal(project_profile(w->a, world_path(w, "home"), &p, &err), -1);
	assert_non_null(strstr(err.msg, "home/sbx.ini': it is not a regular file"));
	assert_int_equal(unlink(world_path(w, "home/sbx.ini")), 0);
	assert_int_equal(project_profile(w->a, world_path(w, "home"), &p, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.hint, "'sbx init' makes one");
}

static void reads_with_what_it_extends(void **state)
{
	struct world *w = *state;
	const struct profile *p = NULL;
	struct err err = {0};

	world_mkdir(w, "config/sbx/profiles");
	world_write(w, "config/sbx/profiles/mine.ini", "[network]\nmode = none\n");
	world_write(w, "home/sbx.ini", "[profile]\nextends = mine\n");
	assert_int_equal(project_profile(w->a, world_path(w, "home"), &p, &err), 0);
	assert_int_equal(p->net.mode, NET_NONE);
	assert_string_equal(p->net.mode_at.file, world_path(w, "config/sbx/profiles/mine.ini"));
	/* Who named it chose what it gives: conf/profile.c. */
	assert_false(p->net.mode_at.trusted);
	world_write(w, "home/sbx.ini", "[network]\nmode = host\n");
	assert_int_equal(project_profile(w->a, world_path(w, "home"), &p, &err), 0);
	assert_false(p->net.mode_at.trusted);
}

static void named_profiles_have_an_order(void **state)
{
	struct world *w = *state;
	struct profile_source src = {0};
	struct err err = {0};

	world_mkdir(w, "config/sbx/profiles");
	world_mkdir(w, "more");
	world_write(w, "more/test-p.ini", "; from more\n");
	assert_int_equal(setenv("SBX_PROFILES", world_path(w, "more"), 1), 0);
	assert_int_equal(project_find_named(NULL, w->a, "test-p", &src, &err), 0);
	assert_string_equal(src.text, "; from more\n");
	assert_int_equal(src.len, 12);
	assert_true(src.trusted);
	assert_string_equal(src.file, world_path(w, "more/test-p.ini"));
	/* The user's own first. */
	world_write(w, "config/sbx/profiles/test-p.ini", "; mine\n");
	assert_int_equal(project_find_named(NULL, w->a, "test-p", &src, &err), 0);
	assert_string_equal(src.text, "; mine\n");
}

static void named_profiles_have_plain_names(void **state)
{
	static const char *const names[] = {"", ".", "..", ".hidden", "../x", "a/b", "a b", "\xff"};
	struct world *w = *state;
	struct profile_source src = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct err err = {0};

		assert_int_equal(project_find_named(NULL, w->a, names[i], &src, &err), -1);
		assert_string_equal(
			err.msg,
			arena_printf(w->a, "cannot look for a profile named '%s'", names[i]));
		assert_string_equal(
			err.hint, "a name has letters, digits, '.', '_' and '-', and no '.' first");
	}
}

static void an_unknown_name_gets_the_nearest(void **state)
{
	struct world *w = *state;
	struct profile_source src = {0};
	struct err err = {0};

	world_mkdir(w, "config/sbx/profiles");
	world_write(w, "config/sbx/profiles/thesis.ini", "");
	assert_int_equal(project_find_named(NULL, w->a, "tehsis", &src, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.msg, "no profile is named 'tehsis'");
	assert_string_equal(err.hint, "did you mean 'thesis'? 'sbx profile list' shows them all");
	assert_int_equal(project_find_named(NULL, w->a, "qqqqqqqqqqqqqq", &src, &err), -1);
	assert_string_equal(err.hint, "'sbx profile list' shows them all");
}

static const struct named_profile *look_for(const struct named_profile *v, size_t n,
					    const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i].name, name) == 0)
			return &v[i];
	}
	return NULL;
}

static void lists_named_profiles(void **state)
{
	struct world *w = *state;
	struct named_profile *v = NULL;
	size_t n = 0;
	struct err err = {0};

	world_mkdir(w, "config/sbx/profiles");
	world_mkdir(w, "more");
	assert_int_equal(setenv("SBX_PROFILES", world_path(w, "more"), 1), 0);
	world_write(w, "config/sbx/profiles/test-b.ini", "; Mine.\n[network]\n");
	world_write(w, "config/sbx/profiles/.hidden.ini", "");
	world_write(w, "config/sbx/profiles/readme.txt", "");
	world_write(w, "more/test-b.ini", "; Not mine.\n");
	world_write(w, "more/test-a.ini", "[network]\n");
	assert_int_equal(project_list_named(w->a, &v, &n, &err), 0);
	for (size_t i = 1; i < n; i++)
		assert_true(strcmp(v[i - 1].name, v[i].name) < 0);
	assert_string_equal(look_for(v, n, "test-b")->summary, "Mine.");
	assert_string_equal(look_for(v, n, "test-b")->file,
			    world_path(w, "config/sbx/profiles/test-b.ini"));
	assert_string_equal(look_for(v, n, "test-a")->summary, "");
	assert_null(look_for(v, n, ".hidden"));
	assert_null(look_for(v, n, "readme"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(finds_upwards),
		TEST(says_that_there_is_none),
		TEST(says_that_the_folder_is_gone),
		TEST(refuses_somebody_elses),
		TEST(refuses_what_is_no_file),
		TEST(reads_with_what_it_extends),
		TEST(named_profiles_have_an_order),
		TEST(named_profiles_have_plain_names),
		TEST(an_unknown_name_gets_the_nearest),
		TEST(lists_named_profiles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
