/* What the profile asks in vain, and what the machine lacks (plan/plan_root). */
#include "plan_world.h"

static void limits_need_best_effort(void **state)
{
	struct world *w = *state;

	w->profile.limits.pids =
		(struct u64_value){.n = 9, .set = true, .at = {"sbx.ini", 7, false}};
	refused(w, "sbx.ini:7: cannot limit 'pids': limits cannot be enforced yet",
		"remove the line, or put `best-effort = yes` under [limits] to go on without it");
	w->profile.limits.best_effort.on = true;
	(void)made(w);
}

/* A root that holds them would show the home, the store and the project. */
static void base_shows_nothing_private(void **state)
{
	static const struct {
		const char *dir, *shows;
	} dirs[] = {{"/", "/home/me"},
		    {"~", "/home/me"},
		    {".", "/home/me/demo"},
		    {"~/.local", "/home/me/.local/share/sbx"},
		    {"~/.local/share/sbx/envs", "/home/me/.local/share/sbx"}};
	struct world *w = *state;

	w->profile.base.kind = BASE_DIR;
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		const char *full = path_expand_home(w->a, dirs[i].dir, "/home/me");

		if (str_eq(full, "."))
			full = "/home/me/demo";
		w->profile.base.ref = dirs[i].dir;
		refused(w,
			arena_printf(w->a, "cannot use '%s' as the root: it would show '%s'", full,
				     dirs[i].shows),
			"give a folder that holds an unpacked root and nothing else, or use "
			"`image = host`");
	}
	w->profile.base.ref = "rootfs";
	assert_string_equal(made(w)->base_dir, "/home/me/demo/rootfs");
}

static void needs_of_the_root(void **state)
{
	struct world *w = *state;

	w->facts.dev_fuse = false;
	refused(w, "cannot mount the root: '/dev/fuse' cannot be opened",
		"sudo modprobe fuse && sudo chmod 0666 /dev/fuse; `sbx doctor` checks it");
	w->facts.dev_fuse = true;
	w->facts.fuse_overlayfs = NULL;
	assert_int_equal(made(w)->driver, ROOT_KERNEL);
	w->facts.overlay_userxattr = false;
	refused(w, "cannot mount the root: fuse-overlayfs is not installed",
		"sudo apt install fuse-overlayfs");
	/* The kernel's overlay over a folder needs neither. */
	w->facts.overlay_userxattr = true;
	w->facts.dev_fuse = false;
	w->profile.base.kind = BASE_DIR;
	w->profile.base.ref = "/srv/root";
	assert_int_equal(made(w)->driver, ROOT_KERNEL);
	w->facts.userns = false;
	w->facts.userns_why = "user.max_user_namespaces is 0";
	refused(w, "cannot make a user namespace: user.max_user_namespaces is 0",
		"`sbx doctor` prints the command that permits it");
}

static void needs_of_the_network(void **state)
{
	struct world *w = *state;

	w->facts.dev_tun = false;
	refused(w, "cannot set up the network: '/dev/net/tun' cannot be opened",
		"sudo modprobe tun && sudo chmod 0666 /dev/net/tun; or go without a network: "
		"`mode = none` under [network]");
	w->facts.slirp4netns = NULL;
	refused(w, "cannot set up the network: slirp4netns is not installed",
		"sudo apt install slirp4netns; or go without a network: `mode = none` under "
		"[network]");
	w->profile.net.driver = NETDRV_PASTA;
	refused(w, "cannot set up the network: pasta is not installed",
		"sudo apt install passt; or use `driver = auto` under [network]");
	w->profile.net.mode = NET_HOST;
	assert_null(made(w)->slirp4netns);
}

/* What somebody else wrote is bytes in a message, never a format: THREATS.md A10. */
static void names_are_data(void **state)
{
	struct world *w = *state;
	struct mount_value mount = {
		.host = "/srv", .inside = "/proc/%s%n%s", .at = {"100%n.ini", 3, false}};

	w->profile.mounts.v = &mount;
	w->profile.mounts.n = 1;
	refused(w, "100%n.ini:3: cannot mount at '/proc/%s%n%s': sbx itself fills that place",
		"choose another path inside, such as '/mnt/srv'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(limits_need_best_effort), WORLD_TEST(base_shows_nothing_private),
		WORLD_TEST(needs_of_the_root),       WORLD_TEST(needs_of_the_network),
		WORLD_TEST(names_are_data),
	};

	return cmocka_run_group_tests_name("plan_refuse", tests, NULL, NULL);
}
