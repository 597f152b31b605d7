/* Covers store/whiteout and store/whiteout_normalise. */
#include "diff_world.h"

static struct stat st_of(mode_t type, unsigned major_number)
{
	struct stat st = {.st_mode = type, .st_rdev = makedev(major_number, 0)};

	return st;
}

static void says(enum whiteout_dialect dialect, const char *name, const struct stat *st,
		 enum whiteout wanted, const char *deleted)
{
	const char *got = NULL;

	assert_int_equal(whiteout_entry(dialect, name, st, &got), wanted);
	if (deleted)
		assert_string_equal(got, deleted);
	else
		assert_null(got);
}

static void test_entries(void **state)
{
	const struct stat device = st_of(S_IFCHR, 0);
	const struct stat null = st_of(S_IFCHR, 1);
	const struct stat block = st_of(S_IFBLK, 0);
	const struct stat plain = st_of(S_IFREG, 0);
	const struct stat folder_st = st_of(S_IFDIR, 0);

	(void)state;
	for (int i = WHITEOUT_KERNEL; i <= WHITEOUT_FUSE; i++) {
		says((enum whiteout_dialect)i, "x", &device, WHITEOUT_DELETE, "x");
		says((enum whiteout_dialect)i, "x", &null, WHITEOUT_NONE, NULL);
		says((enum whiteout_dialect)i, "x", &block, WHITEOUT_NONE, NULL);
		says((enum whiteout_dialect)i, "x", &plain, WHITEOUT_NONE, NULL);
		says((enum whiteout_dialect)i, ".whx", &plain, WHITEOUT_NONE, NULL);
	}
	/* Where the kernel wrote it, such a name is a name. */
	says(WHITEOUT_KERNEL, ".wh.x", &plain, WHITEOUT_NONE, NULL);
	says(WHITEOUT_KERNEL, ".wh..wh..opq", &plain, WHITEOUT_NONE, NULL);
	says(WHITEOUT_KERNEL, ".wh.x", &device, WHITEOUT_DELETE, ".wh.x");
	says(WHITEOUT_FUSE, ".wh.x", &plain, WHITEOUT_DELETE, "x");
	says(WHITEOUT_FUSE, ".wh.x", &folder_st, WHITEOUT_DELETE, "x");
	says(WHITEOUT_FUSE, ".wh..opq", &plain, WHITEOUT_DELETE, ".opq");
	says(WHITEOUT_FUSE, ".wh..opq", &device, WHITEOUT_MARK, NULL);
	says(WHITEOUT_FUSE, ".wh..wh..opq", &plain, WHITEOUT_MARK, NULL);
	says(WHITEOUT_FUSE, ".wh.", &plain, WHITEOUT_MARK, NULL);
}

static void test_bookkeeping(void **state)
{
	(void)state;
	assert_true(whiteout_is_overlay_xattr("user.overlay.opaque"));
	assert_true(whiteout_is_overlay_xattr("user.fuseoverlayfs.origin"));
	assert_true(whiteout_is_overlay_xattr("trusted.overlay.opaque"));
	assert_true(whiteout_is_overlay_xattr("user.containers.override_stat"));
	assert_false(whiteout_is_overlay_xattr("user.overlays"));
	assert_false(whiteout_is_overlay_xattr("user.mine"));
	assert_false(whiteout_is_overlay_xattr("security.capability"));
}

static void test_made(void **state)
{
	struct diff_world *d = *state;
	struct err err = {0};
	bool opaque = true;

	assert_int_equal(whiteout_opaque(WHITEOUT_KERNEL, d->upper, &opaque, &err), 0);
	assert_false(opaque);
	/* "x" says that there may be whiteouts of another kind, which nobody here makes. */
	xattr(d->upper, ".", "user.overlay.opaque", "x");
	assert_int_equal(whiteout_opaque(WHITEOUT_KERNEL, d->upper, &opaque, &err), 0);
	assert_false(opaque);
	assert_int_equal(whiteout_make_opaque(d->upper, &err), 0);
	assert_int_equal(whiteout_opaque(WHITEOUT_KERNEL, d->upper, &opaque, &err), 0);
	assert_true(opaque);
	file(d->lower, "x", "");
	assert_int_equal(whiteout_make(d->upper, "x", &err), 0);
	assert_string_equal(diff_plain(d), "D x\n");
	assert_int_equal(whiteout_make(d->upper, "x", &err), -1);
	assert_string_equal(err.msg, "cannot make the whiteout 'x': File exists");
	assert_int_equal(whiteout_opaque(WHITEOUT_KERNEL, -1, &opaque, &err), -1);
	assert_non_null(strstr(err.msg, "cannot tell whether a folder of the upper is opaque"));
	assert_int_equal(whiteout_make_opaque(-1, &err), -1);
	assert_non_null(strstr(err.msg, "cannot mark a folder as opaque"));
}

