#include <dirent.h>
#include <errno.h>
#include <sys/wait.h>

#include "base/fs.h"
#include "base/log.h"
#include "store/env.h"
#include "store/skel.h"
#include "store_world.h"

static struct store open_store(const struct world *w)
{
	struct store s = {0};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	return s;
}

static struct env make(const struct world *w, const struct store *s, const char *project,
		       const char *name)
{
	struct env e = {0};
	struct err err = {0};

	assert_int_equal(env_open_or_make(w->a, s, project, name, &e, &err), 0);
	return e;
}

static size_t count_entries(const char *path)
{
	_cleanup_dir_ DIR *d = opendir(path);
	const struct dirent *entry;
	size_t n = 0;

	assert_non_null(d);
	while ((entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	return n;
}

static void ids_tell_projects_apart(void **state)
{
	struct world *w = *state;

	/* sha256("/home/me/My Thesis (2)\0default") begins so: the form must never change. */
	assert_string_equal(env_id(w->a, "/home/me/My Thesis (2)", "default"),
			    "my-thesis-2-d24602bf82c9");
	assert_string_not_equal(env_id(w->a, "/a/x", "default"), env_id(w->a, "/b/x", "default"));
	assert_string_not_equal(env_id(w->a, "/a/x", "default"), env_id(w->a, "/a/x", "other"));
	/* The two parts cannot be shifted against each other. */
	assert_string_not_equal(env_id(w->a, "/a/xy", "z"), env_id(w->a, "/a/x", "yz"));
	assert_memory_equal(env_id(w->a, "/a/\xff\n,:", "default"), "env-", 4);
	assert_int_equal(strlen(env_id(w->a, "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
				       "default")),
			 32 + 1 + 12);
}

static void makes_and_opens(void **state)
{
	static const char project[] = "/tmp/a b,c:d\n%\xff";
	struct world *w = *state;
	struct store s = open_store(w);
	mode_t old = umask(077);
	struct env e = make(w, &s, project, "default");
	struct env again = {0};
	struct err err = {0};
	struct stat st;

	(void)umask(old);
	assert_string_equal(e.project, project);
	assert_string_equal(e.name, "default");
	assert_int_equal(e.rung, -1);
	assert_true(e.created > 0);
	/* The folder that becomes "/" is open to all, whatever the umask was. */
	assert_int_equal(fstatat(e.fd, "upper.1", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777U, 0755);
	assert_int_equal(fstatat(e.fd, "home", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777U, 0700);
	assert_int_equal(fstatat(e.fd, "work", &st, 0), 0);
	assert_int_equal(fstatat(e.fd, "run", &st, 0), 0);
	assert_int_equal(env_open(w->a, &s, project, "default", &again, &err), 0);
	assert_string_equal(again.id, e.id);
	assert_string_equal(again.project, project);
	env_done(&again);
	assert_int_equal(env_open_id(w->a, &s, e.id, &again, &err), 0);
	assert_string_equal(again.project, project);
	env_done(&again);
	/* Nothing half-made stays. */
	assert_int_equal(count_entries(world_path(w, "data/sbx/tmp")), 0);
	env_done(&e);
	store_done(&s);
}

static void says_what_is_not_there(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct env e = {0};
	struct err err = {0};

	assert_int_equal(env_open(w->a, &s, "/p", "default", &e, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.msg, "no environment 'default' of '/p': No such file or directory");
	assert_string_equal(err.hint, "'sbx enter' or 'sbx run' makes it");
	assert_int_equal(env_open_id(w->a, &s, "p-123456789abc", &e, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(
		err.msg, "no environment has the id 'p-123456789abc': No such file or directory");
	assert_string_equal(err.hint, "'sbx list' shows them");
	assert_null(e.id);
	store_done(&s);
}

static void refuses_bad_names(void **state)
{
	static const char *const names[] = {"", ".", "..", "-e", "a/b", "a b", "\xff", "a\n"};
	static const char *const ids[] = {"", ".", "..", "../envs", "A", "a/b", "a\n"};
	struct world *w = *state;
	struct store s = open_store(w);
	struct env e = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct err err = {0};

		assert_int_equal(env_open_or_make(w->a, &s, "/p", names[i], &e, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_non_null(strstr(err.msg, "as the name of an environment"));
		assert_string_equal(err.hint, "use at most 64 letters, digits, '.', '_' and '-', a "
					      "letter or digit first");
	}
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct err err = {0};

		assert_int_equal(env_open_id(w->a, &s, ids[i], &e, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_non_null(strstr(err.msg, "is not the id of an environment"));
	}
	store_done(&s);
}

static void refuses_a_relative_project(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct env e = {0};
	struct err err = {0};

	assert_int_equal(env_open_or_make(w->a, &s, "p", "default", &e, &err), -1);
	assert_string_equal(err.msg,
			    "cannot open the environment of 'p': the path is not absolute");
	store_done(&s);
}

static void keeps_the_rung(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct env e = make(w, &s, "/p", "default");
	struct err err = {0};

	assert_int_equal(env_set_used(&e, 1, 2, false, &err), 0);
	assert_int_equal(e.rung, 1);
	env_done(&e);
	e = make(w, &s, "/p", "default");
	assert_int_equal(e.rung, 1);
	assert_int_equal(e.as, 2);
	assert_string_equal(e.project, "/p");
	env_done(&e);
	store_done(&s);
}

static void refuses_damage(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct env e = make(w, &s, "/p", "default");
	const char *file = arena_printf(w->a, "data/sbx/envs/%s/env.json", e.id);
	struct err err = {0};

	env_done(&e);
	world_write(w, file,
		    "{\"version\": 1, \"project\": \"/p\", \"name\": \"default\", "
		    "\"rung\": 0}");
	assert_int_equal(env_open_or_make(w->a, &s, "/p", "default", &e, &err), -1);
	assert_non_null(strstr(err.msg, "env.json': a value is missing or wrong"));
	assert_non_null(strstr(err.hint, "the environment is damaged; move '"));
	world_write(w, file,
		    "{\"version\": 1, \"project\": \"/q\", \"name\": \"default\", "
		    "\"rung\": 0, \"created\": 1, \"upper\": 1, \"chain\": []}");
	assert_int_equal(env_open_or_make(w->a, &s, "/p", "default", &e, &err), -1);
	assert_non_null(strstr(err.msg, "for '/p': it belongs to '/q'"));
	assert_string_equal(err.hint, "its env.json was changed; move the folder away");
	/* Without its env.json it is damaged too, not absent. */
	assert_int_equal(unlink(world_path(w, file)), 0);
	assert_int_equal(env_open_or_make(w->a, &s, "/p", "default", &e, &err), -1);
	assert_non_null(strstr(err.msg, "env.json"));
	assert_int_equal(err.errnum, EBADMSG);
	store_done(&s);
}

static void lists_sorted_and_leaves_out_damage(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct env one = make(w, &s, "/b", "default");
	struct env two = make(w, &s, "/a", "default");
	struct env *v = NULL;
	size_t n = 0;
	struct err err = {0};

	world_mkdir(w, "data/sbx/envs/broken");
	world_mkdir(w, "data/sbx/envs/not an id");
	log_set_level(LOG_QUIET);
	assert_int_equal(env_list(w->a, &s, &v, &n, &err), 0);
	log_set_level(LOG_NORMAL);
	assert_int_equal(n, 2);
	assert_string_equal(v[0].id, two.id);
	assert_string_equal(v[0].project, "/a");
	assert_string_equal(v[1].id, one.id);
	assert_int_equal(v[0].fd, -1);
	env_done(&one);
	env_done(&two);
	store_done(&s);
}

static void retires_out_of_sight(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct env e = make(w, &s, "/p", "default");
	struct env again = {0};
	const char *tmp = NULL;
	struct err err = {0};

	assert_int_equal(env_retire(w->a, &s, &e, &tmp, &err), 0);
	assert_true(str_starts(tmp, world_path(w, "data/sbx/tmp/")));
	assert_int_equal(access(arena_printf(w->a, "%s/env.json", tmp), F_OK), 0);
	assert_int_equal(env_open(w->a, &s, "/p", "default", &again, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	/* A second removal of the same: it says so. */
	assert_int_equal(env_retire(w->a, &s, &e, &tmp, &err), -1);
	assert_non_null(strstr(err.msg, "cannot remove the environment '"));
	env_done(&e);
	store_done(&s);
}

/* Start `n` processes that make the same environment at once, and wait for them. */
static void make_at_once(const struct world *w, const struct store *s, const char *project,
			 size_t n)
{
	pid_t pid[16];
	int go[2];

	assert_true(n <= 16);
	assert_int_equal(pipe(go), 0);
	for (size_t i = 0; i < n; i++) {
		pid[i] = fork();
		if (pid[i] == 0) {
			struct env e = {0};
			char c;

			(void)close(go[1]);
			(void)!read(go[0], &c, 1);
			_exit(env_open_or_make(w->a, s, project, "default", &e, NULL) < 0);
		}
	}
	(void)close(go[0]);
	(void)close(go[1]);
	for (size_t i = 0; i < n; i++) {
		int status = -1;

		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_int_equal(status, 0);
	}
}

static void many_make_the_same(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);

	/* Many rounds: the narrow spots are met only now and then. */
	for (int i = 0; i < 25; i++)
		make_at_once(w, &s, arena_printf(w->a, "/p%d", i), 16);
	assert_int_equal(count_entries(world_path(w, "data/sbx/envs")), 25);
	assert_int_equal(count_entries(world_path(w, "data/sbx/tmp")), 0);
	store_done(&s);
}

/* In a child: a filesystem with room for the store, but not for an environment. */
static int full_disk(void *arg)
{
	const struct world *w = arg;
	struct store s = {0};
	struct env e = {0};
	struct err err = {0};

	if (world_unshare() < 0 ||
	    mount("none", world_path(w, "home"), "tmpfs", 0, "size=64k,nr_inodes=14,mode=755") < 0)
		return 2;
	(void)setenv("XDG_DATA_HOME", world_path(w, "home"), 1);
	if (store_open(w->a, &s, &err) < 0)
		return 3;
	if (env_open_or_make(w->a, &s, "/p", "default", &e, &err) == 0)
		return 4;
	if (!strstr(err.msg, "cannot make the environment '") ||
	    !strstr(err.msg, "No space left on device") || !strstr(err.hint, "free some space"))
		return 5;
	return count_entries(world_path(w, "home/sbx/tmp")) == 0 ? 0 : 6;
}

static void a_full_disk_leaves_nothing_behind(void **state)
{
	assert_int_equal(proc_call(full_disk, *state), 0);
}

static int read_only(void *arg)
{
	const struct world *w = arg;
	struct store s = {0};
	struct env e = {0};
	struct err err = {0};

	if (world_unshare() < 0 || mount("none", world_path(w, "home"), "tmpfs", 0, NULL) < 0)
		return 2;
	(void)setenv("XDG_DATA_HOME", world_path(w, "home"), 1);
	if (store_open(w->a, &s, &err) < 0)
		return 3;
	if (mount("none", world_path(w, "home"), NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return 4;
	store_done(&s);
	/* What is there can still be looked at. */
	if (store_open(w->a, &s, &err) < 0)
		return 5;
	if (env_open_or_make(w->a, &s, "/p", "default", &e, &err) == 0)
		return 6;
	return strstr(err.msg, "Read-only file system") &&
			       strstr(err.hint, "make the folder writable for you")
		       ? 0
		       : 7;
}

static void says_that_the_store_is_read_only(void **state)
{
	assert_int_equal(proc_call(read_only, *state), 0);
}

/* Covers store/skel. */
static void a_new_home_has_what_skel_has(void **state)
{
	struct world *w = *state;
	_cleanup_fd_ int home = -1;
	_cleanup_buf_ struct buf text = {0};
	struct stat st;

	world_mkdir(w, "skel/folder");
	world_write(w, "skel/.bashrc", "alias ll='ls -l'\n");
	assert_int_equal(symlink("/etc/passwd", world_path(w, "skel/link")), 0);
	assert_int_equal(mkfifo(world_path(w, "skel/fifo"), 0600), 0);
	world_mkdir(w, "home");
	home = open(world_path(w, "home"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(home >= 0);
	skel_copy(world_path(w, "skel"), home);
	assert_int_equal(fs_read_at(home, ".bashrc", 100, &text, NULL), 0);
	assert_string_equal(text.p, "alias ll='ls -l'\n");
	/* Plain files alone, and nothing where there is no such folder. */
	assert_int_equal(fstatat(home, "folder", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(fstatat(home, "link", &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(fstatat(home, "fifo", &st, AT_SYMLINK_NOFOLLOW), -1);
	skel_copy(world_path(w, "nothing"), home);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ids_tell_projects_apart),
		TEST(makes_and_opens),
		TEST(says_what_is_not_there),
		TEST(refuses_bad_names),
		TEST(refuses_a_relative_project),
		TEST(keeps_the_rung),
		TEST(refuses_damage),
		TEST(lists_sorted_and_leaves_out_damage),
		TEST(retires_out_of_sight),
		TEST(many_make_the_same),
		TEST(a_full_disk_leaves_nothing_behind),
		TEST(says_that_the_store_is_read_only),
		TEST(a_new_home_has_what_skel_has),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
