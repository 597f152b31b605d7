/*
 * A chain that changes, and each state in which a crash can leave it: made by hand, then ended
 * by env_settle, twice.
 */
#include "chain_world.h"
#include "store/env_chain.h"
#include "store/env_kept.h"
#include "store/env_record.h"

/* d/file becomes a part of the layer, d/x.log stays. */
static void fill_upper(const struct site *t, const struct layer_stage *st)
{
	_cleanup_fd_ int upper = openat(t->e.fd, t->e.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int d = folder(upper, "d");
	_cleanup_buf_ struct buf kept = {0};
	struct err err = {0};

	file(d, "file", "committed");
	file(d, "x.log", "kept");
	assert_int_equal(env_kept_add(&kept, "d/x.log", d, &err), 0);
	assert_int_equal(fs_write_atomic(st->fd, CHAIN_KEPT, kept.p, kept.len, 0600, &err), 0);
}

static bool in_env(const struct site *t, const char *name)
{
	return there(t->e.fd, name);
}

static bool in_layer(const struct site *t, const char *name)
{
	return there(t->s.fd, arena_printf(t->w->a, "layers/" DIGEST "/%s", name));
}

/* The commit is whole, and nothing is left over. */
static void assert_committed(const struct site *t)
{
	assert_true(env_is_settled(&t->e));
	assert_null(t->e.stage);
	assert_int_equal(t->e.chain.n, 1);
	assert_string_equal(t->e.chain.v[0].digest, DIGEST);
	assert_string_equal(t->e.chain.v[0].message, "m");
	assert_string_equal(t->e.upper, "upper.2");
	assert_false(t->e.fuse);
	assert_true(in_env(t, "upper.2/d/x.log"));
	assert_false(in_env(t, "upper.2/d/file"));
	assert_false(in_env(t, "upper.1"));
}

static void assert_whole_layer(const struct site *t)
{
	assert_string_equal(t->e.chain.v[0].tree, "tree");
	assert_true(in_layer(t, "tree/d/file"));
	assert_false(in_layer(t, "tree/d/x.log"));
	assert_false(in_layer(t, CHAIN_KEPT));
	assert_int_equal(count(&t->s, "tmp"), 0);
}

static void a_commit_moves_the_upper(void **state)
{
	struct site t = site_new(state);
	struct layer_stage st = stage_new(&t, DIGEST, env_map_name(&t.e));
	const struct commit c = commit_of(DIGEST);
	struct err err = {0};
	struct stat before;
	struct stat after;

	fill_upper(&t, &st);
	assert_int_equal(fstatat(t.e.fd, "upper.1/d/file", &before, 0), 0);
	assert_int_equal(env_commit_upper(t.w->a, &t.s, &t.e, &st, &c, &err), 0);
	layer_stage_done(&st);
	assert_committed(&t);
	assert_whole_layer(&t);
	/* By rename: it is the very file. */
	assert_int_equal(fstatat(t.s.fd, "layers/" DIGEST "/tree/d/file", &after, 0), 0);
	assert_int_equal(before.st_ino, after.st_ino);
	reopen(&t);
	assert_committed(&t);
	site_done(&t);
}

enum step { PENDING, NEW_UPPER, KEPT_FOLDER, KEPT_MOVED, UPPER_MOVED, LIST_GONE, PUBLISHED, STEPS };

/* The steps up to `last`, in the order in which a commit does them. */
static void go_half_way(struct site *t, struct layer_stage *st, enum step last)
{
	struct env pending = t->e;
	struct err err = {0};
	bool fresh;

	pending.stage = st->name;
	pending.pending = commit_of(DIGEST);
	assert_int_equal(env_record_write(t->e.fd, &pending, &err), 0);
	if (last >= NEW_UPPER)
		assert_int_equal(mkdirat(t->e.fd, "upper.2", 0755), 0);
	if (last >= KEPT_FOLDER)
		assert_int_equal(mkdirat(t->e.fd, "upper.2/d", 0700), 0);
	if (last >= KEPT_MOVED)
		assert_int_equal(renameat(t->e.fd, "upper.1/d/x.log", t->e.fd, "upper.2/d/x.log"),
				 0);
	if (last >= UPPER_MOVED)
		assert_int_equal(renameat(t->e.fd, "upper.1", st->fd, LAYER_TREE), 0);
	if (last >= LIST_GONE)
		assert_int_equal(unlinkat(st->fd, CHAIN_KEPT, 0), 0);
	if (last >= PUBLISHED)
		assert_int_equal(layer_publish(&t->s, st, DIGEST, &fresh, &err), 0);
	layer_stage_done(st);
	reopen(t);
}

static void half_way(void **state, enum step last)
{
	struct site t = site_new(state);
	struct layer_stage st = stage_new(&t, DIGEST, env_map_name(&t.e));

	fill_upper(&t, &st);
	go_half_way(&t, &st, last);
	assert_false(env_is_settled(&t.e));
	assert_string_equal(t.e.pending.digest, DIGEST);
	assert_int_equal(t.e.chain.n, 0);
	settle(&t);
	assert_committed(&t);
	assert_whole_layer(&t);
	settle(&t);
	assert_committed(&t);
	reopen(&t);
	assert_committed(&t);
	assert_whole_layer(&t);
	site_done(&t);
}

static void ends_a_commit_that_is_only_told_of(void **state)
{
	half_way(state, PENDING);
}

static void ends_a_commit_with_a_new_upper(void **state)
{
	half_way(state, NEW_UPPER);
}

static void ends_a_commit_with_a_folder_for_the_kept(void **state)
{
	half_way(state, KEPT_FOLDER);
}

static void ends_a_commit_with_the_kept_moved(void **state)
{
	half_way(state, KEPT_MOVED);
}

static void ends_a_commit_with_the_upper_moved(void **state)
{
	half_way(state, UPPER_MOVED);
}

static void ends_a_commit_without_its_list(void **state)
{
	half_way(state, LIST_GONE);
}

static void ends_a_commit_that_is_published(void **state)
{
	half_way(state, PUBLISHED);
}

/* The old upper is left over from a layer that was there before: env.json has the new one already. */
static void removes_uppers_that_nothing_names(void **state)
{
	struct site t = site_new(state);

	dir(t.e.fd, "upper.0");
	dir(t.e.fd, "upper.9");
	file(t.e.fd, "upper.9/x", "");
	file(t.e.fd, "upper.1/mine", "");
	assert_false(env_is_settled(&t.e));
	settle(&t);
	assert_true(env_is_settled(&t.e));
	assert_false(in_env(&t, "upper.0"));
	assert_false(in_env(&t, "upper.9"));
	assert_true(in_env(&t, "upper.1/mine"));
	site_done(&t);
}

static void makes_an_upper_that_is_missing(void **state)
{
	struct site t = site_new(state);
	struct stat st;

	assert_int_equal(unlinkat(t.e.fd, "upper.1", AT_REMOVEDIR), 0);
	assert_false(env_is_settled(&t.e));
	settle(&t);
	assert_int_equal(fstatat(t.e.fd, "upper.1", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777U, 0755);
	site_done(&t);
}

/* Its staging folder is gone although nothing was moved: it never counted. */
static void takes_back_what_has_no_staging_folder(void **state)
{
	struct site t = site_new(state);
	struct layer_stage st = stage_new(&t, DIGEST, env_map_name(&t.e));

	fill_upper(&t, &st);
	layer_stage_remove(&t.s, &st);
	go_half_way(&t, &st, PENDING);
	settle(&t);
	assert_true(env_is_settled(&t.e));
	reopen(&t);
	assert_null(t.e.stage);
	assert_int_equal(t.e.chain.n, 0);
	assert_string_equal(t.e.upper, "upper.1");
	assert_true(in_env(&t, "upper.1/d/file"));
	assert_true(in_env(&t, "upper.1/d/x.log"));
	site_done(&t);
}

static void says_where_everything_is_gone(void **state)
{
	struct site t = site_new(state);
	struct layer_stage st = stage_new(&t, DIGEST, env_map_name(&t.e));
	struct err err = {0};

	layer_stage_remove(&t.s, &st);
	go_half_way(&t, &st, PENDING);
	assert_int_equal(unlinkat(t.e.fd, "upper.1", AT_REMOVEDIR), 0);
	assert_int_equal(env_settle(t.w->a, &t.s, &t.e, &err), -1);
	assert_non_null(strstr(err.msg, "/envs/p-"));
	assert_non_null(strstr(err.msg, "cannot open 'tmp/layer-"));
	assert_int_equal(err.errnum, ENOENT);
	site_done(&t);
}

static void a_layer_that_is_there_is_shared(void **state)
{
	struct site t = site_new(state);
	struct layer_stage st = stage_new(&t, DIGEST, env_map_name(&t.e));
	const struct commit c = commit_of(DIGEST);
	struct err err = {0};

	publish(&t, DIGEST, env_map_name(&t.e));
	fill_upper(&t, &st);
	assert_int_equal(env_commit_upper(t.w->a, &t.s, &t.e, &st, &c, &err), 0);
	assert_committed(&t);
	assert_string_equal(t.e.chain.v[0].tree, "tree");
	/* What was there stays as it is. */
	assert_true(in_layer(&t, "tree/first"));
	assert_false(in_layer(&t, "tree/d"));
	layer_stage_remove(&t.s, &st);
	layer_stage_done(&st);
	site_done(&t);
}

static void a_layer_of_another_map_gets_a_tree_more(void **state)
{
	struct site t = site_new(state);
	struct layer_stage st = stage_new(&t, DIGEST, env_map_name(&t.e));
	const char *tree = arena_printf(t.w->a, "tree-%s", env_map_name(&t.e));

	publish(&t, DIGEST, "another");
	fill_upper(&t, &st);
	go_half_way(&t, &st, KEPT_MOVED);
	settle(&t);
	assert_committed(&t);
	assert_string_equal(t.e.chain.v[0].tree, tree);
	assert_true(in_layer(&t, "tree/first"));
	assert_true(in_layer(&t, arena_printf(t.w->a, "%s/d/file", tree)));
	assert_false(in_layer(&t, arena_printf(t.w->a, "%s/d/x.log", tree)));
	settle(&t);
	assert_committed(&t);
	site_done(&t);
}

/* The crash came when the tree was in the layer, and env.json still told of the commit. */
static void a_tree_that_was_moved_is_used(void **state)
{
	struct site t = site_new(state);
	struct layer_stage st = stage_new(&t, DIGEST, env_map_name(&t.e));
	const char *tree = arena_printf(t.w->a, "tree-%s", env_map_name(&t.e));
	const char *in = arena_printf(t.w->a, "layers/" DIGEST "/%s", tree);

	publish(&t, DIGEST, "another");
	fill_upper(&t, &st);
	go_half_way(&t, &st, KEPT_MOVED);
	assert_int_equal(renameat(t.e.fd, "upper.1", t.s.fd, in), 0);
	settle(&t);
	assert_committed(&t);
	assert_string_equal(t.e.chain.v[0].tree, tree);
	assert_true(in_layer(&t, arena_printf(t.w->a, "%s/d/file", tree)));
	site_done(&t);
}

/* A layer with a tree of its own, as of a running environment. */
static struct layer_stage copied(const struct site *t, const char *digest)
{
	struct layer_stage st = stage_new(t, digest, env_map_name(&t->e));

	dir(st.fd, LAYER_TREE);
	file(st.fd, "tree/copy", "");
	return st;
}

static void a_copied_layer_leaves_the_upper(void **state)
{
	struct site t = site_new(state);
	struct layer_stage st = copied(&t, DIGEST);
	const struct commit c = commit_of(DIGEST);
	struct err err = {0};

	file(t.e.fd, "upper.1/mine", "");
	assert_int_equal(env_commit_layer(t.w->a, &t.s, &t.e, &st, &c, &err), 0);
	layer_stage_done(&st);
	reopen(&t);
	assert_int_equal(t.e.chain.n, 1);
	assert_string_equal(t.e.upper, "upper.1");
	/* It is still in the dialect in which it was written. */
	assert_true(t.e.fuse);
	assert_true(in_env(&t, "upper.1/mine"));
	assert_true(in_layer(&t, "tree/copy"));
	assert_int_equal(count(&t.s, "tmp"), 0);
	site_done(&t);
}

static void a_copied_layer_for_another_map(void **state)
{
	struct site t = site_new(state);
	struct layer_stage st = copied(&t, DIGEST);
	const struct commit c = commit_of(DIGEST);
	const char *tree = arena_printf(t.w->a, "tree-%s", env_map_name(&t.e));
	struct err err = {0};

	publish(&t, DIGEST, "another");
	assert_int_equal(env_commit_layer(t.w->a, &t.s, &t.e, &st, &c, &err), 0);
	assert_string_equal(t.e.chain.v[0].tree, tree);
	assert_true(in_layer(&t, arena_printf(t.w->a, "%s/copy", tree)));
	layer_stage_done(&st);
	site_done(&t);
}

static void one_layer_takes_the_place_of_all(void **state)
{
	struct site t = site_new(state);
	const struct commit c[] = {commit_of(DIGEST), commit_of(OTHER)};
	struct layer_stage st = copied(&t, DIGEST);
	struct err err = {0};

	assert_int_equal(env_commit_layer(t.w->a, &t.s, &t.e, &st, &c[0], &err), 0);
	layer_stage_done(&st);
	st = copied(&t, OTHER);
	assert_int_equal(env_replace_layers(t.w->a, &t.s, &t.e, &st, &c[1], &err), 0);
	layer_stage_done(&st);
	reopen(&t);
	assert_int_equal(t.e.chain.n, 1);
	assert_string_equal(t.e.chain.v[0].digest, OTHER);
	assert_string_equal(t.e.upper, "upper.1");
	site_done(&t);
}

static void another_chain_comes_with_an_empty_upper(void **state)
{
	struct site t = site_new(state);
	struct commit c = commit_of(DIGEST);
	const struct chain chain = {&c, 1};
	struct err err = {0};

	publish(&t, DIGEST, env_map_name(&t.e));
	file(t.e.fd, "upper.1/mine", "");
	assert_int_equal(env_set_chain(t.w->a, &t.s, &t.e, &chain, &err), 0);
	assert_true(env_is_settled(&t.e));
	reopen(&t);
	assert_int_equal(t.e.chain.n, 1);
	assert_string_equal(t.e.upper, "upper.2");
	assert_false(t.e.fuse);
	assert_false(in_env(&t, "upper.1"));
	assert_false(in_env(&t, "upper.2/mine"));
	site_done(&t);
}

static void tells_what_was_changed_meanwhile(void **state)
{
	struct site t = site_new(state);
	struct env old = t.e;
	struct err err = {0};

	assert_int_equal(env_check_current(&t.e, &err), 0);
	assert_int_equal(env_set_chain(t.w->a, &t.s, &t.e, &(struct chain){0}, &err), 0);
	assert_int_equal(env_check_current(&t.e, &err), 0);
	assert_int_equal(env_check_current(&old, &err), -1);
	assert_int_equal(err.errnum, ESTALE);
	assert_non_null(strstr(err.msg, "was changed just now"));
	site_done(&t);
}

static void tells_another_chain_of_the_same_upper(void **state)
{
	struct site t = site_new(state);
	struct env old = t.e;
	struct layer_stage st = copied(&t, DIGEST);
	const struct commit c = commit_of(DIGEST);
	struct err err = {0};

	assert_int_equal(env_commit_layer(t.w->a, &t.s, &t.e, &st, &c, &err), 0);
	layer_stage_done(&st);
	assert_int_equal(env_check_current(&old, &err), -1);
	assert_int_equal(err.errnum, ESTALE);
	/* What is pending counts too. */
	old = t.e;
	old.stage = "layer-x";
	assert_int_equal(env_check_current(&old, &err), -1);
	site_done(&t);
}

static struct chain chain_of(struct site *t, size_t n)
{
	static const char *const digests[] = {DIGEST, OTHER};
	struct commit *v = arena_alloc(t->w->a, 2 * sizeof(*v));

	for (size_t i = 0; i < n; i++)
		v[i] = commit_of(digests[i]);
	return (struct chain){v, n};
}

static void set_chain(struct site *t, size_t n)
{
	const struct chain chain = chain_of(t, n);
	struct err err = {0};

	assert_int_equal(env_set_chain(t->w->a, &t->s, &t->e, &chain, &err), 0);
	reopen(t);
}

/* One can go back to it. */
static void what_a_reset_leaves_is_remembered(void **state)
{
	struct site t = site_new(state);

	set_chain(&t, 2);
	assert_int_equal(t.e.previous.n, 0);
	set_chain(&t, 1);
	assert_int_equal(t.e.previous.n, 2);
	assert_string_equal(t.e.previous.v[1].digest, OTHER);
	/* A plain one loses nothing more. */
	set_chain(&t, 1);
	assert_int_equal(t.e.previous.n, 2);
	set_chain(&t, 2);
	assert_int_equal(t.e.previous.n, 2);
	set_chain(&t, 0);
	assert_int_equal(t.e.previous.n, 2);
	site_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_commit_moves_the_upper),
		TEST(ends_a_commit_that_is_only_told_of),
		TEST(ends_a_commit_with_a_new_upper),
		TEST(ends_a_commit_with_a_folder_for_the_kept),
		TEST(ends_a_commit_with_the_kept_moved),
		TEST(ends_a_commit_with_the_upper_moved),
		TEST(ends_a_commit_without_its_list),
		TEST(ends_a_commit_that_is_published),
		TEST(removes_uppers_that_nothing_names),
		TEST(makes_an_upper_that_is_missing),
		TEST(takes_back_what_has_no_staging_folder),
		TEST(says_where_everything_is_gone),
		TEST(a_layer_that_is_there_is_shared),
		TEST(a_layer_of_another_map_gets_a_tree_more),
		TEST(a_tree_that_was_moved_is_used),
		TEST(a_copied_layer_leaves_the_upper),
		TEST(a_copied_layer_for_another_map),
		TEST(one_layer_takes_the_place_of_all),
		TEST(another_chain_comes_with_an_empty_upper),
		TEST(tells_what_was_changed_meanwhile),
		TEST(tells_another_chain_of_the_same_upper),
		TEST(what_a_reset_leaves_is_remembered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
