/* Covers plan/host_cache. */
#include "host_world.h"

static void answers_are_kept(void **state)
{
	struct world *w = *state;
	struct host_source src = made_machine(w);
	int cache = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct host_cache has = {.has_ns = true, .has_base = true};
	const struct timespec times[2] = {{.tv_sec = 12345}, {.tv_sec = 12345}};
	struct host_special u[] = {
		{.path = "/etc/a\n%\xff", .mode = 0640},
		{.path = "/var/x y", .is_dir = true, .mode = 0710},
		{.path = "/var/own",
		 .is_dir = true,
		 .mode = 0755,
		 .readable = true,
		 .uid = 6,
		 .gid = 12},
	};
	struct host_facts f = probe(w, &src, -1);
	struct host_facts g;

	/* An answer that only the cache can have given. */
	f.special = u;
	f.n_special = 3;
	f.userns = true;
	f.overlay_userxattr = true;
	host_cache_save(w->a, cache, src.root, &f, &has);
	g = probe(w, &src, cache);
	assert_int_equal(g.n_special, 3);
	assert_unreadable(&g.special[0], "/etc/a\n%\xff", false, 0640);
	assert_unreadable(&g.special[1], "/var/x y", true, 0710);
	assert_true(g.special[2].readable && g.special[2].is_dir);
	assert_int_equal(g.special[2].uid, 6);
	assert_int_equal(g.special[2].gid, 12);
	assert_true(g.overlay_userxattr);
	/* A file came into /etc: the paths are looked for again. (The time is set: clocks are coarse.) */
	assert_int_equal(utimensat(AT_FDCWD, world_path(w, "etc"), times, 0), 0);
	g = probe(w, &src, cache);
	assert_int_equal(g.n_special, 0);
	/* Another boot. */
	host_cache_save(w->a, cache, src.root, &f, &has);
	world_write(w, "proc/sys/kernel/random/boot_id", "boot-2\n");
	host_cache_load(w->a, cache, src.root, &f, &has);
	assert_true(has.has_ns);
	f.boot_id = "boot-2";
	host_cache_load(w->a, cache, src.root, &f, &has);
	assert_false(has.has_ns);
	assert_false(has.has_base);
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
		"{\"version\": 2, \"namespaces\": 3, \"base\": []}",
		"{\"version\": 2, \"base\": {\"key\": \"KEY\", \"special\": [\"f06\"]}}",
		"{\"version\": 2, \"base\": {\"key\": \"KEY\", \"special\": [\"f0640 0:0 etc\"]}}",
		"{\"version\": 2, \"base\": {\"key\": \"KEY\", \"special\": [\"x0640 0:0 /etc\"]}}",
		"{\"version\": 2, \"base\": {\"key\": \"KEY\", \"special\": [\"f0640 0 /etc\"]}}",
		"{\"version\": 2, \"base\": {\"key\": \"KEY\", \"special\": [\"f0640 x:0 /etc\"]}}",
		"{\"version\": 2, \"base\": {\"key\": \"KEY\", \"special\": [3]}}",
		"{\"version\": 2, \"base\": {\"key\": \"KEY\", \"special\": 3}}",
	};
	struct world *w = *state;
	struct host_source src = made_machine(w);
	int cache = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct host_facts f = probe(w, &src, cache);
	_cleanup_buf_ struct buf good = {0};
	struct err err = {0};
	const char *key;

	assert_int_equal(fs_read_at(cache, "host.json", 65536, &good, &err), 0);
	key = strstr(strstr(good.p, "\"base\""), "\"key\": \"") + 8;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *at = strstr(texts[i], "KEY");
		struct host_cache has = {0};

		world_write(w, "host.json",
			    at ? arena_printf(w->a, "%.*s%.*s%s", (int)(at - texts[i]), texts[i],
					      (int)strcspn(key, "\""), key, at + 3)
			       : texts[i]);
		host_cache_load(w->a, cache, src.root, &f, &has);
		assert_false(has.has_ns);
		assert_false(has.has_base);
	}
	world_write(w, "host.json", good.p);
	{
		struct host_cache has = {0};

		host_cache_load(w->a, cache, src.root, &f, &has);
		assert_true(has.has_base);
	}
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
