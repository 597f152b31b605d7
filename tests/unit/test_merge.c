/* Several layers as one, and walking trees: store/merge and store/tree. */
#include "chain_world.h"
#include "store/merge.h"
#include "store/tree.h"

#define LAYERS_MAX 4

/* Trees l0 (the lowest), l1, … and the base. */
struct trees {
	struct world *w;
	int base;
	int v[LAYERS_MAX];
	int out;
};

static int open_dir(const struct world *w, const char *name)
{
	int fd;

	world_mkdir(w, name);
	fd = open(world_path(w, name), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static struct trees trees_new(void **state)
{
	struct trees t = {.w = *state};

	t.base = open_dir(t.w, "base");
	t.out = open_dir(t.w, "out");
	for (int i = 0; i < LAYERS_MAX; i++)
		t.v[i] = open_dir(t.w, arena_printf(t.w->a, "l%d", i));
	return t;
}

static void trees_done(struct trees *t)
{
	(void)close(t->base);
	(void)close(t->out);
	for (int i = 0; i < LAYERS_MAX; i++)
		(void)close(t->v[i]);
}

static void opaque(int fd, const char *name)
{
	xattr(fd, name, "user.overlay.opaque", "y");
}

static const char *text_of(struct trees *t, const struct entry *e)
{
	const char *kind = e->verdict == ENTRY_DELETED ? "-"
			   : e->opaque                 ? "!"
			   : S_ISDIR(e->st.st_mode)    ? "/"
						       : "";

	return arena_printf(t->w->a, "%s%s ", e->path, kind);
}

/* The merged list, as "path/ path path- path! " (folder, file, deletion, opaque folder), trimmed or not. */
static const char *merged(struct trees *t, bool trim)
{
	struct merge m = {0};
	struct err err = {0};
	struct buf b = {0};
	const char *text;

	assert_int_equal(merge_layers(t->w->a, t->v, LAYERS_MAX, &m, &err), 0);
	if (trim)
		assert_int_equal(merge_trim(&m, t->base, &err), 0);
	for (size_t i = 0; i < m.n; i++)
		buf_adds(&b, text_of(t, &m.v[i].entry));
	text = arena_strdup(t->w->a, b.p ? b.p : "");
	buf_done(&b);
	return text;
}

static void the_topmost_counts(void **state)
{
	struct trees t = trees_new(state);
	struct merge m = {0};
	struct err err = {0};

	dir(t.v[0], "d");
	file(t.v[0], "d/f", "old");
	file(t.v[0], "d/g", "old");
	dir(t.v[2], "d");
	file(t.v[2], "d/f", "new");
	file(t.v[1], "d-before", "");
	assert_string_equal(merged(&t, false), "d/ d/f d/g d-before ");
	assert_int_equal(merge_layers(t.w->a, t.v, LAYERS_MAX, &m, &err), 0);
	assert_int_equal(m.v[0].layer, 2);
	assert_int_equal(m.v[1].layer, 2);
	assert_int_equal(m.v[2].layer, 0);
	trees_done(&t);
}

static void deletions_go_through(void **state)
{
	struct trees t = trees_new(state);

	dir(t.v[0], "d");
	file(t.v[0], "d/f", "");
	file(t.v[0], "x", "");
	gone(t.v[1], "d");
	gone(t.v[1], "x");
	file(t.v[2], "x", "");
	/* d stays deleted, because the base may have it; x is there again. */
	assert_string_equal(merged(&t, false), "d- x ");
	/* The base has it not: the name would be listed. */
	assert_string_equal(merged(&t, true), "x ");
	dir(t.base, "d");
	assert_string_equal(merged(&t, true), "d- x ");
	trees_done(&t);
}

static void what_takes_a_place_hides_what_was_there(void **state)
{
	struct trees t = trees_new(state);

	dir(t.v[0], "d");
	file(t.v[0], "d/old", "");
	gone(t.v[1], "d");
	dir(t.v[2], "d");
	file(t.v[2], "d/new", "");
	gone(t.v[2], "d/none");
	dir(t.v[3], "d");
	file(t.v[3], "d/newer", "");
	assert_string_equal(merged(&t, false), "d! d/new d/newer ");
	/* Only where the base has a folder is there something to hide. */
	assert_string_equal(merged(&t, true), "d/ d/new d/newer ");
	file(t.base, "d", "");
	assert_string_equal(merged(&t, true), "d/ d/new d/newer ");
	assert_int_equal(unlinkat(t.base, "d", 0), 0);
	dir(t.base, "d");
	assert_string_equal(merged(&t, true), "d! d/new d/newer ");
	trees_done(&t);
}

static void opaque_folders_cut(void **state)
{
	struct trees t = trees_new(state);

	dir(t.v[0], "d");
	dir(t.v[0], "d/e");
	file(t.v[0], "d/e/old", "");
	dir(t.v[1], "d");
	opaque(t.v[1], "d");
	dir(t.v[1], "d/e");
	opaque(t.v[1], "d/e");
	file(t.v[1], "d/e/new", "");
	dir(t.v[2], "d");
	dir(t.v[2], "d/e");
	gone(t.v[2], "d/e/none");
	/* What hides the outer folder hides the inner one. */
	assert_string_equal(merged(&t, false), "d! d/e/ d/e/new ");
	trees_done(&t);
}

static void a_file_and_a_folder_change_places(void **state)
{
	struct trees t = trees_new(state);

	dir(t.v[0], "a");
	file(t.v[0], "a/x", "");
	file(t.v[1], "a", "");
	file(t.v[0], "b", "");
	dir(t.v[1], "b");
	file(t.v[1], "b/x", "");
	assert_string_equal(merged(&t, false), "a b! b/x ");
	trees_done(&t);
}

static void copies_all_but_the_layers(void **state)
{
	struct trees t = trees_new(state);
	struct merge m = {0};
	struct err err = {0};
	struct stat one;
	struct stat two;
	struct stat in;

	dir(t.v[0], "d");
	file(t.v[0], "d/f", "text");
	assert_int_equal(linkat(t.v[0], "d/f", t.v[0], "d/g", 0), 0);
	xattr(t.v[0], "d/f", "user.a", "1");
	assert_int_equal(symlinkat("d/f", t.v[1], "link"), 0);
	gone(t.v[1], "gone");
	dir(t.v[1], "o");
	opaque(t.v[1], "o");
	assert_int_equal(
		utimensat(t.v[0], "d", (struct timespec[2]){{.tv_sec = 7}, {.tv_sec = 7}}, 0), 0);
	assert_int_equal(merge_layers(t.w->a, t.v, LAYERS_MAX, &m, &err), 0);
	assert_int_equal(merge_copy(t.v, LAYERS_MAX, &m, t.out, &err), 0);
	assert_int_equal(fstatat(t.out, "d/f", &one, 0), 0);
	assert_int_equal(fstatat(t.out, "d/g", &two, 0), 0);
	assert_int_equal(fstatat(t.v[0], "d/f", &in, 0), 0);
	assert_int_equal(one.st_ino, two.st_ino);
	assert_int_equal(one.st_nlink, 2);
	/* Never a hard link into a layer. */
	assert_int_not_equal(one.st_ino, in.st_ino);
	assert_int_equal(in.st_nlink, 2);
	assert_int_equal(one.st_mtim.tv_sec, 1000);
	assert_true(has_xattr(t.out, "d/f", "user.a"));
	assert_true(has_xattr(t.out, "o", "user.overlay.opaque"));
	assert_false(has_xattr(t.out, "d", "user.overlay.opaque"));
	assert_int_equal(fstatat(t.out, "d", &one, 0), 0);
	assert_int_equal(one.st_mtim.tv_sec, 7);
	assert_int_equal(fstatat(t.out, "gone", &one, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISCHR(one.st_mode) && one.st_rdev == 0);
	trees_done(&t);
}

static void a_tree_is_listed_in_order(void **state)
{
	struct trees t = trees_new(state);
	struct entries all = {0};
	struct err err = {0};
	struct buf b = {0};

	dir(t.base, "d");
	opaque(t.base, "d");
	dir(t.base, "d/e");
	file(t.base, "d/e/f", "");
	file(t.base, "d-", "");
	gone(t.base, "a");
	assert_int_equal(symlinkat("d", t.base, "link"), 0);
	assert_int_equal(tree_entries(t.w->a, t.base, &all, &err), 0);
	for (size_t i = 0; i < all.n; i++)
		buf_adds(&b, text_of(&t, &all.v[i]));
	assert_string_equal(b.p, "a- d! d- d/e/ d/e/f link ");
	buf_done(&b);
	trees_done(&t);
}

static void usage_counts_an_inode_once(void **state)
{
	struct trees t = trees_new(state);
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};
	uint64_t before = 1;
	uint64_t once = 1;
	uint64_t after = 1;

	for (int i = 0; i < 20000; i++)
		buf_adds(&b, "x");
	assert_int_equal(tree_usage(t.base, "none", &before, &err), 0);
	assert_int_equal(before, 0);
	assert_int_equal(tree_usage(t.base, ".", &before, &err), 0);
	file(t.base, "f", b.p);
	assert_int_equal(fsync(t.base), 0);
	assert_int_equal(tree_usage(t.base, ".", &once, &err), 0);
	assert_true(once >= before + 20000);
	assert_int_equal(linkat(t.base, "f", t.base, "g", 0), 0);
	assert_int_equal(tree_usage(t.base, ".", &after, &err), 0);
	assert_int_equal(after, once);
	assert_int_equal(tree_usage(t.base, "f", &after, &err), 0);
	assert_int_equal(after, once - before);
	trees_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_topmost_counts),
		TEST(deletions_go_through),
		TEST(what_takes_a_place_hides_what_was_there),
		TEST(opaque_folders_cut),
		TEST(a_file_and_a_folder_change_places),
		TEST(copies_all_but_the_layers),
		TEST(a_tree_is_listed_in_order),
		TEST(usage_counts_an_inode_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
