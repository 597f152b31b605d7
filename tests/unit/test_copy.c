#include <sys/socket.h>
#include <sys/un.h>

#include "diff_world.h"
#include "store/copy.h"
#include "store/tree.h"

#define OTHER_ID 1234

/* From d->upper to d->lower: the two trees that there are here. */
static void copy_list(const struct diff_world *d, const struct entries *list)
{
	struct err err = {0};

	if (copy_entries(d->upper, d->lower, list, &err) < 0)
		fail_msg("%s", err.msg);
}

static void copy_all(const struct diff_world *d)
{
	struct entries list;
	struct err err = {0};

	assert_int_equal(tree_entries(d->w->a, d->upper, &list, &err), 0);
	copy_list(d, &list);
}

static struct stat look(int dir_fd, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW), 0);
	return st;
}

static void assert_same(const struct diff_world *d, const char *name)
{
	struct stat from = look(d->upper, name);
	struct stat to = look(d->lower, name);

	assert_int_equal(to.st_mode, from.st_mode);
	assert_int_equal(to.st_uid, from.st_uid);
	assert_int_equal(to.st_gid, from.st_gid);
	assert_int_equal(to.st_mtim.tv_sec, from.st_mtim.tv_sec);
	assert_int_equal(to.st_mtim.tv_nsec, from.st_mtim.tv_nsec);
	assert_int_not_equal(to.st_ino, from.st_ino);
	if (!S_ISDIR(from.st_mode))
		assert_int_equal(to.st_size, from.st_size);
}

static const char *text_of(const struct diff_world *d, int dir_fd, const char *name)
{
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	buf_adds(&b, "");
	assert_int_equal(fs_read_at(dir_fd, name, 1 << 20, &b, &err), 0);
	return arena_strdup(d->w->a, b.p);
}

static void set_time(int dir_fd, const char *name, time_t t)
{
	const struct timespec times[2] = {{.tv_sec = t}, {.tv_sec = t, .tv_nsec = 123456789}};

	assert_int_equal(utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void every_kind_with_all_that_it_has(void **state)
{
	struct diff_world *d = *state;
	char target[16] = "";

	dir(d->upper, "d");
	dir(d->upper, "d/e");
	file(d->upper, "d/e/file", "content");
	xattr(d->upper, "d/e/file", "user.kept", "1");
	if (geteuid() == 0)
		assert_int_equal(fchownat(d->upper, "d/e/file", OTHER_ID, OTHER_ID, 0), 0);
	/* After the owner: chown(2) takes the bit away. */
	assert_int_equal(fchmodat(d->upper, "d/e/file", 04751, 0), 0);
	assert_int_equal(symlinkat("to nowhere", d->upper, "d/link"), 0);
	assert_int_equal(mkfifoat(d->upper, "d/pipe", 0600), 0);
	set_time(d->upper, "d/e/file", 1);
	set_time(d->upper, "d/link", -2);
	set_time(d->upper, "d/pipe", 3);
	set_time(d->upper, "d/e", 4);
	set_time(d->upper, "d", 5);
	copy_all(d);
	assert_same(d, "d");
	assert_same(d, "d/e");
	assert_same(d, "d/e/file");
	assert_same(d, "d/link");
	assert_same(d, "d/pipe");
	assert_string_equal(text_of(d, d->lower, "d/e/file"), "content");
	assert_int_equal(readlinkat(d->lower, "d/link", target, sizeof(target)), 10);
	assert_string_equal(target, "to nowhere");
	assert_true(has_xattr(d->lower, "d/e/file", "user.kept"));
}

static void deletions_are_in_the_form_of_the_store(void **state)
{
	struct diff_world *d = *state;
	struct stat st;

	dir(d->upper, "d");
	gone(d->upper, "d/x");
	xattr(d->upper, "d", "user.overlay.opaque", "y");
	xattr(d->upper, "d", "user.overlay.origin", "z");
	copy_all(d);
	st = look(d->lower, "d/x");
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(st.st_rdev, 0);
	assert_true(has_xattr(d->lower, "d", "user.overlay.opaque"));
	assert_false(has_xattr(d->lower, "d", "user.overlay.origin"));
}

/* The list has the name that is deleted, whatever the upper has in its place. */
static void other_dialects_are_translated(void **state)
{
	struct diff_world *d = *state;
	struct entry v[] = {
		{.path = "d", .verdict = ENTRY_MODIFIED, .opaque = true},
		{.path = "d/x", .verdict = ENTRY_DELETED},
	};
	struct stat st;

	dir(d->upper, "d");
	file(d->upper, "d/.wh.x", "");
	file(d->upper, "d/.wh..wh..opq", "");
	v[0].st = look(d->upper, "d");
	copy_list(d, &(struct entries){v, 2});
	st = look(d->lower, "d/x");
	assert_true(S_ISCHR(st.st_mode));
	assert_true(has_xattr(d->lower, "d", "user.overlay.opaque"));
	assert_false(there(d->lower, "d/.wh.x"));
}

static void hard_links_stay_links_among_themselves(void **state)
{
	struct diff_world *d = *state;

	dir(d->upper, "d");
	file(d->upper, "d/a", "x");
	assert_int_equal(linkat(d->upper, "d/a", d->upper, "b", 0), 0);
	assert_int_equal(linkat(d->upper, "d/a", d->upper, "d/c", 0), 0);
	copy_all(d);
	assert_int_equal(look(d->lower, "d/a").st_nlink, 3);
	assert_int_equal(look(d->lower, "b").st_ino, look(d->lower, "d/c").st_ino);
	/* Never with what they were copied from. */
	assert_int_equal(look(d->upper, "d/a").st_nlink, 3);
	assert_int_not_equal(look(d->lower, "b").st_ino, look(d->upper, "b").st_ino);
}

static void holes_stay_holes(void **state)
{
	struct diff_world *d = *state;
	_cleanup_fd_ int fd = -1;
	char last[4] = "";
	struct stat st;

	file(d->upper, "h", "begin");
	fd = openat(d->upper, "h", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "mid", 3, 3 << 20), 3);
	assert_int_equal(ftruncate(fd, 64 << 20), 0);
	copy_all(d);
	st = look(d->lower, "h");
	assert_int_equal(st.st_size, 64 << 20);
	assert_true(st.st_blocks * 512 < 1 << 20);
	cleanup_fd(&fd);
	fd = openat(d->lower, "h", O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, last, 3, 3 << 20), 3);
	assert_string_equal(last, "mid");
}

