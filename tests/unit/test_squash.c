/* Layers made one, and a store that is checked: store/squash, store/fsck, store/fsck_tree. */
#include "chain_world.h"
#include "store/env_record.h"
#include "store/fsck.h"
#include "store/fsck_tree.h"
#include "store/squash.h"

struct place {
	struct site t;
	int base, upper;
};

static struct place place_new(void **state)
{
	struct place p = {.t = site_new(state), .upper = -1};
	struct err err = {0};

	world_mkdir(p.t.w, "base");
	p.base = open(world_path(p.t.w, "base"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	p.t.e.fuse = false;
	assert_int_equal(env_record_write(p.t.e.fd, &p.t.e, &err), 0);
	reopen(&p.t);
	return p;
}

static void place_done(struct place *p)
{
	(void)close(p->base);
	site_done(&p->t);
}

static struct commit_input input_of(struct place *p)
{
	return (struct commit_input){.store = &p->t.s,
				     .env = &p->t.e,
				     .lower = p->base,
				     .upper = p->upper,
				     .newest = INT64_MAX,
				     .message = "m",
				     .by = "a test"};
}

/* What fill makes in the upper folder becomes a layer. */
static void add_layer(struct place *p, void (*fill)(int upper))
{
	struct commit_input in;
	struct commit_result r = {0};
	struct err err = {0};

	p->upper = openat(p->t.e.fd, p->t.e.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->upper >= 0);
	fill(p->upper);
	in = input_of(p);
	if (commit_make(p->t.w->a, &in, &r, &err) < 0)
		fail_msg("%s", err.msg);
	assert_false(r.empty);
	(void)close(p->upper);
	p->upper = -1;
	reopen(&p->t);
}

static void first(int upper)
{
	dir(upper, "d");
	file(upper, "d/f", "one");
	file(upper, "d/g", "one");
	file(upper, "x", "one");
}

static void second(int upper)
{
	dir(upper, "d");
	file(upper, "d/f", "second");
	file(upper, "y", "two");
	gone(upper, "b");
}

static void one_layer_of_two(void **state)
{
	struct place p = place_new(state);
	struct commit_input in;
	struct commit_result r = {0};
	struct layer_info info;
	_cleanup_fd_ int layer = -1;
	struct err err = {0};

	file(p.base, "b", "base");
	add_layer(&p, first);
	add_layer(&p, second);
	assert_int_equal(p.t.e.chain.n, 2);
	in = input_of(&p);
	if (squash(p.t.w->a, &in, &r, &err) < 0)
		fail_msg("%s", err.msg);
	reopen(&p.t);
	assert_int_equal(p.t.e.chain.n, 1);
	assert_string_equal(p.t.e.chain.v[0].digest, r.digest);
	assert_int_equal(layer_open(p.t.w->a, &p.t.s, r.digest, &layer, &info, &err), 0);
	assert_int_equal(info.bytes, strlen("second") + strlen("one") * 2 + strlen("two"));
	assert_true(there(layer, "tree/b"));
	assert_true(there(layer, "tree/d/g"));
	assert_int_equal(count(&p.t.s, "tmp"), 0);
	/* The others stay: whether something needs them is gc's to say. */
	assert_int_equal(count(&p.t.s, "layers"), 3);
	place_done(&p);
}

static void note(void *ctx, const char *what)
{
	buf_adds(ctx, what);
	buf_adds(ctx, "\n");
}

/* All that fsck_tree says of the layer. */
static const char *said_of(struct place *p, const char *digest)
{
	_cleanup_fd_ int layer = -1;
	_cleanup_buf_ struct buf b = {0};
	struct layer_info info;
	struct fsck_tree t = {
		.tree = LAYER_TREE, .digest = digest, .owners = false, .tell = note, .ctx = &b};
	struct err err = {0};

	assert_int_equal(layer_open(p->t.w->a, &p->t.s, digest, &layer, &info, &err), 0);
	t.layer_fd = layer;
	t.tar_size = info.tar_size;
	if (fsck_tree(&t, &err) < 0)
		fail_msg("%s", err.msg);
	return arena_strdup(p->t.w->a, b.p ? b.p : "");
}

static void a_sound_tree_is_nothing_to_speak_of(void **state)
{
	struct place p = place_new(state);

	add_layer(&p, first);
	assert_string_equal(said_of(&p, p.t.e.chain.v[0].digest), "");
	place_done(&p);
}

static void each_difference_is_told(void **state)
{
	struct place p = place_new(state);
	const char *digest;
	_cleanup_fd_ int tree = -1;

	add_layer(&p, first);
	digest = p.t.e.chain.v[0].digest;
	tree = openat(p.t.s.fd, arena_printf(p.t.w->a, "layers/%s/tree", digest),
		      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fchmodat(tree, "x", 0600, 0), 0);
	file(tree, "d/more", "");
	gone(tree, "d/no");
	xattr(tree, "d", "user.overlay.opaque", "y");
	assert_int_equal(
		utimensat(tree, "d/g", (struct timespec[2]){{.tv_sec = 7}, {.tv_sec = 7}}, 0), 0);
	assert_int_equal(
		utimensat(tree, "d", (struct timespec[2]){{.tv_sec = 8}, {.tv_sec = 8}}, 0), 0);
	{
		const char *said = said_of(&p, digest);

		assert_non_null(strstr(said, "tree/x: the mode is 0600, not 0644\n"));
		assert_non_null(strstr(said, "tree/d/more: it does not belong there\n"));
		assert_non_null(strstr(said, "tree/d/no: it does not belong there\n"));
		assert_non_null(strstr(said, "tree/d: it hides what lies below\n"));
		assert_non_null(strstr(said, "tree/d/g: the time is 7, not 1000\n"));
		assert_non_null(strstr(said, "tree/d: the time is 8, not "));
	}
	place_done(&p);
}

static void many_differences_are_counted(void **state)
{
	struct place p = place_new(state);
	const char *digest;
	const char *said;
	_cleanup_fd_ int tree = -1;

	add_layer(&p, first);
	digest = p.t.e.chain.v[0].digest;
	tree = openat(p.t.s.fd, arena_printf(p.t.w->a, "layers/%s/tree", digest),
		      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < FSCK_TOLD_MAX + 5; i++)
		file(tree, arena_printf(p.t.w->a, "more%d", i), "");
	said = said_of(&p, digest);
	assert_non_null(strstr(said, "tree/: 5 differences more\n"));
	place_done(&p);
}

static void contents_are_told_by_the_digest(void **state)
{
	struct place p = place_new(state);
	const char *digest;
	_cleanup_fd_ int tree = -1;

	add_layer(&p, first);
	digest = p.t.e.chain.v[0].digest;
	tree = openat(p.t.s.fd, arena_printf(p.t.w->a, "layers/%s/tree", digest),
		      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	file(tree, "x", "eno");
	assert_non_null(strstr(said_of(&p, digest),
			       "the contents of a file in tree/ or of skeleton.zst "
			       "are not what they were"));
	/* Another size is a failure of reading. */
	file(tree, "x", "longer");
	assert_non_null(strstr(said_of(&p, digest), "'x'"));
	place_done(&p);
}

static void what_a_damage_hurts_is_named(void **state)
{
	struct place p = place_new(state);
	struct findings f = {.a = p.t.w->a};
	struct fsck_jobs jobs = {0};
	struct roots roots;
	struct err err = {0};
	struct fsck_aside n = {0};

	add_layer(&p, first);
	add_layer(&p, second);
	assert_int_equal(fsck_layers(&p.t.s, &f, &jobs, &err), 0);
	assert_int_equal(f.n, 0);
	assert_int_equal(jobs.n, 2);
	assert_true(jobs.v[0].main);
	assert_string_equal(jobs.v[0].map, env_map_name(&p.t.e));

	assert_int_equal(
		unlinkat(p.t.s.fd,
			 arena_printf(p.t.w->a, "layers/%s/layer.json", p.t.e.chain.v[1].digest),
			 0),
		0);
	assert_int_equal(fsck_layers(&p.t.s, &f, &jobs, &err), 0);
	assert_int_equal(f.n, 1);
	assert_int_equal(roots_read(p.t.w->a, &p.t.s, &roots, &err), 0);
	fsck_roots(&p.t.s, &roots, &f);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.v[1].kind, FSCK_ENVIRONMENT);
	assert_string_equal(f.v[1].what, arena_printf(p.t.w->a, "its layer %.12s (m) is damaged",
						      p.t.e.chain.v[1].digest));
	assert_string_equal(f.v[1].hint, arena_printf(p.t.w->a,
						      "sbx reset -C /p -e default %.12s goes back "
						      "to what lies below",
						      p.t.e.chain.v[0].digest));
	assert_int_equal(fsck_quarantine(&p.t.s, &f, &n, &err), 0);
	assert_int_equal(n.layers, 1);
	assert_int_equal(n.blobs, 0);
	assert_int_equal(count(&p.t.s, "quarantine"), 1);
	assert_int_equal(count(&p.t.s, "layers"), 1);
	f.n = 0;
	fsck_roots(&p.t.s, &roots, &f);
	assert_int_equal(f.n, 1);
	assert_non_null(strstr(f.v[0].what, "(m) is not there"));
	place_done(&p);
}

static void damaged_trees_of_other_maps_go(void **state)
{
	struct place p = place_new(state);
	struct findings f = {.a = p.t.w->a};
	const char *other;
	struct err err = {0};

	add_layer(&p, first);
	other = arena_printf(p.t.w->a, "layers/%s/tree-other", p.t.e.chain.v[0].digest);
	assert_int_equal(mkdirat(p.t.s.fd, other, 0755), 0);
	findings_add(&f, &(struct finding){.kind = FSCK_LAYER,
					   .name = p.t.e.chain.v[0].digest,
					   .tree = "tree-other",
					   .what = "it is bad"});
	assert_int_equal(fsck_drop_trees(&p.t.s, &f, "third", &err), 0);
	assert_true(there(p.t.s.fd, other));
	assert_int_equal(fsck_drop_trees(&p.t.s, &f, "other", &err), 0);
	assert_false(there(p.t.s.fd, other));
	assert_int_equal(count(&p.t.s, "tmp"), 1);
	place_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_layer_of_two),
		TEST(a_sound_tree_is_nothing_to_speak_of),
		TEST(each_difference_is_told),
		TEST(many_differences_are_counted),
		TEST(contents_are_told_by_the_digest),
		TEST(what_a_damage_hurts_is_named),
		TEST(damaged_trees_of_other_maps_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
