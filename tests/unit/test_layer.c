#include <errno.h>

#include "store/env.h"
#include "store/layer.h"
#include "store_world.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static struct store open_store(struct world *w)
{
	struct store s = {.fd = -1};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	return s;
}

static struct layer_info info_of(void)
{
	struct layer_info info = {.map = "subids-self", .created = 7, .entries = 3, .bytes = 5};

	memcpy(info.digest, DIGEST, sizeof(DIGEST));
	info.tar_size = 4096;
	info.host = "debian:12:amd64:abc";
	return info;
}

static void publish(struct world *w, const struct store *s, bool expect_new)
{
	struct layer_stage st = {0};
	struct layer_info info = info_of();
	struct err err = {0};
	bool fresh;

	assert_int_equal(layer_stage_make(w->a, s, &st, &err), 0);
	assert_int_equal(mkdirat(st.fd, LAYER_TREE, 0755), 0);
	assert_int_equal(layer_stage_info(&st, &info, &err), 0);
	assert_int_equal(layer_publish(s, &st, DIGEST, &fresh, &err), 0);
	assert_int_equal(fresh, expect_new);
	assert_int_equal(faccessat(s->fd, arena_printf(w->a, "tmp/%s", st.name), F_OK, 0),
			 expect_new ? -1 : 0);
	layer_stage_done(&st);
}

static void is_published_whole_and_once(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct layer_info info;
	struct err err = {0};
	char **v;
	size_t n;
	int fd;

	publish(w, &s, true);
	publish(w, &s, false);
	assert_int_equal(layer_open(w->a, &s, DIGEST, &fd, &info, &err), 0);
	(void)close(fd);
	assert_string_equal(info.digest, DIGEST);
	assert_string_equal(info.map, "subids-self");
	assert_string_equal(info.host, "debian:12:amd64:abc");
	assert_int_equal(info.created, 7);
	assert_int_equal(info.entries, 3);
	assert_int_equal(info.bytes, 5);
	assert_int_equal(info.tar_size, 4096);
	assert_int_equal(layer_list(w->a, &s, &v, &n, &err), 0);
	assert_int_equal(n, 1);
	assert_string_equal(v[0], DIGEST);
	store_done(&s);
}

static void says_what_is_not_there(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct err err = {0};
	int fd = -1;

	assert_int_equal(layer_open(w->a, &s, DIGEST, &fd, NULL, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_non_null(strstr(err.msg, "cannot open the layer " DIGEST));
	assert_string_equal(err.hint, "'sbx fsck' tells what needs it");
	assert_int_equal(layer_open(w->a, &s, "../envs", &fd, NULL, &err), -1);
	assert_string_equal(err.msg, "'../envs' is not the digest of a layer");
	store_done(&s);
}

static void refuses_a_damaged_record(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct layer_info info;
	struct err err = {0};
	int fd = -1;

	publish(w, &s, true);
	world_write(w, "data/sbx/layers/" DIGEST "/layer.json", "{\"version\": 1, \"map\": \"x\"}");
	assert_int_equal(layer_open(w->a, &s, DIGEST, &fd, &info, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	assert_non_null(strstr(err.msg, "a value is missing or wrong"));
	assert_string_equal(err.hint, "'sbx fsck' looks at the whole store");
	store_done(&s);
}

static void knows_a_digest(void **state)
{
	(void)state;
	assert_true(layer_is_digest(DIGEST));
	assert_false(layer_is_digest(&DIGEST[1]));
	assert_false(layer_is_digest(DIGEST "0"));
	assert_false(layer_is_digest(
		"0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"));
}

static void a_stage_is_locked(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct layer_stage st = {0};
	struct err err = {0};
	int lock = -1;

	assert_int_equal(layer_stage_make(w->a, &s, &st, &err), 0);
	assert_int_equal(
		fs_lock_at(s.fd, arena_printf(w->a, "tmp/%s", st.name), true, 0, &lock, &err), -1);
	layer_stage_done(&st);
	layer_stage_done(&st);
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(is_published_whole_and_once), TEST(says_what_is_not_there),
		TEST(refuses_a_damaged_record),    TEST(a_stage_is_locked),
		cmocka_unit_test(knows_a_digest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
