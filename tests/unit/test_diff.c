/* Covers store/diff, store/diff_compare and store/diff_list. */
#include "diff_world.h"
#include "store/diff_internal.h"

static void touch(int dir_fd, const char *name)
{
	const struct timespec times[2] = {{.tv_sec = TOUCHED}, {.tv_sec = TOUCHED}};

	assert_int_equal(utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void test_nothing(void **state)
{
	struct diff_world *d = *state;

	file(d->lower, "there", "1");
	assert_string_equal(diff_plain(d), "");
}

static void test_added_and_deleted(void **state)
{
	struct diff_world *d = *state;

	file(d->lower, "old", "1");
	dir(d->lower, "olddir");
	file(d->lower, "olddir/in", "1");
	dir(d->upper, "new");
	file(d->upper, "new/in", "1");
	gone(d->upper, "new/never");
	gone(d->upper, "old");
	gone(d->upper, "olddir");
	gone(d->upper, "never");
	assert_string_equal(diff_plain(d), "= never\nA new/\nA new/in\n= new/never\nD old\n"
					   "D olddir/\n");
}

static void test_copied_up_is_no_change(void **state)
{
	struct diff_world *d = *state;
	const struct timespec again[2] = {{.tv_sec = 1000}, {.tv_sec = 1000, .tv_nsec = 1}};

	both_dirs(d, "etc");
	both(d, "etc/same", "text");
	both(d, "etc/touched", "text");
	both(d, "etc/nano", "text");
	both_dirs(d, "etc/folder");
	touch(d->upper, "etc/touched");
	assert_int_equal(utimensat(d->upper, "etc/nano", again, 0), 0);
	touch(d->upper, "etc/folder");
	assert_int_equal(symlinkat("a", d->lower, "etc/link"), 0);
	assert_int_equal(symlinkat("a", d->upper, "etc/link"), 0);
	touch(d->upper, "etc/link");
	assert_string_equal(diff_plain(d), "p etc/\nt etc/folder/\nt etc/link\nt etc/nano\n"
					   "= etc/same\nt etc/touched\n");
}

static void test_folder_whose_things_are_the_same_is_the_same(void **state)
{
	struct diff_world *d = *state;

	both_dirs(d, "a");
	both_dirs(d, "a/b");
	both(d, "a/b/c", "text");
	assert_string_equal(diff_plain(d), "= a/\n= a/b/\n= a/b/c\n");
	file(d->upper, "a/b/d", "");
	assert_string_equal(diff_plain(d), "p a/\np a/b/\n= a/b/c\nA a/b/d\n");
}

static void test_contents(void **state)
{
	struct diff_world *d = *state;
	_cleanup_free_ char *big = malloc(300001);

	assert_non_null(big);
	memset(big, 'x', 300000);
	big[300000] = '\0';
	both(d, "big", big);
	both(d, "exactly", big + 300000 - 131072);
	both(d, "empty", "");
	file(d->lower, "late", big);
	big[299999] = 'y';
	file(d->upper, "late", big);
	file(d->lower, "early", "abc");
	file(d->upper, "early", "abd");
	file(d->lower, "longer", "abc");
	file(d->upper, "longer", "abcd");
	assert_string_equal(diff_plain(d), "= big\nM early content\n= empty\n= exactly\n"
					   "M late content\nM longer content\n");
}

static void test_mode_and_xattr(void **state)
{
	struct diff_world *d = *state;

	both(d, "mode", "1");
	both(d, "setuid", "1");
	both(d, "value", "1");
	both(d, "more", "1");
	both(d, "fewer", "1");
	both(d, "equal", "1");
	both(d, "ovl", "1");
	both_dirs(d, "dir");
	assert_int_equal(fchmodat(d->upper, "mode", 0600, 0), 0);
	assert_int_equal(fchmodat(d->upper, "setuid", 04644, 0), 0);
	assert_int_equal(fchmodat(d->upper, "dir", 01755, 0), 0);
	xattr(d->lower, "value", "user.x", "1");
	xattr(d->upper, "value", "user.x", "2");
	xattr(d->upper, "more", "user.x", "2");
	xattr(d->lower, "fewer", "user.x", "2");
	xattr(d->lower, "equal", "user.x", "2");
	xattr(d->lower, "equal", "user.y", "3");
	xattr(d->upper, "equal", "user.y", "3");
	xattr(d->upper, "equal", "user.x", "2");
	xattr(d->upper, "ovl", "user.overlay.origin", "2");
	xattr(d->upper, "ovl", "user.fuseoverlayfs.origin", "2");
	assert_string_equal(diff_plain(d), "M dir/ mode\n= equal\nM fewer xattr\nM mode mode\n"
					   "M more xattr\n= ovl\nM setuid mode\nM value xattr\n");
}

static void test_links_and_special_files(void **state)
{
	struct diff_world *d = *state;

	assert_int_equal(symlinkat("a", d->lower, "link"), 0);
	assert_int_equal(symlinkat("b", d->upper, "link"), 0);
	assert_int_equal(symlinkat("a", d->lower, "longer"), 0);
	assert_int_equal(symlinkat("ab", d->upper, "longer"), 0);
	assert_int_equal(mkfifoat(d->lower, "fifo", 0600), 0);
	assert_int_equal(mkfifoat(d->upper, "fifo", 0600), 0);
	assert_int_equal(mkfifoat(d->upper, "newfifo", 0600), 0);
	touch(d->upper, "fifo");
	assert_string_equal(diff_text(d, (struct diff_input){0}),
			    "t fifo\nM link content\nM longer content\nA newfifo\n");
}

static void test_types(void **state)
{
	struct diff_world *d = *state;

	file(d->lower, "to-dir", "1");
	dir(d->upper, "to-dir");
	file(d->upper, "to-dir/in", "1");
	gone(d->upper, "to-dir/never");
	xattr(d->upper, "to-dir", "user.overlay.opaque", "y");
	dir(d->lower, "to-file");
	file(d->lower, "to-file/in", "1");
	file(d->upper, "to-file", "1");
	file(d->lower, "to-link", "1");
	assert_int_equal(symlinkat("b", d->upper, "to-link"), 0);
	assert_string_equal(diff_plain(d), "M to-dir/ type\nA to-dir/in\n= to-dir/never\n"
					   "M to-file type\nM to-link type\n");
}

static void test_opaque(void **state)
{
	struct diff_world *d = *state;

	both_dirs(d, "d");
	file(d->lower, "d/a", "1");
	both(d, "d/kept", "1");
	both_dirs(d, "d/sub");
	file(d->lower, "d/sub/in", "1");
	dir(d->lower, "d/z");
	file(d->lower, "d/z/deep", "1");
	file(d->lower, "d/z.txt", "1");
	file(d->lower, "d/whited", "1");
	gone(d->upper, "d/whited");
	file(d->upper, "d/new", "1");
	xattr(d->upper, "d", "user.overlay.opaque", "y");
	dir(d->upper, "fresh");
	xattr(d->upper, "fresh", "user.overlay.opaque", "y");
	gone(d->upper, "d/never");
	assert_string_equal(diff_plain(d),
			    "p d/ opaque\nH d/a\n= d/kept covered\n= d/never\nA d/new covered\n"
			    "p d/sub/ covered\nH d/sub/in\nD d/whited\nH d/z.txt\nH d/z/\n"
			    "A fresh/\n");
}

/* What is hidden cannot be left out. */
static void test_opaque_hides_what_is_excluded(void **state)
{
	struct diff_world *d = *state;
	static const char *const patterns[] = {"*.log", NULL};

	both_dirs(d, "d");
	file(d->lower, "d/x.log", "1");
	xattr(d->upper, "d", "user.overlay.opaque", "y");
	assert_string_equal(diff_text(d, (struct diff_input){.exclude = patterns}),
			    "p d/ opaque\nH d/x.log excluded\n");
}

/* One mark is enough, and what needs none has none. */
static void test_opaque_in_opaque(void **state)
{
	struct diff_world *d = *state;

	both_dirs(d, "d");
	both_dirs(d, "d/in");
	both_dirs(d, "d/in/deep");
	both(d, "d/in/deep/kept", "1");
	xattr(d->upper, "d", "user.overlay.opaque", "y");
	xattr(d->upper, "d/in", "user.overlay.opaque", "y");
	assert_string_equal(diff_plain(d),
			    "= d/ opaque\n= d/in/\n= d/in/deep/\n= d/in/deep/kept\n");
	file(d->lower, "d/in/deep/gone", "1");
	assert_string_equal(diff_plain(d), "p d/ opaque\np d/in/ covered\np d/in/deep/ covered\n"
					   "H d/in/deep/gone\n= d/in/deep/kept covered\n");
}

static void test_order_is_that_of_the_tar(void **state)
{
	struct diff_world *d = *state;

	dir(d->upper, "a");
	file(d->upper, "a/x", "");
	file(d->upper, "a-b", "");
	file(d->upper, "a0", "");
	file(d->upper, "a.b", "");
	file(d->upper, "Z", "");
	file(d->upper, "\xc3\xa4", "");
	file(d->upper, "\xff", "");
	file(d->upper, "ab", "");
	assert_string_equal(diff_plain(d), "A Z\nA a-b\nA a.b\nA a/\nA a/x\nA a0\nA ab\n"
					   "A \xc3\xa4\nA \xff\n");
}

static void test_owners(void **state)
{
	struct diff_world *d = *state;

	if (geteuid() != 0)
		skip();
	both(d, "uid", "1");
	both(d, "gid", "1");
	assert_int_equal(fchownat(d->upper, "uid", 7, 0, 0), 0);
	assert_int_equal(fchownat(d->upper, "gid", 0, 7, 0), 0);
	assert_int_equal(symlinkat("a", d->lower, "link"), 0);
	assert_int_equal(symlinkat("a", d->upper, "link"), 0);
	assert_int_equal(fchownat(d->upper, "link", 7, 7, AT_SYMLINK_NOFOLLOW), 0);
	touch(d->upper, "link");
	assert_string_equal(diff_plain(d), "M gid owner\nM link owner\nM uid owner\n");
	assert_string_equal(diff_text(d, (struct diff_input){.owners = false}),
			    "= gid\nt link\n= uid\n");
}

static void test_devices(void **state)
{
	struct diff_world *d = *state;

	if (geteuid() != 0)
		skip();
	assert_int_equal(mknodat(d->lower, "dev", S_IFCHR | 0600, makedev(1, 3)), 0);
	assert_int_equal(mknodat(d->upper, "dev", S_IFCHR | 0600, makedev(1, 5)), 0);
	assert_int_equal(mknodat(d->lower, "same", S_IFBLK | 0600, makedev(7, 3)), 0);
	assert_int_equal(mknodat(d->upper, "same", S_IFBLK | 0600, makedev(7, 3)), 0);
	touch(d->upper, "same");
	/* Only a character device 0:0 is a whiteout. */
	assert_int_equal(mknodat(d->upper, "zero", S_IFBLK | 0600, makedev(0, 0)), 0);
	assert_string_equal(diff_plain(d), "M dev content\nt same\nA zero\n");
}

static void test_excluded(void **state)
{
	struct diff_world *d = *state;
	static const char *const patterns[] = {"*.log", "/var/cache/", NULL};
	const struct diff_input in = {.exclude = patterns};

	both_dirs(d, "var");
	both_dirs(d, "var/cache");
	file(d->upper, "var/cache/x", "");
	dir(d->upper, "var/cache/sub");
	file(d->upper, "var/cache/sub/y", "");
	assert_string_equal(diff_text(d, in),
			    "= var/\np var/cache/ excluded\nA var/cache/sub/ excluded\n"
			    "A var/cache/sub/y excluded\nA var/cache/x excluded\n");
	file(d->lower, "var/old.log", "");
	gone(d->upper, "var/old.log");
	file(d->upper, "var/z", "");
	assert_string_equal(diff_text(d, in),
			    "p var/\np var/cache/ excluded\nA var/cache/sub/ excluded\n"
			    "A var/cache/sub/y excluded\nA var/cache/x excluded\n"
			    "D var/old.log excluded\nA var/z\n");
}

static void test_under(void **state)
{
	struct diff_world *d = *state;

	both_dirs(d, "a");
	both_dirs(d, "a/b");
	file(d->upper, "a/b/x", "");
	file(d->upper, "a/bc", "");
	file(d->upper, "a/y", "");
	file(d->upper, "z", "");
	dir(d->lower, "gone");
	gone(d->upper, "gone");
	both_dirs(d, "opaque");
	file(d->lower, "opaque/h1", "");
	file(d->lower, "opaque/h2", "");
	xattr(d->upper, "opaque", "user.overlay.opaque", "y");
	assert_string_equal(diff_text(d, (struct diff_input){.under = "a/b"}),
			    "p a/\np a/b/\nA a/b/x\n");
	assert_string_equal(diff_text(d, (struct diff_input){.under = "a/b/x"}),
			    "p a/\np a/b/\nA a/b/x\n");
	assert_string_equal(diff_text(d, (struct diff_input){.under = "z"}), "A z\n");
	assert_string_equal(diff_text(d, (struct diff_input){.under = "z/below"}), "A z\n");
	assert_string_equal(diff_text(d, (struct diff_input){.under = "none/at/all"}), "");
	assert_string_equal(diff_text(d, (struct diff_input){.under = "gone/in"}), "D gone/\n");
	assert_string_equal(diff_text(d, (struct diff_input){.under = "opaque/h2"}),
			    "p opaque/ opaque\nH opaque/h2\n");
}

static void test_fuse_dialect(void **state)
{
	struct diff_world *d = *state;
	const struct diff_input in = {.dialect = WHITEOUT_FUSE};

	file(d->lower, "a", "");
	file(d->lower, "b", "");
	file(d->lower, "c", "");
	gone(d->upper, "a");
	file(d->upper, ".wh.b", "");
	file(d->upper, ".wh.c", "");
	file(d->upper, "c", "shown by neither");
	both_dirs(d, "o1");
	file(d->lower, "o1/x", "");
	file(d->upper, "o1/.wh..wh..opq", "");
	gone(d->upper, "o1/.wh..opq");
	both_dirs(d, "o2");
	file(d->lower, "o2/x", "");
	xattr(d->upper, "o2", "user.fuseoverlayfs.opaque", "y");
	both_dirs(d, "o3");
	file(d->lower, "o3/x", "");
	xattr(d->upper, "o3", "user.overlay.opaque", "y");
	assert_string_equal(diff_text(d, in), "D a\nD b\nD c\np o1/ opaque\nH o1/x\n"
					      "p o2/ opaque\nH o2/x\np o3/ opaque\nH o3/x\n");
}

/* n folders of that name, one in the other; a descriptor of the last. */
static int nest(int dir_fd, const char *name, int n)
{
	int at = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3);

	for (int i = 0; i < n; i++) {
		int next = folder(at, name);

		(void)close(at);
		at = next;
	}
	return at;
}

static void test_deep(void **state)
{
	struct diff_world *d = *state;
	struct entries all = {0};
	struct err err = {0};
	const struct diff_input in = {.lower = d->lower, .upper = d->upper};
	/* Deeper than descriptors and PATH_MAX go. */
	int lower = nest(d->lower, "dd", 2000);
	int upper = nest(d->upper, "dd", 2000);
	struct stat st;

	file(upper, "end", "");
	(void)close(lower);
	(void)close(upper);
	file(d->upper, "e", "");
	assert_int_equal(diff_entries(d->w->a, &in, &all, &err), 0);
	assert_int_equal(all.n, 2002);
	assert_int_equal(all.v[1999].verdict, ENTRY_PARENT);
	assert_int_equal(all.v[2000].verdict, ENTRY_ADDED);
	assert_int_equal(strlen(all.v[2000].path), 6003);
	assert_string_equal(all.v[2001].path, "e");
	assert_int_equal(fstat(d->upper, &st), 0);
}

/* Refused at once, and by name. */
static void test_too_many_folders(void **state)
{
	struct diff_world *d = *state;
	struct entries all = {0};
	struct err err = {0};
	const struct diff_input in = {.lower = d->lower, .upper = d->upper};

	(void)close(nest(d->upper, "d", 2049));
	assert_int_equal(diff_entries(d->w->a, &in, &all, &err), -1);
	assert_non_null(strstr(err.msg, "cannot compare '/d/d/d/"));
	assert_non_null(strstr(err.msg, "…/d': it lies in 2048 folders or more"));
	assert_string_equal(err.hint, "remove it with `sbx run`, or all changes with `sbx reset`");
}

static void test_too_deep(void **state)
{
	struct diff_world *d = *state;
	struct entries all = {0};
	struct err err = {0};
	const struct diff_input in = {.lower = d->lower, .upper = d->upper};
	char name[251];

	memset(name, 'n', 250);
	name[250] = '\0';
	(void)close(nest(d->upper, name, 270));
	assert_int_equal(diff_entries(d->w->a, &in, &all, &err), -1);
	assert_non_null(strstr(err.msg, "its path has more than 65536 bytes"));
}

static void test_many(void **state)
{
	struct diff_world *d = *state;
	struct entries all = {0};
	struct err err = {0};
	const struct diff_input in = {.lower = d->lower, .upper = d->upper};

	for (int i = 0; i < 20000; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "f%05d", 19999 - i);
		assert_int_equal(mknodat(d->upper, name, S_IFREG | 0644, 0), 0);
	}
	assert_int_equal(diff_entries(d->w->a, &in, &all, &err), 0);
	assert_int_equal(all.n, 20000);
	assert_string_equal(all.v[0].path, "f00000");
	assert_string_equal(all.v[19999].path, "f19999");
}

