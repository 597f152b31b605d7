/*
 * Layers that were committed while the sandbox ran, and what was deleted since.
 */
#include "chain_world.h"
#include "store/floating.h"

/* A layer with d/{a,b,sub/x}, w, and a whiteout, on top of the chain while the sandbox ran. */
static void float_layer(struct site *t)
{
	struct layer_stage st = stage_new(t, DIGEST, env_map_name(&t->e));
	const struct commit c = commit_of(DIGEST);
	_cleanup_fd_ int tree = folder(st.fd, LAYER_TREE);
	struct err err = {0};

	dir(tree, "d");
	dir(tree, "d/sub");
	file(tree, "d/a", "1");
	file(tree, "d/b", "1");
	file(tree, "d/sub/x", "1");
	file(tree, "w", "1");
	gone(tree, "never");
	assert_int_equal(env_commit_layer(t->w->a, &t->s, &t->e, &st, &c, &err), 0);
	layer_stage_done(&st);
	reopen(t);
}

static int open_upper(const struct site *t)
{
	int fd = openat(t->e.fd, t->e.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int layer_fd(const struct site *t)
{
	int fd = openat(t->s.fd, "layers/" DIGEST "/tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static const char *changes(const struct site *t, int upper, const char *const *exclude)
{
	_cleanup_fd_ int lower = layer_fd(t);
	const struct diff_input in = {.lower = lower, .upper = upper, .exclude = exclude};
	const char *text = "";
	struct entries all;
	struct err err = {0};

	assert_int_equal(floating_diff(t->w->a, &t->s, &t->e, &in, &all, &err), 0);
	for (size_t i = 0; i < all.n; i++)
		text = arena_printf(t->w->a, "%s%s", text, one_line(t->w->a, &all.v[i]));
	return text;
}

static bool is_gone(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == 0;
}

static void what_is_gone_is_deleted(void **state)
{
	static const char *const patterns[] = {"w", NULL};
	struct site t = site_new(state);
	_cleanup_fd_ int upper = -1;

	float_layer(&t);
	assert_int_equal(t.e.below, 0);
	assert_int_equal(t.e.chain.n, 1);
	assert_false(env_is_settled(&t.e));
	upper = open_upper(&t);
	dir(upper, "d");
	file(upper, "d/b", "1");
	file(upper, "new", "1");
	assert_string_equal(changes(&t, upper, NULL), "p d/\nD d/a\n= d/b\nD d/sub/\nA new\nD w\n");
	assert_string_equal(changes(&t, upper, patterns),
			    "p d/\nD d/a\n= d/b\nD d/sub/\nA new\nD w excluded\n");
	/* A whiteout says so itself, and a file in a folder's place hides all that was below. */
	gone(upper, "w");
	file(upper, "d/sub", "1");
	file(upper, "d/a", "1");
	assert_string_equal(changes(&t, upper, NULL),
			    "p d/\n= d/a\n= d/b\nM d/sub type\nA new\nD w\n");
	site_done(&t);
}

static void an_opaque_folder_hides_by_itself(void **state)
{
	struct site t = site_new(state);
	_cleanup_fd_ int upper = -1;

	float_layer(&t);
	upper = open_upper(&t);
	dir(upper, "d");
	xattr(upper, "d", "user.overlay.opaque", "y");
	file(upper, "d/a", "1");
	file(upper, "w", "1");
	assert_string_equal(changes(&t, upper, NULL),
			    "p d/ opaque\n= d/a covered\nH d/b\nH d/sub/\n= w\n");
	settle(&t);
	assert_false(there(upper, "d/b"));
	site_done(&t);
}

static void settling_leaves_whiteouts(void **state)
{
	struct site t = site_new(state);
	_cleanup_fd_ int upper = -1;

	float_layer(&t);
	upper = open_upper(&t);
	dir(upper, "d");
	file(upper, "d/b", "1");
	/* Twice: a crash may come before env.json says that it is done. */
	for (int i = 0; i < 2; i++) {
		struct err err = {0};

		assert_int_equal(floating_settle(t.w->a, &t.s, &t.e, &err), 0);
		assert_true(is_gone(upper, "w"));
		assert_true(is_gone(upper, "d/a"));
		assert_true(is_gone(upper, "d/sub"));
		assert_false(is_gone(upper, "d/b"));
		assert_false(there(upper, "never"));
	}
	settle(&t);
	reopen(&t);
	assert_true(env_is_settled(&t.e));
	assert_int_equal(t.e.below, 1);
	assert_string_equal(changes(&t, upper, NULL), "p d/\nD d/a\n= d/b\nD d/sub/\nD w\n");
	site_done(&t);
}

/* A second layer, on top of the first, whose tree deletes the folder d and has w once more. */
static void float_another(struct site *t)
{
	struct layer_stage st = stage_new(t, OTHER, env_map_name(&t->e));
	const struct commit c = commit_of(OTHER);
	_cleanup_fd_ int tree = folder(st.fd, LAYER_TREE);
	struct err err = {0};

	gone(tree, "d");
	file(tree, "w", "2");
	assert_int_equal(env_commit_layer(t->w->a, &t->s, &t->e, &st, &c, &err), 0);
	layer_stage_done(&st);
	reopen(t);
}

/* Else the kernel would list the name of a whiteout in a folder below which there is none. */
static void what_a_newer_layer_hides_gets_no_whiteout(void **state)
{
	struct site t = site_new(state);
	_cleanup_fd_ int upper = -1;
	struct err err = {0};

	float_layer(&t);
	float_another(&t);
	assert_int_equal(t.e.below, 0);
	upper = open_upper(&t);
	dir(upper, "d");
	file(upper, "d/new", "1");
	assert_int_equal(floating_settle(t.w->a, &t.s, &t.e, &err), 0);
	assert_false(there(upper, "d/a"));
	assert_false(there(upper, "d/sub"));
	assert_true(is_gone(upper, "w"));
	site_done(&t);
}

static void a_mark_of_fuse_overlayfs_counts(void **state)
{
	struct site t = site_new(state);
	_cleanup_fd_ int upper = -1;
	struct err err = {0};

	float_layer(&t);
	assert_true(t.e.fuse);
	upper = open_upper(&t);
	dir(upper, "d");
	file(upper, "d/b", "1");
	file(upper, ".wh.w", "");
	assert_int_equal(floating_settle(t.w->a, &t.s, &t.e, &err), 0);
	assert_false(there(upper, "w"));
	assert_true(is_gone(upper, "d/a"));
	site_done(&t);
}

/* A second layer, that commits what was deleted of the first one while the sandbox ran on. */
static void float_opaque(struct site *t)
{
	struct layer_stage st = stage_new(t, OTHER, env_map_name(&t->e));
	const struct commit c = commit_of(OTHER);
	_cleanup_fd_ int tree = folder(st.fd, LAYER_TREE);
	struct err err = {0};

	dir(tree, "d");
	gone(tree, "d/sub");
	xattr(tree, "d", "user.overlay.opaque", "y");
	file(tree, "d/b", "2");
	file(tree, "w", "2");
	assert_int_equal(env_commit_layer(t->w->a, &t->s, &t->e, &st, &c, &err), 0);
	layer_stage_done(&st);
	reopen(t);
}

static void what_a_later_layer_hides_needs_no_whiteout(void **state)
{
	struct site t = site_new(state);
	_cleanup_fd_ int upper = -1;
	struct err err = {0};

	float_layer(&t);
	float_opaque(&t);
	assert_int_equal(t.e.chain.n, 2);
	assert_int_equal(t.e.below, 0);
	upper = open_upper(&t);
	dir(upper, "d");
	dir(upper, "d/sub");
	assert_int_equal(floating_settle(t.w->a, &t.s, &t.e, &err), 0);
	/* Deleted in the later layer, and made anew. */
	assert_false(there(upper, "d/sub/x"));
	/* Hidden by its opaque folder. */
	assert_false(there(upper, "d/a"));
	assert_true(is_gone(upper, "d/b"));
	assert_true(is_gone(upper, "w"));
	site_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_gone_is_deleted),
		TEST(an_opaque_folder_hides_by_itself),
		TEST(settling_leaves_whiteouts),
		TEST(what_a_newer_layer_hides_gets_no_whiteout),
		TEST(a_mark_of_fuse_overlayfs_counts),
		TEST(what_a_later_layer_hides_needs_no_whiteout),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
