/* Covers plan/host_cache. */
#include "host_world.h"

static void answers_are_kept(void **state)
{
	struct world *w = *state;
	struct host_source src = made_machine(w);
	int cache = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct host_cache has = {.has_ns = true};
	struct host_facts f = probe(w, &src, -1);
	struct host_facts g;

	/* An answer that only the cache can have given. */
	f.userns = true;
	f.overlay_userxattr = true;
	host_cache_save(w->a, cache, src.root, &f, &has);
	g = probe(w, &src, cache);
	assert_true(g.overlay_userxattr);
	/* Another boot. */
	host_cache_save(w->a, cache, src.root, &f, &has);
	world_write(w, "proc/sys/kernel/random/boot_id", "boot-2\n");
	host_cache_load(w->a, cache, src.root, &f, &has);
	assert_true(has.has_ns);
	f.boot_id = "boot-2";
	host_cache_load(w->a, cache, src.root, &f, &has);
	assert_false(has.has_ns);
	(void)close(cache);
	(void)close(src.root);
}

static void a_damaged_cache_is_no_cache(void **state)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{\"version\": 9}",
		"{\"version\": 3, \"namespaces\": 3}",
		"{\"version\": 3, \"namespaces\": {\"key\": 3}}",
		"{\"version\": 4, \"namespaces\": {\"key\": \"KEY\"}}",
	};
	struct world *w = *state;
	struct host_source src = made_machine(w);
	int cache = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct host_facts f = probe(w, &src, -1);
	struct host_cache has = {.has_ns = true};
	_cleanup_buf_ struct buf good = {0};
	struct err err = {0};
	const char *key;

	f.userns = true;
	host_cache_save(w->a, cache, src.root, &f, &has);
	assert_int_equal(fs_read_at(cache, "host.json", 65536, &good, &err), 0);
	assert_non_null(strstr(good.p, "\"key\": \""));
	key = strstr(good.p, "\"key\": \"") + 8;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *at = strstr(texts[i], "KEY");

		world_write(w, "host.json",
			    at ? arena_printf(w->a, "%.*s%.*s%s", (int)(at - texts[i]), texts[i],
					      (int)strcspn(key, "\""), key, at + 3)
			       : texts[i]);
		has.has_ns = true;
		host_cache_load(w->a, cache, src.root, &f, &has);
		assert_false(has.has_ns);
	}
	world_write(w, "host.json", good.p);
	host_cache_load(w->a, cache, src.root, &f, &has);
	assert_true(has.has_ns);
	host_forget(cache);
	assert_int_equal(faccessat(cache, "host.json", F_OK, 0), -1);
	(void)close(cache);
	(void)close(src.root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_are_kept),
		TEST(a_damaged_cache_is_no_cache),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
