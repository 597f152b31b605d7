#include <dirent.h>
#include <errno.h>

#include "cli/create.h"
#include "store_world.h"

static int create(const struct world *w, const char *dir, const char *text, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	buf_adds(&b, text);
	return create_file(world_path(w, dir), "sbx.ini", &b, err);
}

static void assert_holds(const struct world *w, const char *name, const char *text)
{
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	assert_int_equal(fs_read_at(AT_FDCWD, world_path(w, name), 4096, &b, &err), 0);
	assert_string_equal(b.p ? b.p : "", text);
}

static int count_names(const struct world *w, const char *name)
{
	_cleanup_dir_ DIR *d = opendir(world_path(w, name));
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2; /* . and .. */
}

static void test_new(void **state)
{
	const struct world *w = *state;
	mode_t mask = umask(027);
	struct err err = {0};
	struct stat st;

	assert_int_equal(create(w, "home", "a\nb", &err), 0);
	(void)umask(mask);
	assert_holds(w, "home/sbx.ini", "a\nb");
	assert_int_equal(stat(world_path(w, "home/sbx.ini"), &st), 0);
	assert_int_equal(st.st_mode & 07777U, 0640);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(count_names(w, "home"), 1);
}

static void test_empty(void **state)
{
	const struct world *w = *state;
	struct err err = {0};

	assert_int_equal(create(w, "home", "", &err), 0);
	assert_holds(w, "home/sbx.ini", "");
}

/* Whatever bears the name is left as it is: a file, a folder, a link to nothing. */
static void test_taken(void **state)
{
	const struct world *w = *state;
	const char *msg =
		arena_printf(w->a, "cannot make '%s/sbx.ini': File exists", world_path(w, "home"));

	for (int i = 0; i < 3; i++) {
		const char *path = world_path(w, "home/sbx.ini");
		struct err err = {0};

		if (i == 0)
			world_write(w, "home/sbx.ini", "mine");
		else if (i == 1)
			assert_int_equal(mkdir(path, 0700), 0);
		else
			assert_int_equal(symlink("nowhere", path), 0);
		assert_int_equal(create(w, "home", "new", &err), -1);
		assert_string_equal(err.msg, msg);
		assert_int_equal(err.errnum, EEXIST);
		assert_int_equal(count_names(w, "home"), 1);
		if (i == 0)
			assert_holds(w, "home/sbx.ini", "mine");
		assert_int_equal(remove(path), 0);
	}
	assert_int_equal(access(world_path(w, "home/nowhere"), F_OK), -1);
}

static void test_no_folder(void **state)
{
	const struct world *w = *state;
	struct err err = {0};

	assert_int_equal(create(w, "absent", "x", &err), -1);
	assert_string_equal(err.msg, arena_printf(w->a,
						  "cannot open the folder '%s': No such file or "
						  "directory",
						  world_path(w, "absent")));
	world_write(w, "file", "");
	assert_int_equal(create(w, "file", "x", &err), -1);
	assert_string_equal(err.msg,
			    arena_printf(w->a, "cannot open the folder '%s': Not a directory",
					 world_path(w, "file")));
}

#define RACERS 8

/* All at once: one makes it, and the others do not write over it. */
static void test_race(void **state)
{
	const struct world *w = *state;
	int start[2];
	pid_t pids[RACERS];
	int made = 0;
	int winner = -1;

	assert_int_equal(pipe2(start, O_CLOEXEC), 0);
	for (int i = 0; i < RACERS; i++) {
		struct err err = {0};
		char go;

		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] > 0)
			continue;
		(void)close(start[1]);
		/* The end of file is the shot: nobody has the other end any more. */
		if (read(start[0], &go, 1) != 0)
			_exit(3);
		if (create(w, "home", arena_printf(w->a, "%d", i), &err) == 0)
			_exit(0);
		_exit(err.errnum == EEXIST ? 1 : 2);
	}
	(void)close(start[0]);
	(void)close(start[1]);
	for (int i = 0; i < RACERS; i++) {
		int status = -1;
		struct err err = {0};

		assert_int_equal(proc_wait(pids[i], &status, &err), 0);
		assert_true(proc_exit_status(status) < 2);
		if (proc_exit_status(status) == 0) {
			made++;
			winner = i;
		}
	}
	assert_int_equal(made, 1);
	assert_holds(w, "home/sbx.ini", arena_printf(w->a, "%d", winner));
	assert_int_equal(count_names(w, "home"), 1);
}

/* In a child: a filesystem with room for nothing but the name. */
static int create_on_full(void *arg)
{
	const struct world *w = arg;
	const char *home = world_path(w, "home");
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	if (world_unshare() < 0 || mount("none", home, "tmpfs", 0, "size=4k") < 0)
		return 2;
	while (b.len < 65536)
		buf_adds(&b, "0123456789abcdef");
	if (create_file(home, "sbx.ini", &b, &err) == 0)
		return 3;
	if (err.errnum != ENOSPC || !str_ends(err.msg, "/sbx.ini': No space left on device"))
		return 4;
	/* Neither a part of it nor the temporary file stays. */
	return count_names(w, "home") == 0 ? 0 : 5;
}

static void test_full(void **state)
{
	assert_int_equal(proc_call(create_on_full, *state), 0);
}

static int create_read_only(void *arg)
{
	const struct world *w = arg;
	const char *home = world_path(w, "home");
	struct err err = {0};

	if (world_unshare() < 0 || mount("none", home, "tmpfs", 0, NULL) < 0)
		return 2;
	world_write(w, "home/sbx.ini", "mine");
	if (mount("none", home, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return 3;
	/* That it is there counts for more than that nothing could be written. */
	if (create(w, "home", "x", &err) == 0 || err.errnum != EEXIST)
		return 4;
	if (mount("none", home, NULL, MS_REMOUNT, NULL) < 0 ||
	    unlink(world_path(w, "home/sbx.ini")) < 0 ||
	    mount("none", home, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return 5;
	if (create(w, "home", "x", &err) == 0 ||
	    !str_ends(err.msg, "/sbx.ini': Read-only file system"))
		return 6;
	return 0;
}

static void test_read_only(void **state)
{
	assert_int_equal(proc_call(create_read_only, *state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_new),  TEST(test_empty), TEST(test_taken),     TEST(test_no_folder),
		TEST(test_full), TEST(test_race),  TEST(test_read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
