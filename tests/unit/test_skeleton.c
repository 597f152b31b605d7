#include <errno.h>

#include "store/skeleton.h"
#include "store_world.h"

#define WHOLE "header\0contentpaddingend"

static int open_world(const struct world *w)
{
	int fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int write_one(const struct world *w, uint64_t size)
{
	_cleanup_fd_ int fd = open_world(w);
	struct skeleton_writer *s = NULL;
	struct err err = {0};

	(void)unlinkat(fd, "s.zst", 0);
	assert_int_equal(skeleton_create(fd, "s.zst", &s, &err), 0);
	assert_int_equal(skeleton_raw(s, "head", 4, &err), 0);
	assert_int_equal(skeleton_raw(s, "er\0", 3, &err), 0);
	assert_int_equal(skeleton_file(s, "d/file", size, &err), 0);
	assert_int_equal(skeleton_raw(s, "padding", 7, &err), 0);
	assert_int_equal(skeleton_file(s, "empty", 0, &err), 0);
	assert_int_equal(skeleton_raw(s, "end", 3, &err), 0);
	return skeleton_finish(s, &err);
}

/* All bytes, read `step` at a time; -1 with `err`. */
static int read_all(const struct world *w, size_t step, struct buf *ret, struct err *err)
{
	_cleanup_fd_ int fd = open_world(w);
	_cleanup_skeleton_ struct skeleton_reader *r = NULL;
	char space[64];
	ssize_t n;

	assert_true(step <= sizeof(space));
	if (skeleton_open(fd, "s.zst", fd, &r, err) < 0)
		return -1;
	while ((n = skeleton_read(r, space, step, err)) > 0)
		buf_add(ret, space, (size_t)n);
	return (int)n;
}

static void make_tree(const struct world *w)
{
	world_mkdir(w, "d");
	world_write(w, "d/file", "content");
	world_write(w, "empty", "");
}

static void gives_back_the_bytes(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	make_tree(w);
	assert_int_equal(write_one(w, 7), 0);
	for (size_t step = 1; step <= 64; step += 9) {
		_cleanup_buf_ struct buf b = {0};

		assert_int_equal(read_all(w, step, &b, &err), 0);
		assert_int_equal(b.len, sizeof(WHOLE) - 1);
		assert_memory_equal(b.p, WHOLE, b.len);
	}
}

static void assert_damage(const struct world *w, const char *message)
{
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	assert_int_equal(read_all(w, 64, &b, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	assert_non_null(strstr(err.msg, message));
}

static void names_the_file_that_is_wrong(void **state)
{
	struct world *w = *state;

	make_tree(w);
	assert_int_equal(write_one(w, 8), 0);
	assert_damage(w, "'d/file' of the layer is no plain file of 8 bytes");
	assert_int_equal(write_one(w, 7), 0);
	assert_int_equal(unlink(world_path(w, "empty")), 0);
	assert_damage(w, "cannot read 'empty' of the layer: No such file");
	/* A link is not followed, wherever it leads. */
	assert_int_equal(unlink(world_path(w, "d/file")), 0);
	assert_int_equal(symlink("../other", world_path(w, "d/file")), 0);
	world_write(w, "other", "content");
	assert_damage(w, "cannot read 'd/file' of the layer: Too many levels");
}

static void sees_damage_of_the_skeleton(void **state)
{
	struct world *w = *state;
	_cleanup_fd_ int fd = -1;
	struct stat st;
	char byte;

	make_tree(w);
	assert_int_equal(write_one(w, 7), 0);
	fd = open(world_path(w, "s.zst"), O_RDWR | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	/* Any flipped bit: a header that is none, or a checksum that is wrong. */
	for (off_t at = 0; at < st.st_size; at++) {
		_cleanup_buf_ struct buf b = {0};
		struct err err = {0};

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		/* Some bits of the format mean nothing: then the bytes are right. */
		if (read_all(w, 64, &b, &err) == 0 &&
		    (b.len != sizeof(WHOLE) - 1 || memcmp(b.p, WHOLE, b.len) != 0))
			fail_msg("byte %lld: nobody saw it", (long long)at);
		byte ^= 1;
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	for (off_t size = 0; size < st.st_size; size++) {
		_cleanup_buf_ struct buf b = {0};
		struct err err = {0};

		assert_int_equal(write_one(w, 7), 0);
		assert_int_equal(truncate(world_path(w, "s.zst"), size), 0);
		assert_int_equal(read_all(w, 64, &b, &err), -1);
	}
}

static void an_old_one_is_not_overwritten(void **state)
{
	struct world *w = *state;
	_cleanup_fd_ int fd = open_world(w);
	struct skeleton_writer *s = NULL;
	struct err err = {0};

	world_write(w, "s.zst", "old");
	assert_int_equal(skeleton_create(fd, "s.zst", &s, &err), -1);
	assert_int_equal(err.errnum, EEXIST);
	assert_null(s);
	skeleton_abort(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(gives_back_the_bytes),
		TEST(names_the_file_that_is_wrong),
		TEST(sees_damage_of_the_skeleton),
		TEST(an_old_one_is_not_overwritten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
