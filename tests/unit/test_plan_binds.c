/* What of the host is bound where, and what never is. */
#include "plan_world.h"

static void outer_mounts_come_first(void **state)
{
	struct world *w = *state;
	const struct plan *plan;

	add_mount(w, "/srv/1", "/home/me/demo/in/side", true);
	add_mount(w, "/srv/2", "/data/x", false);
	add_mount(w, "/srv/3", "/data", false);
	add_mount(w, "/srv/4", "/home", false);
	plan = made(w);
	assert_true(bind_at(plan, "/data") < bind_at(plan, "/data/x"));
	assert_true(bind_at(plan, "/home") < bind_at(plan, "/home/me"));
	assert_true(bind_at(plan, "/home/me") < bind_at(plan, "/home/me/demo"));
	assert_true(bind_at(plan, "/home/me/demo") < bind_at(plan, "/home/me/demo/in/side"));
	assert_true(bind_at(plan, "/home/me/demo/in/side") <
		    bind_at(plan, "/home/me/demo/sbx.ini"));
	assert_true(plan->mounts[bind_at(plan, "/data")].readonly);
	assert_false(plan->mounts[bind_at(plan, "/home/me/demo/in/side")].readonly);
}

/* DESIGN.md §5.10: whatever way leads to them, the sandbox does not write its own rules. */
static void policy_is_read_only_everywhere(void **state)
{
	struct world *w = *state;
	const struct plan *plan;
	size_t bind;

	w->env.project = "/srv/work/demo";
	add_mount(w, "/srv/work", "/all", true);
	add_mount(w, ".", "/same", true);
	add_mount(w, "/srv/work", "/seen", false);
	plan = made(w);
	bind = bind_at(plan, "/all/demo/sbx.ini");
	assert_true(plan->mounts[bind].readonly);
	assert_false(plan->mounts[bind].optional);
	assert_string_equal(plan->mounts[bind].source, "/srv/work/demo/sbx.ini");
	assert_true(bind > bind_at(plan, "/all"));
	assert_true(plan->mounts[bind_at(plan, "/same/.sbx")].readonly);
	assert_true(plan->mounts[bind_at(plan, "/same/sbx.lock")].optional);
	assert_true(plan->mounts[bind_at(plan, "/srv/work/demo/.sbx")].readonly);

	add_mount(w, ".sbx/cache", "/mnt/c", true);
	refused(w,
		"sbx.ini:5: cannot mount '/srv/work/demo/.sbx/cache' writable: it rules this "
		"sandbox",
		"mount it read-only: end the line with `:ro`");
}

/* conf/ refuses these while reading; the plan does not lean on it. */
static void own_places_are_refused(void **state)
{
	static const char *const places[] = {"/",        "/dev", "/dev/pts", "/run",
					     "/run/sbx", "/sys", "/proc/x",  "/run/sbx/bin"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct world *w = *state;

		w->profile.mounts.n = 0;
		add_mount(w, "/srv/x", places[i], false);
		refused(w,
			arena_printf(w->a,
				     "sbx.ini:2: cannot mount at '%s': sbx itself fills that "
				     "place",
				     places[i]),
			"choose another path inside, such as '/mnt/x'");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(outer_mounts_come_first),
		WORLD_TEST(policy_is_read_only_everywhere),
		WORLD_TEST(own_places_are_refused),
	};

	return cmocka_run_group_tests_name("plan_binds", tests, NULL, NULL);
}
