#include "diff_world.h"
#include "store/env_kept.h"

/* What stays goes from d->upper to d->lower; the list is a file beside them. */
#define LIST "kept"

static int beside(const struct diff_world *d)
{
	int fd = open(d->w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void set_time(int dir_fd, const char *name, time_t t, long ns)
{
	const struct timespec times[2] = {{.tv_sec = t}, {.tv_sec = t, .tv_nsec = ns}};

	assert_int_equal(utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void assert_time(int dir_fd, const char *name, time_t t, long ns)
{
	struct stat st;

	assert_int_equal(fstatat(dir_fd, name, &st, 0), 0);
	assert_int_equal(st.st_mtim.tv_sec, t);
	assert_int_equal(st.st_mtim.tv_nsec, ns);
}

/* Write a list of "PARENT" and "PATH" pairs. */
static void list(const struct diff_world *d, const char *const *pairs)
{
	_cleanup_fd_ int at = beside(d);
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	for (; *pairs; pairs += 2) {
		_cleanup_fd_ int parent =
			openat(d->upper, pairs[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_true(parent >= 0);
		assert_int_equal(env_kept_add(&b, pairs[1], parent, &err), 0);
	}
	assert_int_equal(fs_write_atomic(at, LIST, b.p, b.len, 0600, &err), 0);
}

static int move_kept(const struct diff_world *d, struct err *err)
{
	_cleanup_fd_ int at = beside(d);

	return env_kept_move(at, LIST, d->upper, d->lower, err);
}

static void moved(const struct diff_world *d)
{
	struct err err = {0};

	if (move_kept(d, &err) < 0)
		fail_msg("%s", err.msg);
}

static void make_logs(const struct diff_world *d)
{
	dir(d->upper, "var");
	dir(d->upper, "var/log");
	file(d->upper, "var/log/a.log", "kept");
	dir(d->upper, "var/log/apt");
	file(d->upper, "var/log/apt/x", "kept");
	file(d->upper, "var/stays", "in the layer");
	file(d->upper, "top.log", "kept");
	xattr(d->upper, "var/log", "user.kept", "1");
	assert_int_equal(fchmodat(d->upper, "var/log", 02750, 0), 0);
	set_time(d->upper, "var", -3, 500);
	set_time(d->upper, "var/log", 4102444800, 999999999);
	set_time(d->upper, ".", -7, 1);
	list(d, (const char *const[]){"var/log", "var/log/a.log", "var/log", "var/log/apt", ".",
				      "top.log", NULL});
}

static void assert_moved(const struct diff_world *d)
{
	struct stat st;

	assert_false(there(d->upper, "var/log/a.log"));
	assert_false(there(d->upper, "var/log/apt"));
	assert_false(there(d->upper, "top.log"));
	assert_true(there(d->upper, "var/stays"));
	assert_true(there(d->lower, "var/log/a.log"));
	assert_true(there(d->lower, "var/log/apt/x"));
	assert_true(there(d->lower, "top.log"));
	assert_false(there(d->lower, "var/stays"));
	/* The folders above are as they were. */
	assert_int_equal(fstatat(d->lower, "var/log", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777U, 02750);
	assert_true(has_xattr(d->lower, "var/log", "user.kept"));
	/* Those of the layer do not show that something was moved away. */
	assert_time(d->upper, "var", -3, 500);
	assert_time(d->upper, "var/log", 4102444800, 999999999);
	assert_time(d->upper, ".", -7, 1);
}

static void moves_what_is_listed_and_can_do_so_again(void **state)
{
	struct diff_world *d = *state;

	make_logs(d);
	moved(d);
	assert_moved(d);
	moved(d);
	assert_moved(d);
}

static void ends_what_was_begun(void **state)
{
	struct diff_world *d = *state;

	make_logs(d);
	/* A crash behind mkdir(2) of a folder, and behind the first rename(2). */
	dir(d->lower, "var");
	assert_int_equal(mkdirat(d->lower, "var/log", 0700), 0);
	assert_int_equal(renameat(d->upper, "var/log/a.log", d->lower, "var/log/a.log"), 0);
	moved(d);
	assert_moved(d);
}

static void deletions_are_moved_too(void **state)
{
	struct diff_world *d = *state;

	dir(d->upper, "d");
	gone(d->upper, "d/x.log");
	list(d, (const char *const[]){"d", "d/x.log", NULL});
	moved(d);
	assert_true(there(d->lower, "d/x.log"));
	assert_false(there(d->upper, "d/x.log"));
}

static void a_folder_that_is_gone_is_no_failure(void **state)
{
	struct diff_world *d = *state;
	struct err err = {0};

	dir(d->upper, "d");
	file(d->upper, "d/x", "");
	list(d, (const char *const[]){"d", "d/x", NULL});
	assert_int_equal(fs_remove_tree_at(d->upper, "d", &err), 0);
	moved(d);
	assert_false(there(d->lower, "d"));
}

static void without_a_list_nothing_is_moved(void **state)
{
	struct diff_world *d = *state;

	file(d->upper, "x", "");
	moved(d);
	assert_true(there(d->upper, "x"));
}

static void leads_nowhere_else(void **state)
{
	struct diff_world *d = *state;
	struct err err = {0};

	dir(d->upper, "d");
	file(d->upper, "d/x", "");
	list(d, (const char *const[]){"d", "d/x", NULL});
	/* In place of the folder, a link to another one. */
	assert_int_equal(symlinkat("../home", d->lower, "d"), 0);
	assert_int_equal(move_kept(d, &err), -1);
	assert_string_equal(err.msg, "cannot open 'd': Not a directory");
	assert_true(there(d->upper, "d/x"));
}

static void refuses_a_damaged_list(void **state)
{
	static const char bad_time[] = "x\0later";
	struct diff_world *d = *state;
	_cleanup_fd_ int at = beside(d);
	struct err err = {0};

	file(d->upper, "x", "");
	assert_int_equal(fs_write_atomic(at, LIST, bad_time, sizeof(bad_time), 0600, &err), 0);
	assert_int_equal(move_kept(d, &err), -1);
	assert_string_equal(err.msg, "cannot keep 'x': its time is damaged");
	assert_int_equal(fs_write_atomic(at, LIST, "x", 1, 0600, &err), 0);
	assert_int_equal(move_kept(d, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIFF_TEST(moves_what_is_listed_and_can_do_so_again),
		DIFF_TEST(ends_what_was_begun),
		DIFF_TEST(deletions_are_moved_too),
		DIFF_TEST(a_folder_that_is_gone_is_no_failure),
		DIFF_TEST(without_a_list_nothing_is_moved),
		DIFF_TEST(leads_nowhere_else),
		DIFF_TEST(refuses_a_damaged_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
