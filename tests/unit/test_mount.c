/* What lies over the root, mounted in a user namespace: run/mount.  Binds: test_mount_bind.c. */
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>

#include "mount_world.h"
#include "run/mount.h"

static int mount_tmpfs(const struct world *w)
{
	static struct mount_step steps[] = {
		{.kind = MOUNT_TMPFS, .target = "/tmp", .data = "mode=1777,size=64k"},
		{.kind = MOUNT_TMPFS, .target = "/new/deep/run", .data = "mode=755"},
		{.kind = MOUNT_DIR, .target = "/new/deep/run/user", .mode = 0711},
		{.kind = MOUNT_DIR, .target = "/new/deep/run/user/7", .mode = 0700, .self = true},
		{.kind = MOUNT_FILE,
		 .target = "/new/deep/run/file",
		 .data = "text\n",
		 .mode = 0640},
		{.kind = MOUNT_FILE, .target = "/new/deep/run/empty", .mode = 0444},
		{.kind = MOUNT_LINK, .target = "/new/deep/run/link", .source = "/anywhere"},
		/* One in another. */
		{.kind = MOUNT_TMPFS, .target = "/tmp/inner", .data = "mode=700"},
		{.kind = MOUNT_FILE, .target = "/tmp/inner/file", .data = "i", .mode = 0600},
	};
	struct plan plan = plan_of(w, steps, N(steps));
	struct statvfs vfs;
	struct err err = {0};

	REQUIRE(make_ground() == 0);
	REQUIRE_DONE(mount_sources(&plan, &err));
	REQUIRE(statvfs("root/tmp", &vfs) == 0 && vfs.f_blocks * vfs.f_frsize == 65536);
	REQUIRE((vfs.f_flag & (ST_NOSUID | ST_NODEV)) == (ST_NOSUID | ST_NODEV));
	REQUIRE(mode_of("root/tmp") == 01777 && mode_of("root/new/deep/run") == 0755);
	REQUIRE(mode_of("root/new/deep/run/user") == 0711);
	REQUIRE(mode_of("root/new/deep/run/user/7") == 0700);
	REQUIRE(has_text("root/new/deep/run/file", "text\n"));
	REQUIRE(mode_of("root/new/deep/run/file") == 0640);
	REQUIRE(has_text("root/new/deep/run/empty", "") &&
		mode_of("root/new/deep/run/empty") == 0444);
	REQUIRE(is_link_to("root/new/deep/run/link", "/anywhere"));
	REQUIRE(has_text("root/tmp/inner/file", "i") && mode_of("root/tmp/inner") == 0700);
	REQUIRE(all_below_root());
	return 0;
}

static void folders_of_its_own_are_filled(void **state)
{
	in_namespace(*state, mount_tmpfs);
}