/* What fuse-overlayfs writes as the real root, who alone can. */
static void test_opaque_by_root(void **state)
{
	struct diff_world *d = *state;
	struct err err = {0};
	bool opaque = false;

	if (fsetxattr(d->upper, "trusted.overlay.opaque", "y", 1, 0) < 0)
		skip();
	assert_int_equal(whiteout_opaque(WHITEOUT_FUSE, d->upper, &opaque, &err), 0);
	assert_true(opaque);
	/* The kernel that mounts for a user does not look at it. */
	assert_int_equal(whiteout_opaque(WHITEOUT_KERNEL, d->upper, &opaque, &err), 0);
	assert_false(opaque);
}

/* Every dialect at once, also deep down. */
static void fuse_upper(const struct diff_world *d, const char *where)
{
	_cleanup_fd_ int lower = folder(d->lower, where);
	_cleanup_fd_ int upper = folder(d->upper, where);

	file(lower, "dev", "");
	gone(upper, "dev");
	file(lower, "mark", "");
	file(upper, ".wh.mark", "");
	dir(lower, "beside");
	dir(upper, "beside");
	file(upper, "beside/in", "hidden");
	file(upper, ".wh.beside", "");
	file(lower, "folder", "");
	dir(upper, ".wh.folder");
	file(upper, ".wh.folder/in", "");
	file(lower, "both", "");
	gone(upper, "both");
	file(upper, ".wh.both", "");
	dir(lower, "o");
	file(lower, "o/old", "");
	dir(upper, "o");
	file(upper, "o/new", "");
	file(upper, "o/.wh..wh..opq", "");
	gone(upper, "o/.wh..opq");
	xattr(upper, "o", "user.fuseoverlayfs.opaque", "y");
	dir(lower, "p");
	file(lower, "p/old", "");
	dir(upper, "p");
	xattr(upper, "p", "user.fuseoverlayfs.opaque", "y");
	file(upper, "f", "1");
	xattr(upper, "f", "user.fuseoverlayfs.origin", "x");
	xattr(upper, "f", "user.mine", "x");
	assert_int_equal(symlinkat("a", upper, "link"), 0);
}

static void test_normalise(void **state)
{
	struct diff_world *d = *state;
	struct err err = {0};
	const char *before;

	fuse_upper(d, ".");
	dir(d->lower, "a");
	dir(d->upper, "a");
	fuse_upper(d, "a/b");
	before = diff_text(d, (struct diff_input){.dialect = WHITEOUT_FUSE});
	for (int i = 0; i < 2; i++) {
		assert_int_equal(whiteout_normalise(d->upper, &err), 0);
		assert_string_equal(diff_text(d, (struct diff_input){0}), before);
		assert_string_equal(diff_text(d, (struct diff_input){.dialect = WHITEOUT_FUSE}),
				    before);
	}
	assert_non_null(strstr(before, "D a/b/folder\n"));
	assert_non_null(strstr(before, "p a/b/o/ opaque\n"));
	assert_false(there(d->upper, "a/b/.wh.mark"));
	assert_false(there(d->upper, "a/b/.wh.folder"));
	assert_false(there(d->upper, "a/b/o/.wh..wh..opq"));
	assert_false(there(d->upper, "a/b/o/.wh..opq"));
	assert_false(has_xattr(d->upper, "a/b/o", "user.fuseoverlayfs.opaque"));
	assert_true(has_xattr(d->upper, "a/b/o", "user.overlay.opaque"));
	assert_false(has_xattr(d->upper, "a/b", "user.overlay.opaque"));
	assert_false(has_xattr(d->upper, "a/b/f", "user.fuseoverlayfs.origin"));
	assert_true(has_xattr(d->upper, "a/b/f", "user.mine"));
}

/* proc(5) knows no attributes. */
static void test_no_attributes(void **state)
{
	_cleanup_fd_ int fd = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err err = {0};

	(void)state;
	assert_int_equal(whiteout_make_opaque(fd, &err), -1);
	assert_int_equal(err.errnum, ENOTSUP);
	assert_string_equal(err.hint, "the store needs a filesystem with user attributes (user.*)");
}

static void test_normalise_fails(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(whiteout_normalise(-1, &err), -1);
	assert_string_equal(err.msg, "cannot open '' of the upper: Bad file descriptor");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_bookkeeping),
		DIFF_TEST(test_made),
		DIFF_TEST(test_opaque_by_root),
		DIFF_TEST(test_normalise),
		cmocka_unit_test(test_no_attributes),
		cmocka_unit_test(test_normalise_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
