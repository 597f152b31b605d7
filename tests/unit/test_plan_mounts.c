/* What sbx itself lays over the root. */
#include "plan_world.h"

static const struct mount_step *step_of(const struct plan *plan, enum mount_kind kind,
					const char *target)
{
	for (size_t i = 0; i < plan->n_mounts; i++)
		if (plan->mounts[i].kind == kind && str_eq(plan->mounts[i].target, target))
			return &plan->mounts[i];
	return NULL;
}

/* Devices, folders and files that no mount gives need the tmpfs that they are made on. */
static void made_on_a_tmpfs(void **state)
{
	struct world *w = *state;
	const struct plan *plan = made(w);

	for (size_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];
		bool found = false;

		if (step->kind != MOUNT_DEV && step->kind != MOUNT_LINK &&
		    step->kind != MOUNT_DIR && step->kind != MOUNT_FILE)
			continue;
		for (size_t j = 0; j < i; j++)
			if (plan->mounts[j].kind == MOUNT_TMPFS &&
			    path_is_under(step->target, plan->mounts[j].target))
				found = true;
		if (!found)
			fail_msg("no tmpfs for %s", step->target);
	}
}

/* THREATS.md B8 names them. */
static void what_tells_of_the_machine_is_masked(void **state)
{
	static const char *const masked[] = {"/proc/acpi",
					     "/proc/interrupts",
					     "/proc/kallsyms",
					     "/proc/kcore",
					     "/proc/keys",
					     "/proc/sched_debug",
					     "/proc/scsi",
					     "/proc/sysrq-trigger",
					     "/proc/timer_list",
					     "/sys/firmware",
					     "/sys/devices/virtual/powercap"};
	struct world *w = *state;
	const struct plan *plan = made(w);
	const struct mount_step *proc = step_of(plan, MOUNT_PROC, "/proc");

	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++) {
		const struct mount_step *mask = step_of(plan, MOUNT_MASK, masked[i]);

		assert_non_null(mask);
		if (path_is_under(masked[i], "/proc"))
			assert_true(mask > proc);
	}
	assert_non_null(step_of(plan, MOUNT_READONLY, "/proc/sys"));
}

/* THREATS.md B11: these devices and no other. */
static void only_harmless_devices(void **state)
{
	static const char *const fine[] = {"/dev/null",   "/dev/zero",    "/dev/full",
					   "/dev/random", "/dev/urandom", "/dev/tty"};
	struct world *w = *state;
	const struct plan *plan = made(w);
	size_t n = 0;

	for (size_t i = 0; i < plan->n_mounts; i++)
		n += plan->mounts[i].kind == MOUNT_DEV;
	assert_int_equal(n, sizeof(fine) / sizeof(fine[0]));
	for (size_t i = 0; i < n; i++)
		assert_string_equal(step_of(plan, MOUNT_DEV, fine[i])->source, fine[i]);
}

static void sysfs_needs_an_own_network(void **state)
{
	struct world *w = *state;

	assert_true(step_of(made(w), MOUNT_SYSFS, "/sys")->readonly);
	w->profile.net.mode = NET_NONE;
	assert_non_null(step_of(made(w), MOUNT_SYSFS, "/sys"));
	w->profile.net.mode = NET_HOST;
	assert_null(step_of(made(w), MOUNT_SYSFS, "/sys"));
}

static void sudo_only_with_its_helper(void **state)
{
	struct world *w = *state;
	const struct mount_step *bind = step_of(made(w), MOUNT_BIND, "/run/sbx/bin/sudo");

	assert_string_equal(bind->source, "/usr/libexec/sbx/sbx-sudo");
	assert_true(bind->readonly);
	w->env.sudo_helper = false;
	w->env.sudo_path = NULL;
	assert_null(step_of(made(w), MOUNT_BIND, "/run/sbx/bin/sudo"));
	assert_null(step_of(made(w), MOUNT_FILE, "/run/sbx/bin/sudo"));
	assert_null(standin_of(made(w), "/usr/local/bin/sudo"));
}

/* What a step writes anywhere stays in its layer, and nothing tells of who builds. */
static void a_build_has_nothing_of_its_own(void **state)
{
	static const struct plan_image image = {.ref = "scratch", .digest = ""};
	struct world *w = *state;
	const struct plan *plan;

	w->env.build = true;
	w->env.project = "/home/me";
	w->env.image = &image;
	w->env.sudo_helper = false;
	w->profile.base.kind = BASE_REGISTRY;
	plan = made(w);
	assert_null(step_of(plan, MOUNT_TMPFS, "/tmp"));
	assert_null(step_of(plan, MOUNT_TMPFS, "/run"));
	assert_non_null(step_of(plan, MOUNT_TMPFS, "/run/sbx"));
	assert_non_null(standin_of(plan, "/run/sbx"));
	assert_null(standin_of(plan, "/etc/passwd"));
	for (size_t i = 0; i < plan->n_mounts; i++)
		assert_true(plan->mounts[i].kind != MOUNT_BIND);
	for (const char *const *v = (const char *const *)plan->env; *v; v++)
		assert_null(strstr(*v, "me"));
}

/* But for a step of [build]: it may read the project. */
static void a_step_of_the_profile_sees_the_project(void **state)
{
	struct world *w = *state;
	const struct mount_step *bind;

	w->env.build = w->env.build_project = true;
	w->env.sudo_helper = false;
	bind = step_of(made(w), MOUNT_BIND, w->env.project);
	assert_string_equal(bind->source, w->env.project);
	assert_true(bind->readonly);
	assert_non_null(standin_of(made(w), w->env.project));
	w->env.project = "/home/me";
	refused(w, "cannot use '/home/me' as a project: it holds your home folder '/home/me'",
		"make a folder of its own for the project, and run `sbx init` in it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(made_on_a_tmpfs),
		WORLD_TEST(what_tells_of_the_machine_is_masked),
		WORLD_TEST(only_harmless_devices),
		WORLD_TEST(sysfs_needs_an_own_network),
		WORLD_TEST(sudo_only_with_its_helper),
		WORLD_TEST(a_build_has_nothing_of_its_own),
		WORLD_TEST(a_step_of_the_profile_sees_the_project),
	};

	return cmocka_run_group_tests_name("plan_mounts", tests, NULL, NULL);
}
