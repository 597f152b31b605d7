#include "store/env.h"
#include "store/form.h"
#include "store_world.h"

#define LAYER "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"
#define GZIP "application/vnd.oci.image.layer.v1.tar+gzip"

static struct store open_store(struct world *w)
{
	struct store s = {.fd = -1};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	return s;
}

static void add(struct world *w, const struct store *s, const char *digest, const char *seen)
{
	struct form f = {.size = 7, .media_type = GZIP};
	struct err err = {0};

	memcpy(f.digest, digest, sizeof(f.digest));
	assert_int_equal(form_add(w->a, s, LAYER, &f, seen, &err), 0);
}

static void are_listed_newest_first(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct form *v = NULL;
	struct err err = {0};
	size_t n = 9;

	assert_int_equal(form_list(w->a, &s, LAYER, &v, &n, &err), 0);
	assert_int_equal(n, 0);
	add(w, &s, ONE, NULL);
	add(w, &s, TWO, "a.example/x");
	add(w, &s, ONE, "a.example/x");
	add(w, &s, ONE, "b.example/ü");
	add(w, &s, ONE, "a.example/x");
	assert_int_equal(form_list(w->a, &s, LAYER, &v, &n, &err), 0);
	assert_int_equal(n, 2);
	assert_string_equal(v[0].digest, ONE);
	assert_int_equal(v[0].size, 7);
	assert_string_equal(v[0].media_type, GZIP);
	assert_int_equal(v[0].n_seen, 2);
	assert_string_equal(v[0].seen[0], "a.example/x");
	assert_string_equal(v[0].seen[1], "b.example/ü");
	assert_null(v[0].seen[2]);
	assert_string_equal(v[1].digest, TWO);
	assert_int_equal(v[1].n_seen, 1);
	store_done(&s);
}

static void grow_no_further_than_is_of_use(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct form *v = NULL;
	struct err err = {0};
	size_t n = 0;

	for (int i = 0; i < 40; i++)
		add(w, &s, ONE, arena_printf(w->a, "r%d.example/x", i));
	for (int i = 0; i < 20; i++)
		add(w, &s, arena_printf(w->a, "%064x", (unsigned)i), NULL);
	add(w, &s, ONE, NULL);
	assert_int_equal(form_list(w->a, &s, LAYER, &v, &n, &err), 0);
	assert_int_equal(n, 8);
	for (int i = 0; i < 40; i++)
		add(w, &s, ONE, arena_printf(w->a, "r%d.example/x", i));
	assert_int_equal(form_list(w->a, &s, LAYER, &v, &n, &err), 0);
	assert_int_equal(v[0].n_seen, 16);
	assert_string_equal(v[0].seen[0], "r39.example/x");
	store_done(&s);
}

static void damage_is_as_good_as_none(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct form *v = NULL;
	struct err err = {0};
	size_t n = 9;

	world_write(w, "data/sbx/forms/" LAYER ".json", "{");
	assert_int_equal(form_list(w->a, &s, LAYER, &v, &n, &err), 0);
	assert_int_equal(n, 0);
	world_write(w, "data/sbx/forms/" LAYER ".json",
		    "{\"version\": 1, \"forms\": [{\"digest\": \"../x\", \"size\": 1, "
		    "\"mediaType\": \"x\"}, {\"digest\": \"" ONE "\", \"size\": -1, "
		    "\"mediaType\": \"x\"}, 7, {\"digest\": \"" TWO "\", \"size\": 1, "
		    "\"mediaType\": \"x\"}]}");
	assert_int_equal(form_list(w->a, &s, LAYER, &v, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(v[0].digest, TWO);
	assert_int_equal(v[0].n_seen, 0);
	add(w, &s, ONE, NULL);
	assert_int_equal(form_list(w->a, &s, "../x", &v, &n, &err), -1);
	assert_string_equal(err.msg, "'../x' is not the digest of a layer");
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(are_listed_newest_first),
		TEST(grow_no_further_than_is_of_use),
		TEST(damage_is_as_good_as_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
