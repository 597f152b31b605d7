/*
 * An environment that stands on an image: what env.json says of it, and what leaves the image's layers alone.
 * Covers store/env, store/env_record and store/env_chain.
 */
#include "chain_world.h"
#include "store/env_chain.h"
#include "store/record.h"

#define MANIFEST "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static struct env_from from_of(struct commit *layers, size_t n)
{
	struct env_from from = {
		.image = {.ref = "oci:./an image",
			  .manifest = MANIFEST,
			  .n = n,
			  .over_host = true,
			  .build = DIGEST},
		.chain = {layers, n},
		.rung = 1,
		.as = 1,
	};

	return from;
}

/* An environment "x" on an image of one layer. */
static struct site site_on(void **state)
{
	struct commit c = commit_of(DIGEST);
	const struct env_from from = from_of(&c, 1);
	struct site t = {.w = *state};
	struct err err = {0};

	assert_int_equal(store_open(t.w->a, &t.s, &err), 0);
	if (env_open_or_make_on(t.w->a, &t.s, &(struct env_want){"/p", "default", &from}, &t.e,
				&err) < 0)
		fail_msg("%s", err.msg);
	return t;
}

static void assert_on_image(const struct env *e)
{
	assert_string_equal(e->image.ref, "oci:./an image");
	assert_string_equal(e->image.manifest, MANIFEST);
	assert_int_equal(e->image.n, 1);
	assert_true(e->image.over_host);
	assert_string_equal(e->image.build, DIGEST);
	assert_string_equal(e->chain.v[0].digest, DIGEST);
}

static void begins_with_the_image(void **state)
{
	struct site t = site_on(state);

	assert_on_image(&t.e);
	reopen(&t);
	assert_on_image(&t.e);
	assert_int_equal(t.e.chain.n, 1);
	assert_int_equal(t.e.below, 1);
	assert_int_equal(t.e.rung, 1);
	assert_int_equal(t.e.as, 1);
	assert_true(env_is_settled(&t.e));
	site_done(&t);
}

static void one_that_is_there_keeps_its_own(void **state)
{
	struct site t = site_new(state);
	struct commit c = commit_of(DIGEST);
	const struct env_from from = from_of(&c, 1);
	struct err err = {0};

	env_done(&t.e);
	assert_int_equal(env_open_or_make_on(t.w->a, &t.s,
					     &(struct env_want){"/p", "default", &from}, &t.e,
					     &err),
			 0);
	assert_null(t.e.image.ref);
	assert_int_equal(t.e.chain.n, 0);
	site_done(&t);
}

static void a_fork_stands_on_it_too(void **state)
{
	struct site t = site_on(state);
	struct env forked = {.fd = -1};
	struct err err = {0};

	assert_int_equal(env_make_fork(t.w->a, &t.s, &t.e, "other", &t.e.chain, &err), 0);
	assert_int_equal(env_open(t.w->a, &t.s, "/p", "other", &forked, &err), 0);
	assert_on_image(&forked);
	env_done(&forked);
	site_done(&t);
}

static void one_layer_takes_the_place_of_those_above(void **state)
{
	struct site t = site_on(state);
	struct commit two[2] = {commit_of(DIGEST), commit_of(DIGEST)};
	const struct chain both = {two, 2};
	const struct commit c = commit_of(OTHER);
	struct layer_stage st;
	struct err err = {0};
	int tree = -1;

	assert_int_equal(env_set_chain(t.w->a, &t.s, &t.e, &both, &err), 0);
	st = stage_new(&t, OTHER, env_map_name(&t.e));
	assert_int_equal(layer_stage_tree(&st, &tree, &err), 0);
	assert_int_equal(close(tree), 0);
	assert_int_equal(env_replace_layers(t.w->a, &t.s, &t.e, &st, &c, &err), 0);
	layer_stage_done(&st);
	reopen(&t);
	assert_on_image(&t.e);
	assert_int_equal(t.e.chain.n, 2);
	assert_int_equal(t.e.below, 2);
	assert_string_equal(t.e.chain.v[1].digest, OTHER);
	site_done(&t);
}

static void another_image_takes_its_place(void **state)
{
	struct site t = site_on(state);
	struct commit two[2] = {commit_of(OTHER), commit_of(DIGEST)};
	struct env_from from = from_of(two, 2);
	struct err err = {0};

	from.image.ref = "host.example/b:1";
	from.image.over_host = false;
	file(t.e.fd, "upper.1/mine", "");
	assert_int_equal(env_set_image(t.w->a, &t.s, &t.e, &from, &err), 0);
	reopen(&t);
	assert_string_equal(t.e.image.ref, "host.example/b:1");
	assert_int_equal(t.e.image.n, 2);
	assert_false(t.e.image.over_host);
	assert_int_equal(t.e.chain.n, 2);
	assert_int_equal(t.e.below, 2);
	assert_int_equal(t.e.previous.n, 0);
	assert_false(there(t.e.fd, "upper.2/mine"));
	assert_int_equal(env_set_image(t.w->a, &t.s, &t.e, NULL, &err), 0);
	reopen(&t);
	assert_null(t.e.image.ref);
	assert_int_equal(t.e.chain.n, 0);
	site_done(&t);
}

static void refuses_a_damaged_one(void **state)
{
	static const char *const bad[] = {
		"{\"manifest\": \"" MANIFEST "\", \"layers\": 0}",
		"{\"ref\": \"x\", \"layers\": 0}",
		"{\"ref\": \"x\", \"manifest\": \"0011\", \"layers\": 0}",
		"{\"ref\": \"x\", \"manifest\": \"" MANIFEST "\"}",
		"{\"ref\": \"x\", \"manifest\": \"" MANIFEST "\", \"layers\": -1}",
		"{\"ref\": \"x\", \"manifest\": \"" MANIFEST "\", \"layers\": 2}",
		"[]",
		"7",
	};
	struct site t = site_on(state);

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_auto_t *obj = NULL;
		struct env e = {.fd = -1};
		struct err err = {0};

		assert_int_equal(record_load(t.e.fd, "env.json", 2, &obj, &err), 0);
		json_object_set_new(obj, "image", json_loads(bad[i], JSON_DECODE_ANY, NULL));
		assert_int_equal(record_save(t.e.fd, "env.json", 2, obj, &err), 0);
		if (env_open_id(t.w->a, &t.s, t.e.id, &e, &err) == 0)
			fail_msg("took %s", bad[i]);
		assert_non_null(strstr(err.msg, "a value is missing or wrong"));
	}
	site_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(begins_with_the_image),         TEST(one_that_is_there_keeps_its_own),
		TEST(a_fork_stands_on_it_too),       TEST(one_layer_takes_the_place_of_those_above),
		TEST(another_image_takes_its_place), TEST(refuses_a_damaged_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
