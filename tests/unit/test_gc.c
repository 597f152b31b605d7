/* What is needed, what is not, and what is litter: store/gc, store/roots, store/litter. */
#include <sys/file.h>

#include "chain_world.h"
#include "store/env_record.h"
#include "store/gc.h"
#include "store/litter.h"
#include "store/tag.h"

static void chain_of(struct site *t, const char *digest)
{
	struct commit c = commit_of(digest);
	const struct chain chain = {.v = &c, .n = 1};
	struct err err = {0};

	assert_int_equal(env_set_chain(t->w->a, &t->s, &t->e, &chain, &err), 0);
	reopen(t);
}

static void tag_of(struct site *t, const char *digest)
{
	struct commit c = commit_of(digest);
	const struct tag tag = {
		.name = "keep", .base = "host", .project = "/p", .chain = {.v = &c, .n = 1}};
	struct err err = {0};

	assert_int_equal(tag_put(&t->s, &tag, &err), 0);
}

static struct gc_result collect(struct site *t, unsigned how)
{
	struct gc_result r = {0};
	struct err err = {0};

	if (gc_layers(t->w->a, &t->s, how, &r, &err) < 0)
		fail_msg("%s", err.msg);
	return r;
}

static void sweeps_what_nothing_needs(void **state)
{
	struct site t = site_new(state);
	struct gc_result r;

	publish(&t, DIGEST, "one-id");
	publish(&t, OTHER, "one-id");
	chain_of(&t, DIGEST);
	r = collect(&t, GC_DRY_RUN);
	assert_int_equal(r.n, 1);
	assert_string_equal(r.layers[0], OTHER);
	assert_int_equal(count(&t.s, "layers"), 2);
	tag_of(&t, OTHER);
	assert_int_equal(collect(&t, 0).n, 0);
	assert_int_equal(unlinkat(t.s.fd, "tags/keep.json", 0), 0);
	r = collect(&t, 0);
	assert_int_equal(r.n, 1);
	assert_true(there(t.s.fd, "layers/" DIGEST));
	assert_int_equal(count(&t.s, "layers"), 1);
	assert_int_equal(count(&t.s, "tmp"), 1);
	site_done(&t);
}

static void keeps_what_a_reset_left(void **state)
{
	struct site t = site_new(state);
	struct commit c = commit_of(OTHER);
	struct err err = {0};

	publish(&t, OTHER, "one-id");
	t.e.previous = (struct chain){&c, 1};
	assert_int_equal(env_record_write(t.e.fd, &t.e, &err), 0);
	assert_int_equal(collect(&t, 0).n, 0);
	assert_int_equal(collect(&t, GC_ALL | GC_DRY_RUN).n, 1);
	assert_true(there(t.s.fd, "layers/" OTHER));
	assert_int_equal(collect(&t, GC_ALL).n, 1);
	assert_false(there(t.s.fd, "layers/" OTHER));
	site_done(&t);
}

