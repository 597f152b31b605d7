/* The base of a root: parts of the host, or a folder; run/root_host. */
#include <string.h>
#include <sys/statvfs.h>

#include "plan/host.h"
#include "plan/plan.h"
#include "root_world.h"
#include "run/root.h"
#include "run/source.h"

static int show_base(const struct plan *plan, struct root_base *ret_base, struct err *err)
{
	struct sources sources = {0};
	int r;

	if (sources_open(plan, &sources, err) < 0)
		return -1;
	ret_base->dir = sources.base;
	r = root_host(plan, ret_base, err);
	sources_done(&sources);
	return r;
}

static int show_folder(const struct world *w)
{
	struct plan plan = plan_of_parts(w);
	struct root_base base = {0};
	struct err err = {0};

	REQUIRE(make_parts(w) == 0);
	REQUIRE_DONE(show_base(&plan, &base, &err));
	REQUIRE(has_text("env/base/etc/os-release", "ID=tiny\n"));
	REQUIRE(!base.one_filesystem);
	plan.base_dir = "/nowhere/root";
	REQUIRE_MESSAGE(show_base(&plan, &base, &err),
			"cannot open the root folder '/nowhere/root': No such file or directory");
	return 0;
}

static void a_folder_is_the_base(void **state)
{
	in_namespace(*state, show_folder);
}

/*
 * /tmp, where the world is, as a part of a machine: with a disk of its own one step below it
 * (the world's folder), and foreign mounts deeper.
 */
static int show_entries(const struct world *w)
{
	static const struct host_entry entries[] = {{"sbin", "usr/sbin"}, {"tmp", NULL}};
	const char *inside = arena_printf(w->a, "env/base%s", w->dir);
	struct plan plan = {.entries = entries, .n_entries = N(entries), .rung = RUNG_SINGLE};
	struct root_base base = {0};
	struct statvfs vfs;
	struct err err = {0};

	REQUIRE(mkdir("ground", 0755) == 0 && mkdir("kept", 0755) == 0 && mkdir("disk", 0755) == 0);
	REQUIRE(mkdir("a b\\\n", 0755) == 0 && put_text("kept/file", "kept") == 0);
	REQUIRE(mount("none", "disk", "tmpfs", 0, "") == 0 && put_text("disk/x", "foreign") == 0);
	REQUIRE(mount("none", "a b\\\n", "tmpfs", 0, "") == 0 && put_text("a b\\\n/x", "f") == 0);
	REQUIRE(put_text("one", "one") == 0 && put_text("two", "two") == 0);
	REQUIRE(mount("one", "two", NULL, MS_BIND, NULL) == 0);
	REQUIRE(chdir("ground") == 0 && mkdir("env", 0755) == 0);
	REQUIRE_DONE(show_base(&plan, &base, &err));
	/* The world's folder is a filesystem of its own. */
	REQUIRE(!base.one_filesystem);

	REQUIRE(is_link_to("env/base/sbin", "usr/sbin") && chdir(inside) == 0);
	REQUIRE(has_text("kept/file", "kept"));
	/* Hidden, and nothing can be put there. */
	REQUIRE(access("disk", F_OK) == 0 && access("disk/x", F_OK) < 0);
	REQUIRE(access("a b\\\n", F_OK) == 0 && access("a b\\\n/x", F_OK) < 0);
	REQUIRE(statvfs("disk", &vfs) == 0 && vfs.f_flag & ST_RDONLY);
	REQUIRE(has_text("two", "one"));
	/* The machine's own are as they were. */
	REQUIRE(has_text(world_path(w, "disk/x"), "foreign"));
	return 0;
}

static void parts_of_the_host_show_without_foreign_mounts(void **state)
{
	in_namespace(*state, show_entries);
}

