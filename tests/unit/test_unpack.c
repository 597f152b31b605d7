/* A layer's tar becomes a tree: store/unpack, store/unpack_walk and store/untar.  Hostile ones: tests/fuzz/hostile.py. */
#include <errno.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "store/unpack.h"
#include "store/unpack_walk.h"
#include "store_world.h"

/* A tar that is being read. */
struct source {
	struct buf tar;
	size_t at;
};

static ssize_t give(void *ctx, void *p, size_t n, struct err *err)
{
	struct source *s = ctx;

	(void)err;
	if (n > s->tar.len - s->at)
		n = s->tar.len - s->at;
	memcpy(p, s->tar.p + s->at, n);
	s->at += n;
	return (ssize_t)n;
}

static ssize_t give_nothing(void *ctx, void *p, size_t n, struct err *err)
{
	(void)ctx;
	(void)p;
	(void)n;
	return err_set(err, "the cable is out");
}

static void put(struct buf *tar, const char *path, mode_t mode, const char *text)
{
	struct stat st = {.st_mode = mode, .st_uid = geteuid(), .st_gid = getegid()};
	struct tar_entry e = {.path = path, .st = &st, .mtime = 1000};
	static const char zeros[TAR_BLOCK];

	if (S_ISREG(mode))
		st.st_size = text ? (off_t)strlen(text) : 0;
	else
		e.link = text;
	tar_header(tar, &e);
	if (S_ISREG(mode) && text) {
		buf_adds(tar, text);
		buf_add(tar, zeros, tar_padding(strlen(text)));
	}
}

static void put_hardlink(struct buf *tar, const char *path, const char *to)
{
	struct stat st = {.st_mode = S_IFREG | 0644};
	struct tar_entry e = {.path = path, .st = &st, .link = to};

	tar_header(tar, &e);
}

static const struct untar_limits plenty = {.entries = 1000, .bytes = 1U << 30};