static void keeps_what_is_pending(void **state)
{
	struct site t = site_new(state);
	struct layer_stage st = stage_new(&t, OTHER, "one-id");
	struct litter l = {0};
	struct err err = {0};

	publish(&t, OTHER, "one-id");
	t.e.stage = st.name;
	t.e.pending = commit_of(OTHER);
	{
		_cleanup_fd_ int fd = openat(t.e.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		assert_int_equal(env_record_write(fd, &t.e, &err), 0);
	}
	layer_stage_done(&st);
	assert_int_equal(collect(&t, 0).n, 0);
	assert_int_equal(litter_find(t.w->a, &t.s, &l, &err), 0);
	assert_int_equal(l.n, 0);
	/* Nobody says so any more. */
	t.e.stage = NULL;
	assert_int_equal(env_record_write(t.e.fd, &t.e, &err), 0);
	assert_int_equal(collect(&t, 0).n, 1);
	assert_int_equal(litter_find(t.w->a, &t.s, &l, &err), 0);
	assert_int_equal(l.n, 2);
	litter_done(&l);
	litter_done(&l);
	litter_done(NULL);
	site_done(&t);
}

static void sweeps_nothing_beside_a_damaged_record(void **state)
{
	struct site t = site_new(state);
	struct gc_result r;
	struct litter l = {0};
	struct err err = {0};

	publish(&t, DIGEST, "one-id");
	assert_int_equal(fs_write_atomic(t.s.fd, "tags/bad.json", "{", 1, 0600, &err), 0);
	r = collect(&t, 0);
	assert_int_equal(r.n, 0);
	assert_int_equal(r.roots.damaged.n, 1);
	assert_int_equal(r.roots.damaged.v[0].kind, ROOT_TAG);
	assert_string_equal(r.roots.damaged.v[0].name, "bad");
	assert_int_equal(unlinkat(t.s.fd, "tags/bad.json", 0), 0);

	assert_int_equal(fs_write_atomic(t.e.fd, "env.json", "{}", 2, 0600, &err), 0);
	assert_int_equal(mkdirat(t.s.fd, "tmp/layer-x", 0700), 0);
	r = collect(&t, 0);
	assert_int_equal(r.n, 0);
	assert_int_equal(r.roots.damaged.n, 1);
	assert_int_equal(r.roots.damaged.v[0].kind, ROOT_ENVIRONMENT);
	/* It may be what that environment has pending. */
	assert_int_equal(litter_find(t.w->a, &t.s, &l, &err), 0);
	assert_int_equal(l.n, 0);
	assert_int_equal(count(&t.s, "layers"), 1);
	site_done(&t);
}

static void litter_is_what_nobody_holds(void **state)
{
	struct site t = site_new(state);
	struct litter l = {0};
	struct litter again = {0};
	struct err err = {0};
	uint64_t bytes = 0;
	_cleanup_fd_ int held = -1;

	assert_int_equal(mkdirat(t.s.fd, "tmp/layer-dead", 0700), 0);
	file(t.s.fd, "tmp/layer-dead/f", "text");
	assert_int_equal(mkdirat(t.s.fd, "tmp/layer-held", 0700), 0);
	assert_int_equal(
		mkdirat(t.s.fd, arena_printf(t.w->a, "tmp/new-x-%ld-0", (long)getpid()), 0700), 0);
	file(t.s.fd, "tmp/file", "");
	held = openat(t.s.fd, "tmp/layer-held", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(flock(held, LOCK_EX), 0);
	assert_int_equal(litter_find(t.w->a, &t.s, &l, &err), 0);
	assert_int_equal(l.n, 2);
	/* A folder that is found is ours: nobody else finds it. */
	assert_int_equal(litter_find(t.w->a, &t.s, &again, &err), 0);
	assert_int_equal(again.n, 1);
	litter_done(&again);
	assert_int_equal(litter_remove(&t.s, &l, &bytes, &err), 0);
	assert_true(bytes >= 4);
	litter_done(&l);
	assert_false(there(t.s.fd, "tmp/layer-dead"));
	assert_false(there(t.s.fd, "tmp/file"));
	assert_int_equal(count(&t.s, "tmp"), 2);
	site_done(&t);
}

static void removes_old_temporary_files(void **state)
{
	static const struct timespec old[2] = {{.tv_sec = 5}, {.tv_sec = 5}};
	struct site t = site_new(state);
	struct err err = {0};
	size_t n = 0;

	file(t.e.fd, ".env.json.0123456789abcdef.tmp", "");
	file(t.s.fd, "tags/.young.json.0123456789abcdef.tmp", "");
	file(t.s.fd, "tags/.short.tmp", "");
	assert_int_equal(utimensat(t.e.fd, ".env.json.0123456789abcdef.tmp", old, 0), 0);
	assert_int_equal(utimensat(t.s.fd, "tags/.young.json.0123456789abcdef.tmp", NULL, 0), 0);
	assert_int_equal(gc_temps(&t.s, true, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_true(there(t.e.fd, ".env.json.0123456789abcdef.tmp"));
	assert_int_equal(gc_temps(&t.s, false, &n, &err), 0);
	assert_false(there(t.e.fd, ".env.json.0123456789abcdef.tmp"));
	assert_true(there(t.s.fd, "tags/.young.json.0123456789abcdef.tmp"));
	assert_true(there(t.s.fd, "tags/.short.tmp"));
	site_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sweeps_what_nothing_needs),   TEST(keeps_what_a_reset_left),
		TEST(keeps_what_is_pending),       TEST(sweeps_nothing_beside_a_damaged_record),
		TEST(litter_is_what_nobody_holds), TEST(removes_old_temporary_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
