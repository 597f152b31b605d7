/* Two readers of one tar must agree: store/split and store/split_header.  Hostile ones: tests/fuzz/hostile_load.py. */
#include <errno.h>

#include "store/skeleton.h"
#include "store/split.h"
#include "store/split_header.h"
#include "store/tar.h"
#include "store_world.h"

struct setup {
	struct skeleton_writer *w;
	struct split *split;
	int dir;
};

static struct setup begin(const struct world *w)
{
	struct setup s = {.dir = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	struct err err = {0};

	assert_int_equal(skeleton_create(s.dir, "skeleton", &s.w, &err), 0);
	s.split = split_new(s.w);
	return s;
}

static void end(struct setup *s)
{
	split_free(&s->split);
	skeleton_abort(&s->w);
	(void)unlinkat(s->dir, "skeleton", 0);
	(void)close(s->dir);
}

static void put(struct buf *tar, const char *path, const char *text)
{
	struct stat st = {.st_mode = S_IFREG | 0644, .st_size = (off_t)strlen(text)};
	struct tar_entry e = {.path = path, .st = &st};
	static const char zeros[TAR_BLOCK];

	tar_header(tar, &e);
	buf_adds(tar, text);
	buf_add(tar, zeros, tar_padding(strlen(text)));
}

static struct untar_entry entry(const char *path, uint64_t size)
{
	return (struct untar_entry){.kind = UNTAR_FILE, .path = path, .size = size};
}

/* Skeleton and files give the bytes back, wherever the pieces were cut. */
static void keeps_all_but_the_contents(void **state)
{
	struct world *w = *state;
	_cleanup_buf_ struct buf tar = {0};

	put(&tar, "a", "text of a");
	put(&tar, "b", "");
	put(&tar, "c", "and of c");
	tar_end(&tar);
	world_mkdir(w, "tree");
	world_write(w, "tree/a", "text of a");
	world_write(w, "tree/c", "and of c");
	for (size_t piece = 1; piece <= tar.len; piece = piece * 3 + 1) {
		struct setup s = begin(w);
		_cleanup_skeleton_ struct skeleton_reader *r = NULL;
		struct untar_entry entries[] = {entry("a", 9), entry("b", 0), entry("c", 8)};
		uint64_t at[] = {0, 1024, 1536};
		_cleanup_buf_ struct buf got = {0};
		struct err err = {0};
		char block[100];
		ssize_t n;
		int tree;

		for (size_t i = 0; i < tar.len; i += piece)
			assert_int_equal(split_feed(s.split, tar.p + i,
						    piece < tar.len - i ? piece : tar.len - i,
						    &err),
					 0);
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(split_entry(s.split, &entries[i], at[i], &err), 0);
		assert_int_equal(split_end(s.split, &err), 0);
		assert_int_equal(split_entries(s.split), 3);
		assert_int_equal(split_contents(s.split), 17);
		assert_int_equal(skeleton_finish(TAKE_PTR(s.w), &err), 0);
		tree = openat(s.dir, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_int_equal(skeleton_open(s.dir, "skeleton", tree, &r, &err), 0);
		while ((n = skeleton_read(r, block, sizeof(block), &err)) > 0)
			buf_add(&got, block, (size_t)n);
		assert_int_equal(n, 0);
		assert_int_equal(got.len, tar.len);
		assert_memory_equal(got.p, tar.p, tar.len);
		(void)close(tree);
		end(&s);
	}
}

static void the_other_reader_must_say_the_same(void **state)
{
	struct world *w = *state;
	const struct {
		struct untar_entry e;
		uint64_t at;
	} said[] = {{entry("a", 8), 0}, {entry("a", 9), 512}, {entry("a", 0), 0}};
	struct untar_entry folder = {.kind = UNTAR_FOLDER, .path = "a", .size = 9};

	for (size_t i = 0; i < 5; i++) {
		struct setup s = begin(w);
		_cleanup_buf_ struct buf tar = {0};
		struct err err = {0};

		put(&tar, "a", "text of a");
		tar_end(&tar);
		assert_int_equal(split_feed(s.split, tar.p, tar.len, &err), 0);
		if (i < 3)
			assert_int_equal(split_entry(s.split, &said[i].e, said[i].at, &err), -1);
		else if (i == 3)
			assert_int_equal(split_entry(s.split, &folder, 0, &err), -1);
		else /* It says nothing of it. */
			assert_int_equal(split_end(s.split, &err), -1);
		assert_int_equal(err.errnum, EBADMSG);
		assert_non_null(strstr(err.msg, "readers of tar understand it differently"));
		end(&s);
	}
}

static void an_entry_that_is_not_there(void **state)
{
	struct world *w = *state;
	struct setup s = begin(w);
	struct untar_entry e = entry("a", 0);
	struct err err = {0};

	assert_int_equal(split_entry(s.split, &e, 0, &err), -1);
	assert_non_null(strstr(err.msg, "'a' of the layer's tar: readers of tar understand"));
	end(&s);
}

static void read_size(const char *field, size_t n, int want, uint64_t size)
{
	unsigned char block[TAR_BLOCK] = "name";
	struct split_header h = {0};
	struct err err = {0};

	memcpy(block + 124, field, n);
	assert_int_equal(split_header_read(block, &h, &err), want);
	if (want == 0)
		assert_int_equal(h.size, size);
	else
		assert_string_equal(err.msg, "cannot unpack 'name' of the layer's tar: its size is "
					     "no number");
}

static void sizes_in_all_spellings(void **state)
{
	(void)state;
	read_size("00000000010", 12, 0, 8);
	read_size("         10 ", 12, 0, 8);
	read_size("777777777777", 12, 0, 077777777777777 >> 6);
	read_size("", 0, 0, 0);
	read_size("\x80\0\0\0\0\0\0\0\0\0\1\2", 12, 0, 258);
	read_size("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12, 0, INT64_MAX);
	read_size("\x80\0\0\0\x80\0\0\0\0\0\0\0", 12, -1, 0);
	read_size("\x80\0\0\1\0\0\0\0\0\0\0\0", 12, -1, 0);
	read_size("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, -1, 0);
	read_size("00000000008", 12, -1, 0);
	read_size("10 00000010", 12, -1, 0);
	read_size("-0000000010", 12, -1, 0);
}

static void nothing_is_freed_for_nothing(void **state)
{
	(void)state;
	split_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(keeps_all_but_the_contents),   TEST(the_other_reader_must_say_the_same),
		TEST(an_entry_that_is_not_there),   TEST(sizes_in_all_spellings),
		TEST(nothing_is_freed_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