static void test_no_descriptors_stay(void **state)
{
	struct diff_world *d = *state;
	int before = fcntl(0, F_DUPFD_CLOEXEC, 3);
	int after;

	/* The lowest free number: one that stays open takes it. */
	(void)close(before);

	both_dirs(d, "a");
	both(d, "a/f", "1");
	file(d->upper, "a/x", "");
	xattr(d->upper, "a", "user.overlay.opaque", "y");
	(void)diff_plain(d);
	after = fcntl(0, F_DUPFD_CLOEXEC, 3);
	(void)close(after);
	assert_int_equal(after, before);
}

static void test_unusable_folders(void **state)
{
	struct diff_world *d = *state;
	struct entries all = {0};
	struct err err = {0};
	const struct diff_input in = {.lower = -1, .upper = d->upper};

	assert_int_equal(diff_entries(d->w->a, &in, &all, &err), -1);
	assert_string_equal(err.msg, "cannot open the environment's changes: Bad file descriptor");
	assert_int_equal(all.n, 0);
}

static void test_zeroed(void **state)
{
	const struct diff_walk w = {0};
	struct diff_children c = {0};

	(void)state;
	diff_children_done(&w, &c);
	diff_children_done(&w, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIFF_TEST(test_nothing),
		DIFF_TEST(test_added_and_deleted),
		DIFF_TEST(test_copied_up_is_no_change),
		DIFF_TEST(test_folder_whose_things_are_the_same_is_the_same),
		DIFF_TEST(test_contents),
		DIFF_TEST(test_mode_and_xattr),
		DIFF_TEST(test_links_and_special_files),
		DIFF_TEST(test_types),
		DIFF_TEST(test_opaque),
		DIFF_TEST(test_opaque_in_opaque),
		DIFF_TEST(test_opaque_hides_what_is_excluded),
		DIFF_TEST(test_order_is_that_of_the_tar),
		DIFF_TEST(test_owners),
		DIFF_TEST(test_devices),
		DIFF_TEST(test_excluded),
		DIFF_TEST(test_under),
		DIFF_TEST(test_fuse_dialect),
		DIFF_TEST(test_deep),
		DIFF_TEST(test_too_many_folders),
		DIFF_TEST(test_too_deep),
		DIFF_TEST(test_many),
		DIFF_TEST(test_no_descriptors_stay),
		DIFF_TEST(test_unusable_folders),
		cmocka_unit_test(test_zeroed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