static int mount_dev(const struct world *w)
{
	static struct mount_step steps[] = {
		{.kind = MOUNT_TMPFS, .target = "/dev", .data = "mode=755"},
		{.kind = MOUNT_DEV, .target = "/dev/null", .source = "/dev/null"},
		{.kind = MOUNT_DEV, .target = "/dev/full", .source = "/dev/full"},
		{.kind = MOUNT_DEVPTS, .target = "/dev/pts"},
		{.kind = MOUNT_LINK, .target = "/dev/ptmx", .source = "pts/ptmx"},
		{.kind = MOUNT_MQUEUE, .target = "/dev/mqueue"},
	};
	struct plan plan = plan_of(w, steps, N(steps));
	_cleanup_fd_ int fd = -1;
	struct err err = {0};
	struct stat st;

	REQUIRE(make_ground() == 0);
	REQUIRE_DONE(mount_sources(&plan, &err));
	REQUIRE(stat("root/dev/null", &st) == 0 && S_ISCHR(st.st_mode));
	REQUIRE(st.st_rdev == makedev(1, 3));
	REQUIRE(put_text("root/dev/null", "gone") == 0 && put_text("root/dev/full", "x") < 0);
	REQUIRE(errno == ENOSPC);
	/* An instance of its own, in which terminals can be made. */
	REQUIRE(mode_of("root/dev/pts/ptmx") == 0666 && access("root/dev/pts/0", F_OK) < 0);
	fd = open("root/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	REQUIRE(fd >= 0 && mode_of("root/dev/pts/0") == 0620);
	/* The host's other devices are not there. */
	REQUIRE(access("root/dev/fuse", F_OK) < 0 && access("root/dev/zero", F_OK) < 0);
	return 0;
}

static void devices_are_the_hosts_and_terminals_its_own(void **state)
{
	in_namespace(*state, mount_dev);
}

static int mount_false_device(const struct world *w)
{
	static struct mount_step steps[] = {
		{.kind = MOUNT_TMPFS, .target = "/dev", .data = "mode=755"},
		{.kind = MOUNT_DEV, .target = "/dev/null", .source = "/proc/version"},
	};
	struct plan plan = plan_of(w, steps, N(steps));
	struct err err = {0};

	REQUIRE(make_ground() == 0);
	REQUIRE_MESSAGE(mount_sources(&plan, &err),
			"cannot mount '/dev/null': cannot use the host's "
			"'/proc/version': it is no device");
	steps[1].source = "/nowhere";
	REQUIRE_MESSAGE(mount_sources(&plan, &err),
			"cannot mount '/dev/null': cannot open the host's "
			"'/nowhere': No such file or directory");
	return 0;
}

static void a_false_device_is_refused(void **state)
{
	in_namespace(*state, mount_false_device);
}

static int mount_masks(const struct world *w)
{
	static struct mount_step steps[] = {
		{.kind = MOUNT_TMPFS, .target = "/t", .data = "mode=755"},
		{.kind = MOUNT_DIR, .target = "/t/own", .mode = 0755},
		{.kind = MOUNT_FILE, .target = "/t/own/file", .data = "seen", .mode = 0644},
		{.kind = MOUNT_MASK, .target = "/t/own"},
		{.kind = MOUNT_MASK, .target = "/masked"},
		{.kind = MOUNT_MASK, .target = "/masked-file"},
		{.kind = MOUNT_MASK, .target = "/not/there"},
		{.kind = MOUNT_READONLY, .target = "/kept"},
		{.kind = MOUNT_READONLY, .target = "/kept-file"},
		{.kind = MOUNT_READONLY, .target = "/neither"},
	};
	struct plan plan = plan_of(w, steps, N(steps));
	struct err err = {0};

	REQUIRE(make_ground() == 0);
	REQUIRE(mkdir("root/masked", 0755) == 0 && put_text("root/masked/x", "secret") == 0);
	REQUIRE(put_text("root/masked-file", "secret") == 0);
	REQUIRE(mkdir("root/kept", 0755) == 0 && put_text("root/kept/x", "seen") == 0);
	REQUIRE(put_text("root/kept-file", "seen") == 0);
	REQUIRE_DONE(mount_sources(&plan, &err));
	REQUIRE(access("root/masked", F_OK) == 0 && access("root/masked/x", F_OK) < 0);
	REQUIRE(has_text("root/masked-file", "") && access("root/t/own/file", F_OK) < 0);
	REQUIRE(mkdir("root/masked/y", 0755) < 0 && errno == EROFS);
	REQUIRE(put_text("root/masked-file", "y") < 0 && errno == EROFS);
	REQUIRE(has_text("root/kept/x", "seen") && has_text("root/kept-file", "seen"));
	REQUIRE(put_text("root/kept/x", "y") < 0 && errno == EROFS);
	REQUIRE(put_text("root/kept-file", "y") < 0 && errno == EROFS);
	REQUIRE(access("root/not", F_OK) < 0 && access("root/neither", F_OK) < 0);
	return 0;
}

static void what_must_not_be_seen_or_written_is_covered(void **state)
{
	in_namespace(*state, mount_masks);
}

/* A new /proc is for the owner of a pid namespace. */
static int mount_proc(const struct world *w)
{
	static struct mount_step step = {.kind = MOUNT_PROC, .target = "/proc"};
	struct plan plan = plan_of(w, &step, 1);
	struct err err = {0};

	REQUIRE(make_ground() == 0);
	REQUIRE_MESSAGE(mount_sources(&plan, &err), "cannot mount '/proc': cannot make a 'proc' "
						    "filesystem: Operation not permitted");
	REQUIRE(strcmp(err.hint, "inside a container whose /proc is masked there can be no new "
				 "one; `sbx doctor` says more") == 0);
	/* Of sysfs the same holds for the network namespace; one can do without. */
	step.kind = MOUNT_SYSFS;
	REQUIRE_DONE(mount_sources(&plan, &err));
	return 0;
}

static void without_a_new_proc_there_is_a_hint(void **state)
{
	in_namespace(*state, mount_proc);
}

static int fail_with_place(const struct world *w)
{
	static struct mount_step step = {.kind = MOUNT_TMPFS,
					 .target = "/tmp",
					 .data = "mode=nonsense",
					 .at = {"sbx.ini", 7, false}};
	struct plan plan = plan_of(w, &step, 1);
	struct err err = {0};

	plan.n_mounts = 0;
	REQUIRE_MESSAGE(mount_sources(&plan, &err),
			"cannot open the root: No such file or directory");
	plan.n_mounts = 1;
	REQUIRE(make_ground() == 0);
	REQUIRE(mount_sources(&plan, &err) < 0);
	REQUIRE(str_starts(err.msg, "sbx.ini:7: cannot mount at '/tmp': cannot make a 'tmpfs' "
				    "filesystem: "));
	return 0;
}

static void the_line_of_the_profile_is_named(void **state)
{
	in_namespace(*state, fail_with_place);
}

/* Each name where something is mounted leads away: THREATS A1. */
static int mount_over_links(const struct world *w)
{
	static struct mount_step steps[] = {
		{.kind = MOUNT_TMPFS, .target = "/dev", .data = "mode=755"},
		{.kind = MOUNT_DEV, .target = "/dev/null", .source = "/dev/null"},
		{.kind = MOUNT_TMPFS, .target = "/tmp", .data = "mode=755"},
		{.kind = MOUNT_FILE, .target = "/tmp/mark", .data = "mark", .mode = 0644},
		{.kind = MOUNT_TMPFS, .target = "/run", .data = "mode=755"},
		{.kind = MOUNT_FILE, .target = "/run/mark", .data = "mark", .mode = 0644},
		{.kind = MOUNT_TMPFS, .target = "/a/b/c", .data = "mode=755"},
		{.kind = MOUNT_MASK, .target = "/masked"},
		{.kind = MOUNT_READONLY, .target = "/kept"},
	};
	struct plan plan = plan_of(w, steps, N(steps));
	const char *outside = world_path(w, "outside");
	struct err err = {0};

	REQUIRE(make_ground() == 0 && mkdir("outside", 0755) == 0 && chdir("root") == 0);
	REQUIRE(put_text("../outside/canary", "canary") == 0);
	REQUIRE(symlink("/etc", "dev") == 0 && symlink("../../../../../tmp-of-root", "tmp") == 0);
	REQUIRE(symlink("../outside", "run") == 0 && symlink(outside, "a") == 0);
	REQUIRE(symlink("../outside/canary", "masked") == 0 && symlink("../outside", "kept") == 0);
	REQUIRE(chdir("..") == 0);
	REQUIRE_DONE(mount_sources(&plan, &err));

	REQUIRE(all_below_root());
	REQUIRE(has_text("outside/canary", "canary") && put_text("outside/canary", "new") == 0);
	REQUIRE(access("outside/mark", F_OK) < 0 && access("outside/b", F_OK) < 0);
	/* Where the links lead as seen from inside. */
	REQUIRE(access("root/etc/null", F_OK) == 0 && has_text("root/tmp-of-root/mark", "mark"));
	REQUIRE(has_text("root/outside/mark", "mark"));
	return 0;
}

static void links_of_the_root_never_lead_out(void **state)
{
	in_namespace(*state, mount_over_links);
}

static int mount_over_magic(const struct world *w)
{
	static struct mount_step step = {.kind = MOUNT_TMPFS, .target = "/run", .data = "mode=755"};
	struct plan plan = plan_of(w, &step, 1);
	struct err err = {0};

	/* The host's own /proc in the root, as an image's folder of links would like to have it. */
	REQUIRE(make_ground() == 0 && mkdir("root/proc", 0755) == 0);
	REQUIRE(mount("/proc", "root/proc", NULL, MS_BIND | MS_REC, NULL) == 0);
	REQUIRE(symlink("/proc/self/cwd", "root/run") == 0);
	REQUIRE_MESSAGE(
		mount_sources(&plan, &err),
		"cannot mount '/run': cannot open '/run': Too many levels of symbolic links");
	return 0;
}

static void magic_links_are_not_followed(void **state)
{
	in_namespace(*state, mount_over_magic);
}

static int enter(const struct world *w)
{
	struct err err = {0};

	REQUIRE(make_ground() == 0 && mkdir("root/sub", 0755) == 0);
	REQUIRE(put_text("root/file", "inside") == 0);
	/* A root has to be a mount of its own. */
	REQUIRE_MESSAGE(mount_enter(&err), "cannot change to the new root: Invalid argument");
	REQUIRE(chdir(w->dir) == 0 && mount("root", "root", NULL, MS_BIND, NULL) == 0);
	REQUIRE_DONE(mount_enter(&err));
	REQUIRE(has_text("/file", "inside") && has_text("file", "inside"));
	REQUIRE(access("/usr", F_OK) < 0 && access("/../../usr", F_OK) < 0);
	REQUIRE(access("/proc/self/mountinfo", F_OK) < 0);
	return 0;
}

static void the_new_root_is_all_there_is(void **state)
{
	in_namespace(*state, enter);
}

static void the_nearest_own_mount_is_where_a_path_starts(void **state)
{
	struct mount_own own[] = {{"/run/user/7", 12}, {"/run", 11}, {"/dev", 13}};
	const struct mounting m = {.root = 10, .own = own, .n_own = 3};
	const char *rest = NULL;

	(void)state;
	assert_int_equal(mount_start(&m, "/etc/x", &rest), 10);
	assert_string_equal(rest, "/etc/x");
	assert_int_equal(mount_start(&m, "/run/lock", &rest), 11);
	assert_string_equal(rest, "/lock");
	assert_int_equal(mount_start(&m, "/run/user/7/x/y", &rest), 12);
	assert_string_equal(rest, "/x/y");
	assert_int_equal(mount_start(&m, "/run", &rest), 11);
	assert_string_equal(rest, "/");
	assert_int_equal(mount_start(&m, "/running", &rest), 10);
	assert_string_equal(rest, "/running");
}

static void nothing_made_can_be_done_with(void **state)
{
	struct mounting zero = {0};

	(void)state;
	mounting_done(NULL);
	mounting_done(&zero);
	assert_null(zero.made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_made_can_be_done_with),
		TEST(folders_of_its_own_are_filled),
		TEST(devices_are_the_hosts_and_terminals_its_own),
		TEST(a_false_device_is_refused),
		TEST(what_must_not_be_seen_or_written_is_covered),
		TEST(without_a_new_proc_there_is_a_hint),
		TEST(the_line_of_the_profile_is_named),
		TEST(links_of_the_root_never_lead_out),
		TEST(magic_links_are_not_followed),
		TEST(the_new_root_is_all_there_is),
		TEST(the_nearest_own_mount_is_where_a_path_starts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
