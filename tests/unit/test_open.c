/* Covers cli/open, and cli/trusted through it; that with images, in tests/cli/test_trust.py. */
#include <errno.h>

#include "cli/open.h"
#include "conf/profile.h"
#include "plan/plan.h"
#include "store/project.h"
#include "store_world.h"

/* The commands change the folder that they are in: leave it as it was. */
static int leave(void **state)
{
	assert_int_equal(chdir("/"), 0);
	return world_remove(state);
}

#define OPEN_TEST(name) cmocka_unit_test_setup_teardown(name, world_make, leave)

/* A project in proj/ of the world's folder. */
static void make_project(const struct world *w, const char *profile)
{
	world_mkdir(w, "proj/sub/deep");
	world_write(w, "proj/sbx.ini", profile);
}

/* Opened in proj/, with its profile. */
static void open_all(const struct world *w, const char *dir, struct workplace *ret)
{
	const struct where where = {.dir = world_path(w, dir)};
	struct err err = {0};

	if (open_project(w->a, &where, ret, &err) < 0 || open_profile(w->a, ret, &err) < 0)
		fail_msg("%s", err.msg);
}

static size_t count_envs(const struct world *w, const struct workplace *wp)
{
	struct env *envs = NULL;
	struct err err = {0};
	size_t n = 0;

	assert_int_equal(env_list(w->a, &wp->store, &envs, &n, &err), 0);
	return n;
}

static void test_done(void **state)
{
	struct workplace w = WORKPLACE_EMPTY;
	struct workplace zero = {0};
	_cleanup_fd_ int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	workplace_done(NULL);
	workplace_done(&w);
	workplace_done(&w);
	/* A zeroed one does not own the standard input, though its fds are 0. */
	zero.store.fd = TAKE_FD(fd);
	workplace_done(&zero);
	assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
	assert_int_equal(zero.store.fd, -1);
	assert_int_equal(zero.env.fd, -1);
}

static void test_cwd(void **state)
{
	const struct world *w = *state;
	const char *cwd = NULL;
	struct err err = {0};

	world_mkdir(w, "a");
	assert_int_equal(symlink("a", world_path(w, "link")), 0);
	assert_int_equal(open_cwd(w->a, world_path(w, "link"), &cwd, &err), 0);
	assert_string_equal(cwd, world_path(w, "a"));
	cwd = NULL;
	assert_int_equal(open_cwd(w->a, NULL, &cwd, &err), 0);
	assert_string_equal(cwd, world_path(w, "a"));
	cwd = NULL;
	assert_int_equal(open_cwd(w->a, "..", &cwd, &err), 0);
	assert_string_equal(cwd, w->dir);
	cwd = NULL;
	assert_int_equal(open_cwd(w->a, "absent", &cwd, &err), -1);
	assert_string_equal(err.msg,
			    "cannot change to the folder 'absent': No such file or directory");
	assert_null(cwd);
}

static void test_cwd_is_gone(void **state)
{
	const struct world *w = *state;
	const char *cwd = NULL;
	struct err err = {0};

	world_mkdir(w, "a");
	assert_int_equal(chdir(world_path(w, "a")), 0);
	assert_int_equal(rmdir(world_path(w, "a")), 0);
	assert_int_equal(open_cwd(w->a, NULL, &cwd, &err), -1);
	assert_string_equal(err.msg, "cannot tell the current folder: No such file or directory");
	assert_string_equal(err.hint, "it was removed: change to another one");
}

static void test_project(void **state)
{
	const struct world *w = *state;
	_cleanup_workplace_ struct workplace wp = WORKPLACE_EMPTY;
	struct where where = {.dir = world_path(w, "proj/sub/deep"), .env = "other"};
	struct err err = {0};

	make_project(w, "");
	assert_int_equal(open_project(w->a, &where, &wp, &err), 0);
	assert_string_equal(wp.cwd, world_path(w, "proj/sub/deep"));
	assert_string_equal(wp.project, world_path(w, "proj"));
	assert_string_equal(wp.env_name, "other");
	assert_string_equal(wp.store.dir, world_path(w, "data/sbx"));
	assert_true(wp.store.fd >= 0);
	workplace_done(&wp);
	where.env = NULL;
	assert_int_equal(open_project(w->a, &where, &wp, &err), 0);
	assert_string_equal(wp.env_name, "default");
}