/* Unpack what was put into w->dir/tree. */
static int unpack_limited(const struct world *w, struct source *s,
			  const struct untar_limits *limits, struct err *err)
{
	_cleanup_untar_ struct untar *u = NULL;
	_cleanup_fd_ int fd = -1;

	tar_end(&s->tar);
	world_mkdir(w, "tree");
	fd = open(world_path(w, "tree"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	if (untar_open(give, s, limits, &u, err) < 0)
		return -1;
	return unpack(u, fd, geteuid() == 0, err);
}

static int unpack_all(const struct world *w, struct source *s, struct err *err)
{
	int r = unpack_limited(w, s, &plenty, err);

	buf_done(&s->tar);
	return r;
}

static struct stat look(const struct world *w, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(world_path(w, arena_printf(w->a, "tree/%s", name)), &st), 0);
	return st;
}

static bool is_opaque(const struct world *w, const char *name)
{
	char value[8] = "";

	return getxattr(world_path(w, arena_printf(w->a, "tree/%s", name)), "user.overlay.opaque",
			value, sizeof(value)) == 1 &&
	       value[0] == 'y';
}

static void makes_every_kind(void **state)
{
	struct world *w = *state;
	struct source s = {0};
	struct err err = {0};
	char target[16] = "";
	struct stat st;

	put(&s.tar, "d", S_IFDIR | 01500, NULL);
	put(&s.tar, "d/file", S_IFREG | 04710, "content");
	put(&s.tar, "d/link", S_IFLNK | 0777, "/etc/nowhere");
	put(&s.tar, "d/pipe", S_IFIFO | 0620, NULL);
	put_hardlink(&s.tar, "d/second", "d/file");
	put_hardlink(&s.tar, "d/second-link", "d/link");
	assert_int_equal(unpack_all(w, &s, &err), 0);

	st = look(w, "d");
	assert_int_equal(st.st_mode, S_IFDIR | 01500);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	st = look(w, "d/file");
	assert_int_equal(st.st_mode, S_IFREG | 04710);
	assert_int_equal(st.st_size, 7);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(look(w, "d/second").st_ino, st.st_ino);
	st = look(w, "d/link");
	assert_int_equal(st.st_mode & S_IFMT, S_IFLNK);
	assert_int_equal(st.st_mtim.tv_sec, 1000);
	assert_int_equal(look(w, "d/second-link").st_ino, st.st_ino);
	assert_int_equal(readlink(world_path(w, "tree/d/link"), target, sizeof(target)), 12);
	assert_int_equal(look(w, "d/pipe").st_mode, S_IFIFO | 0620);
}

static void keeps_owners_where_there_are_some(void **state)
{
	struct world *w = *state;
	struct source s = {0};
	struct stat st = {.st_mode = S_IFREG | 06755, .st_uid = 12, .st_gid = 34};
	const struct tar_entry e = {.path = "a/b", .st = &st};
	struct err err = {0};

	if (geteuid() != 0) {
		skip();
		return;
	}
	tar_header(&s.tar, &e);
	assert_int_equal(unpack_all(w, &s, &err), 0);
	st = look(w, "a/b");
	assert_int_equal(st.st_uid, 12);
	assert_int_equal(st.st_gid, 34);
	assert_int_equal(st.st_mode, S_IFREG | 06755);
	/* The folder that no entry names. */
	st = look(w, "a");
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(st.st_mode, S_IFDIR | UNPACK_PARENT_MODE);
	assert_int_equal(st.st_mtim.tv_sec, 0);
}

static void says_what_helps_against_foreign_owners(void **state)
{
	struct world *w = *state;
	_cleanup_untar_ struct untar *u = NULL;
	_cleanup_fd_ int fd = -1;
	struct source s = {0};
	struct err err = {0};
	uid_t self = geteuid();

	put(&s.tar, "f", S_IFREG | 0644, NULL);
	tar_end(&s.tar);
	world_mkdir(w, "tree");
	fd = open(world_path(w, "tree"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fchmod(fd, 0777), 0);
	assert_int_equal(chmod(w->dir, 0755), 0);
	/* Somebody who may not give files away. */
	assert_int_equal(untar_open(give, &s, &plenty, &u, &err), 0);
	if (self == 0) {
		assert_int_equal(seteuid(65534), 0);
	} else {
		buf_done(&s.tar);
		skip();
		return;
	}
	assert_int_equal(unpack(u, fd, true, &err), -1);
	assert_int_equal(seteuid(self), 0);
	assert_string_equal(err.msg, "cannot unpack 'f' of the layer's tar: cannot set its owner: "
				     "Operation not permitted");
	assert_non_null(strstr(err.hint, "more subordinate ids for you in /etc/subuid and "
					 "/etc/subgid may help"));
	buf_done(&s.tar);
}

static void keeps_odd_times(void **state)
{
	static const int64_t times[] = {-86400, 0, 4000000000, 1};
	struct world *w = *state;
	struct source s = {0};
	struct stat st = {.st_mode = S_IFREG | 0644, .st_uid = geteuid(), .st_gid = getegid()};
	struct err err = {0};

	for (size_t i = 0; i < 4; i++) {
		const struct tar_entry e = {
			.path = arena_printf(w->a, "t%zu", i), .st = &st, .mtime = times[i]};

		tar_header(&s.tar, &e);
	}
	assert_int_equal(unpack_all(w, &s, &err), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(look(w, arena_printf(w->a, "t%zu", i)).st_mtim.tv_sec, times[i]);
}

static void keeps_names_as_bytes(void **state)
{
	/* Not UTF-8; decomposed; a composed one; a control byte. */
	static const char *const names[] = {"\xff\xfe", "e\xcc\x81", "\xc3\xa9", "\x01\n"};
	struct world *w = *state;
	struct source s = {0};
	struct err err = {0};
	const char *deep = "";

	for (size_t i = 0; i < 4; i++)
		put(&s.tar, names[i], S_IFLNK | 0777, names[i]);
	for (int i = 0; i < 40; i++) {
		deep = arena_printf(w->a, "%s%s%0150d", deep, i ? "/" : "", i);
		put(&s.tar, deep, S_IFDIR | 0755, NULL);
	}
	assert_int_equal(unpack_all(w, &s, &err), 0);
	for (size_t i = 0; i < 4; i++) {
		char target[16] = "";

		assert_true(readlink(world_path(w, arena_printf(w->a, "tree/%s", names[i])), target,
				     sizeof(target)) > 0);
		assert_string_equal(target, names[i]);
	}
}

static void makes_holes(void **state)
{
	static const size_t size = 1U << 20;
	struct world *w = *state;
	struct source s = {0};
	struct err err = {0};
	struct stat st = {.st_mode = S_IFREG | 0644,
			  .st_size = (off_t)size,
			  .st_uid = geteuid(),
			  .st_gid = getegid()};
	const struct tar_entry e = {.path = "holes", .st = &st};
	char *contents = arena_alloc(w->a, size);
	_cleanup_buf_ struct buf got = {0};

	contents[10] = 'a';
	contents[size / 2 + 5000] = 'b';
	tar_header(&s.tar, &e);
	buf_add(&s.tar, contents, size);
	assert_int_equal(unpack_all(w, &s, &err), 0);
	st = look(w, "holes");
	assert_int_equal(st.st_size, size);
	assert_true(st.st_blocks * 512 <= 65536);
	assert_int_equal(fs_read_at(AT_FDCWD, world_path(w, "tree/holes"), size, &got, &err), 0);
	assert_int_equal(got.len, size);
	assert_memory_equal(got.p, contents, size);
}

static void turns_whiteouts_into_the_kernels(void **state)
{
	struct world *w = *state;
	struct source s = {0};
	struct err err = {0};
	struct stat st;

	put(&s.tar, "d/.wh.gone", S_IFREG | 0644, NULL);
	put(&s.tar, "d/.wh.before", S_IFREG | 0644, NULL);
	put(&s.tar, "d/before", S_IFREG | 0644, "x");
	put(&s.tar, "d/after", S_IFREG | 0644, "x");
	put(&s.tar, "d/.wh.after", S_IFREG | 0644, NULL);
	put(&s.tar, "d/.wh.folder1", S_IFREG | 0644, NULL);
	put(&s.tar, "d/folder1", S_IFDIR | 0755, NULL);
	put(&s.tar, "d/folder2", S_IFDIR | 0755, NULL);
	put(&s.tar, "d/.wh.folder2", S_IFREG | 0644, NULL);
	put(&s.tar, "d/.wh.folder3", S_IFREG | 0644, NULL);
	put(&s.tar, "d/folder3/file", S_IFREG | 0644, NULL);
	put(&s.tar, "d/folder4/.wh..wh..opq", S_IFREG | 0644, NULL);
	put(&s.tar, "d/plain", S_IFDIR | 0755, NULL);
	assert_int_equal(unpack_all(w, &s, &err), 0);
	st = look(w, "d/gone");
	assert_int_equal(st.st_mode & S_IFMT, S_IFCHR);
	assert_int_equal(st.st_rdev, makedev(0, 0));
	assert_int_equal(look(w, "d/before").st_size, 1);
	assert_int_equal(look(w, "d/after").st_size, 1);
	for (int i = 1; i <= 4; i++)
		assert_true(is_opaque(w, arena_printf(w->a, "d/folder%d", i)));
	assert_false(is_opaque(w, "d/plain"));
	assert_false(is_opaque(w, "d"));
}

static void keeps_the_attributes_of_layers(void **state)
{
	static const struct tar_xattr all[] = {
		{"trusted.overlay.opaque", "y", 1},        {"user.a", "1\0x", 3},
		{"user.containers.override_stat", "0", 1}, {"user.empty", "", 0},
		{"user.overlay.opaque", "y", 1},           {"user.overlay.redirect", "/etc", 4},
	};
	struct world *w = *state;
	struct source s = {0};
	struct err err = {0};
	struct stat st = {.st_mode = S_IFDIR | 0755, .st_uid = geteuid(), .st_gid = getegid()};
	const struct tar_entry e = {.path = "x", .st = &st, .xattrs = all, .n_xattrs = 6};
	char list[256];
	char value[8];

	tar_header(&s.tar, &e);
	put(&s.tar, "x/y", S_IFREG | 0644, NULL);
	assert_int_equal(unpack_all(w, &s, &err), 0);
	assert_int_equal(listxattr(world_path(w, "tree/x"), list, sizeof(list)),
			 sizeof("user.a") + sizeof("user.empty"));
	assert_int_equal(getxattr(world_path(w, "tree/x"), "user.a", value, sizeof(value)), 3);
	assert_memory_equal(value, "1\0x", 3);
	assert_int_equal(getxattr(world_path(w, "tree/x"), "user.empty", value, sizeof(value)), 0);
}

static void of_a_folder_twice_the_last_counts(void **state)
{
	struct world *w = *state;
	struct source s = {0};
	struct err err = {0};

	put(&s.tar, "d", S_IFDIR | 0700, NULL);
	put(&s.tar, "d/f", S_IFREG | 0600, "x");
	put(&s.tar, "d", S_IFDIR | 0555, NULL);
	assert_int_equal(unpack_all(w, &s, &err), 0);
	assert_int_equal(look(w, "d").st_mode, S_IFDIR | 0555);
	assert_int_equal(look(w, "d/f").st_size, 1);
}

static void assert_refused(struct world *w, struct source *s, const char *words)
{
	struct err err = {0};

	assert_int_equal(unpack_all(w, s, &err), -1);
	if (!strstr(err.msg, words))
		fail_msg("'%s' does not say '%s'", err.msg, words);
}

static void refuses_what_is_twice(void **state)
{
	struct source s = {0};

	put(&s.tar, "a/f", S_IFREG | 0600, "x");
	put(&s.tar, "a/f", S_IFREG | 0600, "y");
	assert_refused(*state, &s, "cannot unpack 'a/f' of the layer's tar: it is there twice");
}

static void refuses_to_go_through_links_and_files(void **state)
{
	struct source s = {0};

	put(&s.tar, "l", S_IFLNK | 0777, "/");
	put(&s.tar, "l/f", S_IFREG | 0600, "x");
	assert_refused(*state, &s,
		       "cannot unpack 'l' of the layer's tar: a file or a link of that "
		       "name is there already");
	s = (struct source){0};
	put(&s.tar, "m", S_IFREG | 0600, "x");
	put(&s.tar, "m/f", S_IFREG | 0600, "x");
	assert_refused(*state, &s, "cannot unpack 'm'");
	s = (struct source){0};
	put(&s.tar, "n", S_IFLNK | 0777, "/etc");
	put_hardlink(&s.tar, "o", "n/passwd");
	assert_refused(*state, &s,
		       "cannot unpack 'o' of the layer's tar: a hard link to what is not "
		       "in the layer");
}

static void refuses_what_is_over_the_limits(void **state)
{
	struct world *w = *state;
	struct source s = {0};
	struct err err = {0};

	put(&s.tar, "a", S_IFREG | 0600, "123");
	put(&s.tar, "b", S_IFREG | 0600, "123");
	assert_int_equal(
		unpack_limited(w, &s, &(struct untar_limits){.entries = 9, .bytes = 5}, &err), -1);
	assert_string_equal(err.msg, "cannot unpack 'b' of the layer's tar: its size goes beyond "
				     "what the layer may have");
	s.at = 0;
	assert_int_equal(fs_remove_tree_at(AT_FDCWD, world_path(w, "tree"), &err), 0);
	assert_int_equal(
		unpack_limited(w, &s, &(struct untar_limits){.entries = 1, .bytes = 50}, &err), -1);
	assert_string_equal(err.msg, "cannot unpack 'b' of the layer's tar: there are more entries "
				     "than the layer may have");
	buf_done(&s.tar);
}

static void says_what_the_source_said(void **state)
{
	_cleanup_untar_ struct untar *u = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(untar_open(give_nothing, NULL, &plenty, &u, &err), -1);
	assert_string_equal(err.msg, "the cable is out");
	untar_close(&u);
	untar_close(&u);
}

static void says_what_is_damaged(void **state)
{
	struct source s = {0};

	put(&s.tar, "a", S_IFREG | 0600, "123");
	put(&s.tar, "b", S_IFREG | 0600, "123");
	s.tar.p[2 * TAR_BLOCK + 3] ^= 1;
	assert_refused(*state, &s, "cannot read the layer's tar, behind 'a': ");
}

static void a_walk_that_went_nowhere_ends(void **state)
{
	struct unpack_walk w = {0};

	(void)state;
	unpack_walk_done(&w);
	unpack_walk_done(&w);
}

/* Folders deeper than are kept open, in an order that goes up and down, and some that no entry names. */
static void walks_deep_and_back(void **state)
{
	struct world *w = *state;
	_cleanup_buf_ struct buf deep = {0};
	struct source s = {0};
	struct err err = {0};

	for (int i = 0; i < UNPACK_WALK_OPEN + 20; i++)
		buf_printf(&deep, "d%d/", i);
	buf_adds(&deep, "e");
	put(&s.tar, "d0", S_IFDIR | 0700, NULL);
	put(&s.tar, deep.p, S_IFREG | 0444, "deep");
	put(&s.tar, "d0/d1/up", S_IFREG | 0640, "up");
	put(&s.tar, arena_printf(w->a, "%s2", deep.p), S_IFREG | 04755, "deep again");
	/* The beginning of a name is not the folder of that name. */
	put(&s.tar, "d0/d1x/d2/one", S_IFREG | 0600, "");
	put(&s.tar, "d0/.wh.gone", S_IFREG | 0600, "");
	put(&s.tar, "d0/gone/new", S_IFREG | 0600, "");
	put(&s.tar, "d0/d1/d2", S_IFDIR | 0750, NULL);
	put(&s.tar, "top", S_IFREG | 0666, "");
	assert_int_equal(unpack_all(w, &s, &err), 0);

	assert_int_equal(look(w, deep.p).st_mode, S_IFREG | 0444);
	assert_int_equal(look(w, deep.p).st_size, 4);
	assert_int_equal(look(w, arena_printf(w->a, "%s2", deep.p)).st_mode, S_IFREG | 04755);
	assert_int_equal(look(w, "d0/d1/up").st_mode, S_IFREG | 0640);
	assert_int_equal(look(w, "d0/d1x/d2/one").st_size, 0);
	assert_true(is_opaque(w, "d0/gone"));
	assert_int_equal(look(w, "top").st_mode, S_IFREG | 0666);
	/* Modes and times of folders, named and not, are set when all is in them. */
	assert_int_equal(look(w, "d0").st_mode, S_IFDIR | 0700);
	assert_int_equal(look(w, "d0").st_mtime, 1000);
	assert_int_equal(look(w, "d0/d1/d2").st_mode, S_IFDIR | 0750);
	assert_int_equal(look(w, "d0/d1").st_mode, S_IFDIR | 0755);
	assert_int_equal(look(w, "d0/d1").st_mtime, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(makes_every_kind),
		TEST(keeps_owners_where_there_are_some),
		TEST(says_what_helps_against_foreign_owners),
		TEST(walks_deep_and_back),
		TEST(a_walk_that_went_nowhere_ends),
		TEST(keeps_odd_times),
		TEST(keeps_names_as_bytes),
		TEST(makes_holes),
		TEST(turns_whiteouts_into_the_kernels),
		TEST(keeps_the_attributes_of_layers),
		TEST(of_a_folder_twice_the_last_counts),
		TEST(refuses_what_is_twice),
		TEST(refuses_to_go_through_links_and_files),
		TEST(refuses_what_is_over_the_limits),
		TEST(says_what_the_source_said),
		TEST(says_what_is_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
