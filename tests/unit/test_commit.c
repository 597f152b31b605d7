#include "chain_world.h"
#include "store/commit.h"
#include "store/env_record.h"

/* An environment over an empty base, its upper folder opened. */
struct place {
	struct site t;
	int lower, upper;
};

static void open_upper(struct place *p)
{
	if (p->upper >= 0)
		(void)close(p->upper);
	p->upper = openat(p->t.e.fd, p->t.e.upper, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->upper >= 0);
}

static struct place place_new(void **state)
{
	struct place p = {.t = site_new(state), .upper = -1};
	struct err err = {0};

	world_mkdir(p.t.w, "lower");
	p.lower = open(world_path(p.t.w, "lower"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(p.lower >= 0);
	p.t.e.fuse = false;
	assert_int_equal(env_record_write(p.t.e.fd, &p.t.e, &err), 0);
	open_upper(&p);
	return p;
}

static void place_done(struct place *p)
{
	(void)close(p->lower);
	(void)close(p->upper);
	site_done(&p->t);
}

static struct commit_input input_of(struct place *p)
{
	return (struct commit_input){
		.store = &p->t.s,
		.env = &p->t.e,
		.lower = p->lower,
		.upper = p->upper,
		.now = 1234,
		.newest = 900,
		.message = "why",
		.by = "a test",
		.host = "debian:12:x86_64:0",
	};
}

static struct commit_result commit(struct place *p, const struct commit_input *in)
{
	struct commit_result r = {0};
	struct err err = {0};

	if (commit_make(p->t.w->a, in, &r, &err) < 0)
		fail_msg("%s", err.msg);
	return r;
}

/* 2 added, 1 modified, 1 deleted; 5 bytes. */
static void change(const struct place *p)
{
	file(p->lower, "mod", "old");
	file(p->lower, "del", "old");
	dir(p->upper, "d");
	file(p->upper, "d/new", "new");
	file(p->upper, "mod", "by");
	gone(p->upper, "del");
}

static void assert_result(const struct commit_result *r)
{
	assert_false(r->empty);
	assert_int_equal(r->added, 2);
	assert_int_equal(r->modified, 1);
	assert_int_equal(r->deleted, 1);
	assert_int_equal(r->bytes, 5);
}

static void assert_in_chain(struct place *p, const struct commit_result *r)
{
	const struct commit *c;

	reopen(&p->t);
	assert_int_equal(p->t.e.chain.n, 1);
	c = &p->t.e.chain.v[0];
	assert_string_equal(c->digest, r->digest);
	assert_string_equal(c->message, "why");
	assert_string_equal(c->by, "a test");
	assert_int_equal(c->created, 1234);
	assert_int_equal(count(&p->t.s, "tmp"), 0);
}

static const char *layer_path(const struct place *p, const char *digest, const char *name)
{
	return arena_printf(p->t.w->a, "layers/%s/%s", digest, name);
}

static void the_upper_becomes_the_layer(void **state)
{
	struct place p = place_new(state);
	const struct commit_input in = input_of(&p);
	struct commit_result r;
	_cleanup_fd_ int layer = -1;
	struct layer_info info;
	struct err err = {0};
	struct stat before;
	struct stat after;

	change(&p);
	assert_int_equal(fstatat(p.upper, "d/new", &before, 0), 0);
	r = commit(&p, &in);
	assert_result(&r);
	assert_in_chain(&p, &r);
	assert_string_equal(p.t.e.upper, "upper.2");
	assert_int_equal(fstatat(p.t.s.fd, layer_path(&p, r.digest, "tree/d/new"), &after, 0), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(layer_open(p.t.w->a, &p.t.s, r.digest, &layer, &info, &err), 0);
	assert_string_equal(info.map, env_map_name(&p.t.e));
	assert_string_equal(info.host, "debian:12:x86_64:0");
	assert_int_equal(info.created, 1234);
	assert_int_equal(info.bytes, 5);
	assert_true(there(layer, "skeleton.zst"));
	assert_false(there(layer, "kept"));
	place_done(&p);
}

static void a_running_one_is_copied(void **state)
{
	struct place p = place_new(state);
	struct commit_input in = input_of(&p);
	struct commit_result r;
	struct stat before;
	struct stat after;

	change(&p);
	in.running = true;
	r = commit(&p, &in);
	assert_result(&r);
	assert_in_chain(&p, &r);
	/* The upper still lies on what was below it. */
	assert_int_equal(p.t.e.below, 0);
	assert_string_equal(p.t.e.upper, "upper.1");
	assert_int_equal(fstatat(p.upper, "d/new", &before, 0), 0);
	assert_int_equal(fstatat(p.t.s.fd, layer_path(&p, r.digest, "tree/d/new"), &after, 0), 0);
	assert_int_not_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_mtim.tv_sec, 900);
	/* The upper's own time is not touched. */
	assert_int_equal(before.st_mtim.tv_sec, 1000);
	place_done(&p);
}

static void both_ways_give_one_digest(void **state)
{
	struct place p = place_new(state);
	struct commit_input in = input_of(&p);
	struct commit_result copied;
	struct commit_result moved;

	change(&p);
	in.running = true;
	copied = commit(&p, &in);
	in.running = false;
	moved = commit(&p, &in);
	assert_string_equal(copied.digest, moved.digest);
	reopen(&p.t);
	assert_int_equal(p.t.e.chain.n, 2);
	/* The staging folder of the second one was not needed. */
	assert_int_equal(count(&p.t.s, "tmp"), 0);
	assert_int_equal(count(&p.t.s, "layers"), 1);
	assert_true(env_is_settled(&p.t.e));
	place_done(&p);
}

static void nothing_makes_no_layer(void **state)
{
	struct place p = place_new(state);
	const struct commit_input in = input_of(&p);
	struct commit_result r;

	file(p.lower, "same", "x");
	file(p.upper, "same", "x");
	r = commit(&p, &in);
	assert_true(r.empty);
	reopen(&p.t);
	assert_int_equal(p.t.e.chain.n, 0);
	assert_int_equal(count(&p.t.s, "layers"), 0);
	assert_int_equal(count(&p.t.s, "tmp"), 0);
	place_done(&p);
}

static void what_is_excluded_stays(void **state)
{
	static const char *const exclude[] = {"*.log", NULL};
	struct place p = place_new(state);
	struct commit_input in = input_of(&p);
	struct commit_result r;

	in.exclude = exclude;
	file(p.upper, "x.log", "x");
	r = commit(&p, &in);
	assert_true(r.empty);
	assert_int_equal(r.kept, 1);
	file(p.upper, "new", "x");
	r = commit(&p, &in);
	assert_int_equal(r.added, 1);
	assert_int_equal(r.kept, 1);
	assert_in_chain(&p, &r);
	assert_true(there(p.t.e.fd, "upper.2/x.log"));
	assert_false(there(p.t.e.fd, "upper.2/new"));
	assert_false(there(p.t.s.fd, layer_path(&p, r.digest, "tree/x.log")));
	place_done(&p);
}

/* Of a running one too: it is not copied. */
static void what_is_excluded_is_not_copied(void **state)
{
	static const char *const exclude[] = {"*.log", NULL};
	struct place p = place_new(state);
	struct commit_input in = input_of(&p);
	struct commit_result r;

	in.exclude = exclude;
	in.running = true;
	file(p.upper, "x.log", "x");
	file(p.upper, "new", "x");
	r = commit(&p, &in);
	assert_int_equal(r.kept, 1);
	assert_true(there(p.upper, "x.log"));
	assert_true(there(p.t.s.fd, layer_path(&p, r.digest, "tree/new")));
	assert_false(there(p.t.s.fd, layer_path(&p, r.digest, "tree/x.log")));
	place_done(&p);
}

static void the_dialect_of_fuse_is_translated(void **state)
{
	struct place p = place_new(state);
	struct commit_input in = input_of(&p);
	struct commit_result r;
	struct stat st;

	p.t.e.fuse = true;
	file(p.lower, "del", "old");
	file(p.upper, ".wh.del", "");
	r = commit(&p, &in);
	assert_int_equal(r.deleted, 1);
	assert_int_equal(r.added, 0);
	assert_in_chain(&p, &r);
	assert_false(p.t.e.fuse);
	assert_int_equal(fstatat(p.t.s.fd, layer_path(&p, r.digest, "tree/del"), &st, 0), 0);
	assert_true(S_ISCHR(st.st_mode));
	place_done(&p);
}

static void a_failure_changes_nothing(void **state)
{
	struct place p = place_new(state);
	struct commit_input in = input_of(&p);
	struct commit_result r = {.added = 77};
	struct err err = {0};

	file(p.upper, "fine", "x");
	file(p.upper, ".wh.x", "");
	for (int i = 0; i < 2; i++) {
		in.running = i > 0;
		err = (struct err){0};
		assert_int_equal(commit_make(p.t.w->a, &in, &r, &err), -1);
		assert_non_null(strstr(err.msg, "cannot keep '/.wh.x' in a layer"));
		assert_int_equal(r.added, 77);
		reopen(&p.t);
		assert_true(env_is_settled(&p.t.e));
		assert_int_equal(p.t.e.chain.n, 0);
		assert_true(there(p.t.e.fd, "upper.1/fine"));
		assert_int_equal(count(&p.t.s, "tmp"), 0);
		assert_int_equal(count(&p.t.s, "layers"), 0);
	}
	place_done(&p);
}

static void a_chain_has_an_end(void **state)
{
	struct place p = place_new(state);
	const struct commit_input in = input_of(&p);
	struct commit_result r = {0};
	struct err err = {0};

	file(p.upper, "new", "x");
	p.t.e.chain.n = COMMIT_CHAIN_MAX;
	assert_int_equal(commit_make(p.t.w->a, &in, &r, &err), -1);
	assert_string_equal(err.msg, arena_printf(p.t.w->a,
						  "cannot commit: the environment '%s' has 250 "
						  "layers already, 250 is the most",
						  p.t.e.id));
	assert_string_equal(err.hint, "make one of them: sbx squash");
	place_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_upper_becomes_the_layer),
		TEST(a_running_one_is_copied),
		TEST(both_ways_give_one_digest),
		TEST(nothing_makes_no_layer),
		TEST(what_is_excluded_stays),
		TEST(what_is_excluded_is_not_copied),
		TEST(the_dialect_of_fuse_is_translated),
		TEST(a_failure_changes_nothing),
		TEST(a_chain_has_an_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