static void test_no_project(void **state)
{
	const struct world *w = *state;
	_cleanup_workplace_ struct workplace wp = WORKPLACE_EMPTY;
	const struct where where = {.dir = w->dir};
	struct err err = {0};

	assert_int_equal(open_project(w->a, &where, &wp, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_int_equal(wp.store.fd, -1);
}

static void test_env(void **state)
{
	const struct world *w = *state;
	_cleanup_workplace_ struct workplace wp = WORKPLACE_EMPTY;
	struct err err = {0};

	make_project(w, "");
	open_all(w, "proj", &wp);
	assert_int_equal(open_env(w->a, &wp, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.msg,
			    arena_printf(w->a, "there is no environment 'default' of '%s' yet",
					 world_path(w, "proj")));
	assert_string_equal(err.hint, "sbx enter makes it; sbx list shows those that are there");
	assert_int_equal(count_envs(w, &wp), 0);
	assert_int_equal(env_open_or_make(w->a, &wp.store, wp.project, wp.env_name, &wp.env, &err),
			 0);
	assert_true(wp.env.fd >= 0);
	assert_int_equal(count_envs(w, &wp), 1);
	workplace_done(&wp);
	open_all(w, "proj", &wp);
	assert_int_equal(open_env(w->a, &wp, &err), 0);
	assert_string_equal(wp.env.project, world_path(w, "proj"));
	/* What cannot be a name says so, also where nothing is to be made. */
	env_done(&wp.env);
	wp.env_name = "a/b";
	assert_int_equal(open_env(w->a, &wp, &err), -1);
	assert_non_null(strstr(err.msg, "'a/b'"));
}

/* A name that is not "default" is none that the next command makes, unless it was asked to. */
static void test_env_of_another_name(void **state)
{
	const struct world *w = *state;
	_cleanup_workplace_ struct workplace wp = WORKPLACE_EMPTY;
	struct env other = {.fd = -1};
	struct err err = {0};

	make_project(w, "");
	open_all(w, "proj", &wp);
	wp.env_name = "trail";
	assert_int_equal(open_env(w->a, &wp, &err), -1);
	assert_int_equal(err.errnum, 0);
	assert_string_equal(err.msg, arena_printf(w->a, "there is no environment 'trail' of '%s'",
						  world_path(w, "proj")));
	assert_string_equal(err.hint,
			    "to make it: sbx enter --create -e trail, or sbx fork trail; sbx list "
			    "shows those that are there");
	assert_int_equal(env_open_or_make(w->a, &wp.store, wp.project, "trial", &other, &err), 0);
	env_done(&other);
	assert_int_equal(open_env(w->a, &wp, &err), -1);
	assert_string_equal(err.hint, "did you mean 'trial'? to make a new one: sbx enter --create "
				      "-e trail, or sbx fork trail");
	/* Another project's name is none of this one's. */
	wp.project = "/elsewhere";
	assert_int_equal(open_env(w->a, &wp, &err), -1);
	assert_null(strstr(err.hint, "trial"));
	wp.create = true;
	assert_int_equal(open_env(w->a, &wp, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
}

static void test_env_by_id(void **state)
{
	const struct world *w = *state;
	const struct where where = {.dir = world_path(w, "proj")};
	_cleanup_workplace_ struct workplace wp = WORKPLACE_EMPTY;
	struct err err = {0};
	const char *id;

	make_project(w, "");
	assert_int_equal(open_env_of(w->a, &where, NULL, &wp, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_int_equal(env_open_or_make(w->a, &wp.store, wp.project, wp.env_name, &wp.env, &err),
			 0);
	id = arena_strdup(w->a, wp.env.id);
	workplace_done(&wp);
	assert_int_equal(open_env_of(w->a, &where, NULL, &wp, &err), 0);
	assert_string_equal(wp.env.id, id);
	workplace_done(&wp);
	/* By its id, from anywhere, also when its project is gone. */
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(unlink(world_path(w, "proj/sbx.ini")), 0);
	assert_int_equal(open_env_of(w->a, &(struct where){0}, id, &wp, &err), 0);
	assert_string_equal(wp.project, world_path(w, "proj"));
	assert_string_equal(wp.env_name, "default");
	workplace_done(&wp);
	assert_int_equal(open_env_of(w->a, &where, "proj-000000000000", &wp, &err), -1);
	assert_string_equal(err.msg, "there is no environment with the id 'proj-000000000000'");
	assert_string_equal(err.hint, "sbx list shows them");
	workplace_done(&wp);
	/* What is no id is told apart from what is not there. */
	assert_int_equal(open_env_of(w->a, &where, "../x", &wp, &err), -1);
	assert_string_equal(err.msg, "'../x' is not the id of an environment");
}

static void test_profile(void **state)
{
	const struct world *w = *state;
	_cleanup_workplace_ struct workplace wp = WORKPLACE_EMPTY;
	struct err err = {0};
	char digest[DIGEST_HEX + 1];

	make_project(w, "[network]\nmode = none\n");
	open_all(w, "proj/sub", &wp);
	assert_int_equal(wp.profile->net.mode, NET_NONE);
	digest_sha256(wp.profile->text, wp.profile->text_len, digest);
	assert_string_equal(wp.digest, digest);
	world_write(w, "proj/sbx.ini", "[network]\nmode = none\n;\n");
	assert_int_equal(open_profile(w->a, &wp, &err), 0);
	assert_string_not_equal(wp.digest, digest);
	world_write(w, "proj/sbx.ini", "[network]\nmode = nine\n");
	assert_int_equal(open_profile(w->a, &wp, &err), -1);
	assert_true(
		str_starts(err.msg, arena_printf(w->a, "%s:2: ", world_path(w, "proj/sbx.ini"))));
}

static void test_allowed(void **state)
{
	const struct world *w = *state;
	_cleanup_workplace_ struct workplace wp = WORKPLACE_EMPTY;
	const char *ini = world_path(w, "proj/sbx.ini");
	struct err err = {0};

	make_project(w, "[network]\nmode = none\n");
	open_all(w, "proj", &wp);
	assert_int_equal(open_check_allowed(w->a, &wp, &err), 0);
	world_write(w, "proj/sbx.ini", "[network]\nmode = host\n[mounts]\n/etc = /e\n");
	assert_int_equal(open_profile(w->a, &wp, &err), 0);
	assert_int_equal(open_check_allowed(w->a, &wp, &err), -1);
	assert_string_equal(err.msg,
			    arena_printf(w->a,
					 "the profile of '%s' asks for more than its own folder:"
					 "\n%s:4: mount '/etc' at '/e', read-only"
					 "\n%s:2: the network of the host: mode = host",
					 world_path(w, "proj"), ini, ini));
	assert_string_equal(err.hint, "if you trust it, run: sbx allow");
	assert_int_equal(allow_put(&wp.store, wp.project, wp.digest, &err), 0);
	assert_int_equal(open_check_allowed(w->a, &wp, &err), 0);
	/* What was allowed is that text: a changed one asks again. */
	world_write(w, "proj/sbx.ini", "[network]\nmode = host\n");
	assert_int_equal(open_profile(w->a, &wp, &err), 0);
	assert_int_equal(open_check_allowed(w->a, &wp, &err), -1);
}

static void test_many_requests(void **state)
{
	const struct world *w = *state;
	_cleanup_workplace_ struct workplace wp = WORKPLACE_EMPTY;
	struct err err = {0};

	make_project(w, "[env]\npass = A B C D E F G H\n");
	open_all(w, "proj", &wp);
	assert_int_equal(open_check_allowed(w->a, &wp, &err), -1);
	assert_true(str_ends(err.msg, ":2: the variable 'H' from outside"));
	world_write(w, "proj/sbx.ini", "[env]\npass = A B C D E F G H I J\n");
	assert_int_equal(open_profile(w->a, &wp, &err), 0);
	assert_int_equal(open_check_allowed(w->a, &wp, &err), -1);
	assert_true(str_ends(err.msg, ":2: the variable 'H' from outside\nand 2 more"));
}

static void test_workdir(void **state)
{
	static const struct {
		const char *workdir;
		const char *path;
	} good[] = {
		{"/tmp", "/tmp"},         {"/a//b/../c/", "/a/c"},  {"x", "/home/p/x"},
		{"..", "/home"},          {".", "/home/p"},         {"../../../..", "/"},
		{"/process", "/process"}, {"/dev/fdx", "/dev/fdx"},
	};
	static const char *const magic[] = {"/proc/self/fd/7", "/proc", "/dev/fd/3", "/dev/fd",
					    "../../proc/1/root"};
	const struct world *w = *state;
	const char *path = NULL;
	struct err err = {0};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(open_workdir(w->a, "/home/p", good[i].workdir, &path, &err), 0);
		assert_string_equal(path, good[i].path);
	}
	path = NULL;
	for (size_t i = 0; i < sizeof(magic) / sizeof(magic[0]); i++) {
		assert_int_equal(open_workdir(w->a, "/home/p", magic[i], &path, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_string_equal(
			err.msg, arena_printf(w->a, "cannot start in '%s': magic link", magic[i]));
		assert_string_equal(err.hint, "name a folder, not a descriptor or a process");
	}
	assert_int_equal(open_workdir(w->a, "/home/p", "", &path, &err), -1);
	assert_string_equal(err.msg, "cannot start in '': not a path");
	assert_int_equal(err.kind, ERR_USAGE);
	assert_null(path);
}

/* A base that needs no program of this machine's. */
#define PLAIN "[base]\nimage = dir:/usr\n[network]\nmode = none\n"

static void test_plan(void **state)
{
	const struct world *w = *state;
	_cleanup_workplace_ struct workplace wp = WORKPLACE_EMPTY;
	const struct plan *plan = NULL;
	struct err err = {0};
	int rung;

	make_project(w, PLAIN);
	open_all(w, "proj/sub", &wp);
	/* One that is not made yet is planned for as it will be. */
	if (open_plan(w->a, &wp, &plan, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(plan->env_id, env_id(w->a, wp.project, "default"));
	assert_string_equal(plan->env_dir,
			    arena_printf(w->a, "%s/envs/%s", wp.store.dir, plan->env_id));
	assert_string_equal(plan->project, world_path(w, "proj"));
	assert_string_equal(plan->name, "proj");
	assert_int_equal(count_envs(w, &wp), 0);
	/* One that was made keeps its map, whatever could be had now: or it cannot be used. */
	assert_int_equal(env_open_or_make(w->a, &wp.store, wp.project, wp.env_name, &wp.env, &err),
			 0);
	rung = plan->rung == RUNG_SINGLE ? RUNG_SUBIDS : RUNG_SINGLE;
	assert_int_equal(env_set_used(&wp.env, rung, 1, false, &err), 0);
	plan = NULL;
	if (open_plan(w->a, &wp, &plan, &err) == 0) {
		assert_int_equal(plan->rung, rung);
		assert_string_equal(plan->env_dir, wp.env.dir);
	} else {
		assert_int_equal(rung, RUNG_SUBIDS);
		assert_non_null(strstr(err.msg, "subordinate ids"));
	}
}

/* What is refused is refused before anything is made or started. */
static void test_run_refuses(void **state)
{
	const struct world *w = *state;
	_cleanup_workplace_ struct workplace wp = WORKPLACE_EMPTY;
	struct open_command command = {.workdir = "/proc/self/cwd"};
	struct err err = {0};
	int status = 77;

	make_project(w, "[network]\nmode = host\n");
	open_all(w, "proj", &wp);
	assert_int_equal(open_run(w->a, &wp, &command, &status, &err), -1);
	assert_string_equal(err.msg, "cannot start in '/proc/self/cwd': magic link");
	command.workdir = NULL;
	assert_int_equal(open_run(w->a, &wp, &command, &status, &err), -1);
	assert_string_equal(err.hint, "if you trust it, run: sbx allow");
	assert_int_equal(count_envs(w, &wp), 0);
	assert_int_equal(status, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		OPEN_TEST(test_done),
		OPEN_TEST(test_cwd),
		OPEN_TEST(test_cwd_is_gone),
		OPEN_TEST(test_project),
		OPEN_TEST(test_no_project),
		OPEN_TEST(test_env),
		OPEN_TEST(test_env_of_another_name),
		OPEN_TEST(test_env_by_id),
		OPEN_TEST(test_profile),
		OPEN_TEST(test_allowed),
		OPEN_TEST(test_many_requests),
		OPEN_TEST(test_workdir),
		OPEN_TEST(test_plan),
		OPEN_TEST(test_run_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
