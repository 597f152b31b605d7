/* Also of store/build_env. */
#include <errno.h>

#include "store/build_cache.h"
#include "store/build_env.h"
#include "store/litter.h"
#include "store_world.h"

#define KEY_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void what_is_put_is_there(void **state)
{
	const struct world *w = *state;
	struct store s = {.fd = -1};
	struct build_cached c = {.key = KEY_B, .layer = KEY_A, .created = 5};
	struct build_cached got = {0};
	struct build_cached *list;
	struct err err = {0};
	size_t n;

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(build_cache_get(&s, KEY_B, &got, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_int_equal(build_cache_put(&s, &c, &err), 0);
	memcpy(c.key, KEY_A, sizeof(c.key));
	c.layer[0] = '\0';
	assert_int_equal(build_cache_put(&s, &c, &err), 0);
	assert_int_equal(build_cache_get(&s, KEY_B, &got, &err), 0);
	assert_string_equal(got.layer, KEY_A);
	assert_int_equal(got.created, 5);
	assert_int_equal(build_cache_list(w->a, &s, &list, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(list[0].key, KEY_A);
	assert_string_equal(list[0].layer, "");
	assert_int_equal(build_cache_delete(&s, KEY_A, &err), 0);
	assert_int_equal(build_cache_delete(&s, KEY_A, &err), 0);
	assert_int_equal(build_cache_list(w->a, &s, &list, &n, &err), 0);
	assert_int_equal(n, 1);
	store_done(&s);
}

static void a_damaged_record_is_none(void **state)
{
	const struct world *w = *state;
	struct store s = {.fd = -1};
	struct build_cached got = {0};
	struct build_cached *list;
	struct err err = {0};
	size_t n;

	assert_int_equal(store_open(w->a, &s, &err), 0);
	world_mkdir(w, "data/sbx/cache");
	world_write(w, "data/sbx/cache/" KEY_A ".json", "{\"version\":1,\"layer\":\"../../x\"}");
	world_write(w, "data/sbx/cache/" KEY_B ".json", "{");
	assert_int_equal(build_cache_get(&s, KEY_A, &got, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_int_equal(build_cache_get(&s, KEY_B, &got, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_int_equal(build_cache_list(w->a, &s, &list, &n, &err), 0);
	assert_int_equal(n, 0);
	store_done(&s);
}

static size_t count_litter(const struct world *w, const struct store *s)
{
	struct litter l = {0};
	struct err err = {0};
	size_t n;

	assert_int_equal(litter_find(w->a, s, &l, &err), 0);
	n = l.n;
	litter_done(&l);
	return n;
}

static void an_environment_of_a_step_is_litter_when_it_is_let_go(void **state)
{
	const struct world *w = *state;
	struct store s = {.fd = -1};
	const struct chain chain = {0};
	struct env e = {.fd = -1};
	struct env list[1];
	struct env *all = list;
	struct err err = {0};
	size_t n = 1;

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(build_env_make(w->a, &s, &chain, &e, &err), 0);
	assert_int_equal(access(e.dir, F_OK), 0);
	assert_int_equal(count_litter(w, &s), 0);
	/* No list shows it. */
	assert_int_equal(env_list(w->a, &s, &all, &n, &err), 0);
	assert_int_equal(n, 0);
	env_done(&e);
	assert_int_equal(count_litter(w, &s), 1);

	e = (struct env){.fd = -1};
	assert_int_equal(build_env_make(w->a, &s, &chain, &e, &err), 0);
	build_env_remove(&s, &e);
	assert_int_equal(count_litter(w, &s), 1);
	build_env_remove(&s, &(struct env){.fd = -1});
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_put_is_there),
		TEST(a_damaged_record_is_none),
		TEST(an_environment_of_a_step_is_litter_when_it_is_let_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