static void what_vanishes_is_left_out(void **state)
{
	struct diff_world *d = *state;
	struct entries list;
	struct err err = {0};

	dir(d->upper, "d");
	file(d->upper, "d/a", "");
	dir(d->upper, "d/gone");
	file(d->upper, "d/gone/x", "");
	file(d->upper, "e", "");
	file(d->upper, "f", "");
	assert_int_equal(tree_entries(d->w->a, d->upper, &list, &err), 0);
	assert_int_equal(list.n, 6);
	assert_int_equal(fs_remove_tree_at(d->upper, "d/gone", &err), 0);
	assert_int_equal(unlinkat(d->upper, "e", 0), 0);
	copy_list(d, &list);
	assert_true(there(d->lower, "d/a"));
	assert_false(there(d->lower, "d/gone"));
	assert_false(there(d->lower, "e"));
	assert_true(there(d->lower, "f"));
}

static void sockets_are_not_made(void **state)
{
	struct diff_world *d = *state;
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	(void)snprintf(at.sun_path, sizeof(at.sun_path), "%s/upper/s", d->w->dir);
	assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
	copy_all(d);
	assert_true(there(d->upper, "s"));
	assert_false(there(d->lower, "s"));
}

static void writes_over_nothing(void **state)
{
	struct diff_world *d = *state;
	struct err err = {0};
	struct stat st;

	file(d->upper, "x", "new");
	file(d->lower, "x", "old");
	st = look(d->upper, "x");
	assert_int_equal(copy_entry(d->upper, d->lower, "x", &st, &err), -1);
	assert_int_equal(err.errnum, EEXIST);
	assert_string_equal(err.msg, "cannot copy 'x': File exists");
	assert_string_equal(text_of(d, d->lower, "x"), "old");
}

static void attributes_alone(void **state)
{
	struct diff_world *d = *state;
	_cleanup_fd_ int from = -1;
	_cleanup_fd_ int to = -1;
	struct err err = {0};

	both_dirs(d, "d");
	xattr(d->upper, "d", "user.kept", "1");
	xattr(d->upper, "d", "user.overlay.opaque", "y");
	assert_int_equal(fchmodat(d->upper, "d", 01770, 0), 0);
	set_time(d->upper, "d", 99);
	from = openat(d->upper, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to = openat(d->lower, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(copy_attributes(from, to, "d", &err), 0);
	assert_same(d, "d");
	assert_true(has_xattr(d->lower, "d", "user.kept"));
	assert_false(has_xattr(d->lower, "d", "user.overlay.opaque"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIFF_TEST(every_kind_with_all_that_it_has),
		DIFF_TEST(deletions_are_in_the_form_of_the_store),
		DIFF_TEST(other_dialects_are_translated),
		DIFF_TEST(hard_links_stay_links_among_themselves),
		DIFF_TEST(holes_stay_holes),
		DIFF_TEST(what_vanishes_is_left_out),
		DIFF_TEST(sockets_are_not_made),
		DIFF_TEST(writes_over_nothing),
		DIFF_TEST(attributes_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
