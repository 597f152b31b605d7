/* Stand-ins: what the root lacks, and what of it is covered. */
#include "plan_world.h"

static void standins_have_their_parents(void **state)
{
	struct world *w = *state;
	const struct plan *plan;

	w->facts.shadow = (struct host_closed){.text = "a:*:::::::\n", .mode = 0640, .gid = 42};
	add_mount(w, "/srv/x", "/a/b/c", false);
	plan = made(w);
	for (size_t i = 0; i < plan->n_standins; i++) {
		const char *path = plan->standins[i].path;
		size_t len = (size_t)(path_base(path) - path) - 1;
		bool found = len == 0;

		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(plan->standins[j].path, path);
			if (strlen(plan->standins[j].path) == len &&
			    memcmp(plan->standins[j].path, path, len) == 0)
				found = true;
		}
		if (!found)
			fail_msg("no parent before %s", path);
	}
	assert_string_equal(standin_of(plan, "/etc/shadow")->data, "a:*:::::::\n");
	assert_int_equal(standin_of(plan, "/etc/shadow")->mode, 0640);
	assert_int_equal(standin_of(plan, "/etc/shadow")->gid, 42);
	assert_null(standin_of(plan, "/etc/gshadow"));
	assert_int_equal(standin_of(plan, "/a/b/c")->kind, STANDIN_DIR);
	assert_string_equal(standin_of(plan, "/etc/resolv.conf")->data, "nameserver 10.0.2.3\n");
	assert_int_equal(standin_of(plan, "/etc/resolv.conf")->mode, 0644);
}

static bool hides(const struct plan *plan, const char *path, uint32_t mode)
{
	for (size_t i = 0; i < plan->n_hidden; i++)
		if (str_eq(plan->hidden[i].path, path) && plan->hidden[i].mode == mode)
			return true;
	return false;
}

/* Only what lies in a folder that shows is there to be hidden. */
static void what_is_the_users_is_hidden(void **state)
{
	struct world *w = *state;
	struct host_entry entries[] = {{"usr", NULL}, {"var", NULL}};
	const struct plan *plan;

	w->facts.entries = entries;
	w->facts.n_entries = 2;
	plan = made(w);
	assert_true(hides(plan, "/var/tmp", 01777) && hides(plan, "/var/mail", 0));
	assert_true(hides(plan, "/var/spool/mail", 0));
	assert_int_equal(plan->n_hidden, 3);
	w->facts.home = "/var/home/u";
	w->facts.real_home = "/usr/home/u";
	w->env.store_dir = "/var/store";
	plan = made(w);
	assert_true(hides(plan, "/var/home/u", 0755) && hides(plan, "/usr/home/u", 0755));
	assert_true(hides(plan, "/var/store", 0755));
	w->profile.base.kind = BASE_DIR;
	w->profile.base.ref = "/srv/root";
	assert_int_equal(made(w)->n_hidden, 0);
}

/* A folder /bin or /lib in the stand-in layer would hide the link to usr/. */
static void links_of_the_base_stay(void **state)
{
	struct world *w = *state;
	struct host_entry entries[] = {{"usr", NULL}, {"opt", "usr/opt"}};

	w->facts.entries = entries;
	w->facts.n_entries = 2;
	add_mount(w, "/srv/x", "/lib/x", false);
	add_mount(w, "/srv/x", "/opt/x", false);
	add_mount(w, "/srv/x", "/var/run/x", false);
	assert_null(standin_of(made(w), "/lib"));
	assert_null(standin_of(made(w), "/opt"));
	assert_null(standin_of(made(w), "/var/run"));
	/* But what only begins alike is no link. */
	add_mount(w, "/srv/x", "/library/x", false);
	assert_non_null(standin_of(made(w), "/library/x"));
}

static void nothing_below_own_mounts(void **state)
{
	static const char *const trees[] = {"/dev", "/proc", "/run", "/sys", "/tmp"};
	struct world *w = *state;
	const struct plan *plan;

	w->env.project = "/tmp/work/demo";
	add_mount(w, "/srv/x", "/tmp/x", false);
	add_mount(w, "/srv/x", "/dev/shm/x", false);
	plan = made(w);
	for (size_t i = 0; i < plan->n_standins; i++)
		for (size_t j = 0; j < sizeof(trees) / sizeof(trees[0]); j++)
			assert_false(path_is_under(plan->standins[i].path, trees[j]) &&
				     !str_eq(plan->standins[i].path, trees[j]));
}

static void resolv_conf_keeps_what_is_searched(void **state)
{
	struct world *w = *state;

	w->facts.resolv_conf = "nameserver 192.0.2.1\nsearch a.example\nsearching\noptions ndots:2";
	assert_string_equal(standin_of(made(w), "/etc/resolv.conf")->data,
			    "nameserver 10.0.2.3\nsearch a.example\noptions ndots:2\n");
	w->profile.net.mode = NET_HOST;
	assert_string_equal(standin_of(made(w), "/etc/resolv.conf")->data, w->facts.resolv_conf);
	w->profile.net.mode = NET_NONE;
	assert_string_equal(standin_of(made(w), "/etc/resolv.conf")->data, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(standins_have_their_parents),
		WORLD_TEST(what_is_the_users_is_hidden),
		WORLD_TEST(links_of_the_base_stay),
		WORLD_TEST(nothing_below_own_mounts),
		WORLD_TEST(resolv_conf_keeps_what_is_searched),
	};

	return cmocka_run_group_tests_name("plan_standins", tests, NULL, NULL);
}