/* The links of an environment are from its last start. */
static int keep_links(const struct world *w)
{
	struct host_entry entry = {"lib", "usr/lib"};
	struct plan plan = {.entries = &entry, .n_entries = 1, .rung = RUNG_SINGLE};
	struct root_base base = {0};
	struct err err = {0};
	struct stat before;
	struct stat after;

	(void)w;
	REQUIRE(mkdir("env", 0755) == 0);
	REQUIRE_DONE(show_base(&plan, &base, &err));
	REQUIRE(is_link_to("env/base/lib", "usr/lib") && lstat("env/base/lib", &before) == 0);
	REQUIRE_DONE(show_base(&plan, &base, &err));
	REQUIRE(lstat("env/base/lib", &after) == 0 && after.st_ino == before.st_ino);
	entry.target = "usr/libx";
	REQUIRE_DONE(show_base(&plan, &base, &err));
	REQUIRE(is_link_to("env/base/lib", "usr/libx"));
	/* What was a folder is a link now. */
	REQUIRE(unlink("env/base/lib") == 0 && mkdir("env/base/lib", 0755) == 0);
	REQUIRE_DONE(show_base(&plan, &base, &err));
	REQUIRE(is_link_to("env/base/lib", "usr/libx"));
	return 0;
}

static void links_are_kept_while_they_are_right(void **state)
{
	in_namespace(*state, keep_links);
}

/* Without a filesystem of its own for the world: /tmp as the base of an environment that lies in it. */
static int tell_filesystems(const struct world *w)
{
	static const struct host_entry entry = {"tmp", NULL};
	struct plan plan = {.entries = &entry, .n_entries = 1, .rung = RUNG_SINGLE};
	struct root_base base = {0};
	struct err err = {0};

	REQUIRE(chdir("/") == 0 && umount2(w->dir, MNT_DETACH) == 0 && chdir(w->dir) == 0);
	REQUIRE(mkdir("env", 0755) == 0 && mkdir("deep", 0755) == 0);
	REQUIRE(put_text("deep/one", "") == 0 && put_text("deep/two", "") == 0);
	REQUIRE_DONE(show_base(&plan, &base, &err));
	if (!base.one_filesystem) {
		(void)fprintf(stderr, "# skipped: /tmp of this machine is not one filesystem\n");
		return 0;
	}
	REQUIRE(umount2("env/base/tmp", MNT_DETACH) == 0);
	/* A folder is covered; a file shows, and may have the number of another. */
	REQUIRE(mount("none", "deep", "tmpfs", 0, "") == 0);
	REQUIRE_DONE(show_base(&plan, &base, &err));
	REQUIRE(base.one_filesystem && umount2("env/base/tmp", MNT_DETACH) == 0);
	REQUIRE(umount2("deep", MNT_DETACH) == 0);
	REQUIRE(mount("/proc/version", "deep/two", NULL, MS_BIND, NULL) == 0);
	REQUIRE_DONE(show_base(&plan, &base, &err));
	REQUIRE(!base.one_filesystem && umount2("env/base/tmp", MNT_DETACH) == 0);
	/* A part of the system on a disk of its own, which shows. */
	REQUIRE(umount2("deep/two", MNT_DETACH) == 0 && mount("none", w->dir, "tmpfs", 0, "") == 0);
	REQUIRE_DONE(show_base(&plan, &base, &err));
	REQUIRE(!base.one_filesystem);
	return 0;
}

static void several_filesystems_are_noticed(void **state)
{
	in_namespace(*state, tell_filesystems);
}

static int show_what_is_not_there(const struct world *w)
{
	static const struct host_entry gone[] = {{"no-such-folder", NULL}};
	struct plan plan = {
		.env_dir = "/s/envs/e", .project = "/p", .entries = gone, .n_entries = 1};
	struct root_base base = {0};
	struct err err = {0};

	(void)w;
	REQUIRE_MESSAGE(show_base(&plan, &base, &err),
			"cannot make the folder '/s/envs/e/base': No such file or directory");
	REQUIRE(mkdir("env", 0755) == 0);
	REQUIRE_MESSAGE(show_base(&plan, &base, &err),
			"cannot open '/no-such-folder': No such file or directory");
	return 0;
}

static void a_part_that_is_gone_is_told(void **state)
{
	in_namespace(*state, show_what_is_not_there);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_folder_is_the_base),
		TEST(parts_of_the_host_show_without_foreign_mounts),
		TEST(links_are_kept_while_they_are_right),
		TEST(several_filesystems_are_noticed),
		TEST(a_part_that_is_gone_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
