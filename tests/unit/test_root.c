/* The root filesystem, built in a user namespace: run/root, run/root_host, run/root_standin and
 * run/root_fuse. */
#include <string.h>
#include <sys/statvfs.h>

#include "plan/host.h"
#include "plan/plan.h"
#include "run/root.h"
#include "run/service.h"
#include "run/source.h"
#include "run_world.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* As the supervisor does it. */
static int build_root(const struct plan *plan, int lock, struct service *ret_fuse, struct err *err)
{
	struct sources sources = {0};
	int r;

	if (sources_open(plan, &sources, err) < 0)
		return -1;
	r = root_build(plan, sources.base, lock, ret_fuse, err);
	sources_done(&sources);
	return r;
}

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

static mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_mode & 07777 : (mode_t)-1;
}

static bool is_link_to(const char *path, const char *target)
{
	char text[256];
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	return strcmp(text, target) == 0;
}

/* A small root, an environment and a project, in the world's tmpfs. */
static int make_parts(const struct world *w)
{
	static const char *const folders[] = {
		"base", "base/etc", "base/usr",  "base/secret", "base/odd", "project",
		"env",  "env/work", "env/upper", "env/home",    "env/run",
	};

	(void)w;
	for (size_t i = 0; i < N(folders); i++)
		REQUIRE(mkdir(folders[i], 0755) == 0);
	REQUIRE(put_text("base/etc/os-release", "ID=tiny\n") == 0);
	REQUIRE(put_text("base/etc/resolv.conf", "of the image\n") == 0);
	REQUIRE(put_text("base/secret/key", "x") == 0);
	REQUIRE(put_text("base/odd/copied", "copied\n") == 0);
	REQUIRE(chmod("base/odd", 0711) == 0);
	return 0;
}

static struct plan plan_of_parts(const struct world *w)
{
	static struct standin standins[] = {
		{.kind = STANDIN_DIR, .path = "/etc", .mode = 0755},
		{.kind = STANDIN_FILE,
		 .path = "/etc/resolv.conf",
		 .data = "of sbx\n",
		 .mode = 0644},
		{.kind = STANDIN_FILE, .path = "/etc/shadow", .mode = 0640},
		{.kind = STANDIN_DIR, .path = "/new", .mode = 01777},
		{.kind = STANDIN_LINK, .path = "/new/link", .data = "../etc"},
		{.kind = STANDIN_DIR, .path = "/odd", .mode = 0755},
		{.kind = STANDIN_COPY, .path = "/odd/copied", .mode = 0604},
		{.kind = STANDIN_COPY, .path = "/odd/gone", .mode = 0600},
	};

	return (struct plan){
		.rung = RUNG_SINGLE,
		.env_dir = world_path(w, "store/envs/env"), /* only compared, and named */
		.project = world_path(w, "project"),
		.base_dir = world_path(w, "base"),
		.base = BASE_DIR,
		.driver = ROOT_KERNEL,
		.fuse_options = "",
		.standins = standins,
		.n_standins = N(standins),
	};
}

/* In the folder `at`. */
static int look_at_standins(const char *at)
{
	_cleanup_free_ char *back = getcwd(NULL, 0);
	struct stat st;

	REQUIRE(back && chdir(at) == 0);
	REQUIRE(has_text("etc/resolv.conf", "of sbx\n") && mode_of("etc/resolv.conf") == 0644);
	REQUIRE(has_text("etc/shadow", "") && mode_of("etc/shadow") == 0640);
	REQUIRE(mode_of("new") == 01777 && is_link_to("new/link", "../etc"));
	/* A folder that is merged keeps the mode of the base's. */
	REQUIRE(mode_of("odd") == 0711);
	REQUIRE(has_text("odd/copied", "copied\n") && mode_of("odd/copied") == 0604);
	REQUIRE(stat("odd/copied", &st) == 0 && st.st_mtim.tv_sec == 2000);
	REQUIRE(stat("etc/shadow", &st) == 0 && st.st_uid == 0 && st.st_gid == 0);
	REQUIRE(chdir(back) == 0);
	return 0;
}

static int make_standins(const struct world *w)
{
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	struct plan plan = plan_of_parts(w);
	struct standin opaque = {.kind = STANDIN_OPAQUE, .path = "/secret", .mode = 0711};
	struct standin twice[] = {opaque, opaque};
	struct root_base base = {0};
	struct err err = {0};
	char message[256];

	REQUIRE(make_parts(w) == 0 && rename("base", "env/base") == 0);
	REQUIRE(utimensat(AT_FDCWD, "env/base/odd/copied", times, 0) == 0);
	REQUIRE_DONE(root_standins(&plan, &base, &err));
	REQUIRE(str_starts(base.standin, "env/standin/") && look_at_standins(base.standin) == 0);
	plan.standins = &opaque;
	plan.n_standins = 1;
	REQUIRE_DONE(root_standins(&plan, &base, &err));
	REQUIRE(chdir(base.standin) == 0);
	REQUIRE(access("secret/.wh..wh..opq", F_OK) == 0 && mode_of("secret") == 0711);
	REQUIRE(chdir(w->dir) == 0);
	plan.standins = twice;
	plan.n_standins = 2;
	(void)snprintf(message, sizeof(message),
		       "cannot make the stand-in '/secret' in '%s': File exists", plan.env_dir);
	REQUIRE_MESSAGE(root_standins(&plan, &base, &err), message);
	return 0;
}

static void standins_have_their_content_and_modes(void **state)
{
	in_namespace(*state, make_standins);
}

/* Are those that are kept used again?  Then a mark in them is still there. */
static bool are_kept(const struct plan *plan)
{
	struct root_base base = {0};
	struct err err = {0};
	_cleanup_free_ char *mark = NULL;

	if (root_standins(plan, &base, &err) < 0)
		return false;
	mark = xasprintf("%s/mark", base.standin);
	if (access(mark, F_OK) == 0)
		return true;
	if (put_text(mark, "") < 0)
		(void)fprintf(stderr, "# cannot mark %s\n", mark);
	return false;
}

static size_t count_of(const char *path)
{
	_cleanup_dir_ DIR *d = opendir(path);
	const struct dirent *entry;
	size_t n = 0;

	while (d && (entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	return n;
}

static int keep_standins(const struct world *w)
{
	struct plan plan = plan_of_parts(w);
	struct standin standins[16];

	memcpy(standins, plan.standins, plan.n_standins * sizeof(*standins));
	plan.standins = standins;
	REQUIRE(make_parts(w) == 0 && rename("base", "env/base") == 0);
	REQUIRE(!are_kept(&plan) && are_kept(&plan) && are_kept(&plan));
	/* Whatever they depend on makes them anew, and what was kept goes. */
	standins[1].data = "other\n";
	REQUIRE(!are_kept(&plan) && are_kept(&plan) && count_of("env/standin") == 1);
	standins[2].mode = 0600;
	REQUIRE(!are_kept(&plan) && are_kept(&plan));
	standins[2].self = true;
	REQUIRE(!are_kept(&plan) && are_kept(&plan));
	plan.n_standins--;
	REQUIRE(!are_kept(&plan) && are_kept(&plan));
	REQUIRE(put_text("env/base/odd/copied", "longer than it was") == 0);
	REQUIRE(!are_kept(&plan) && are_kept(&plan));
	REQUIRE(chmod("env/base/odd", 0751) == 0);
	REQUIRE(!are_kept(&plan) && are_kept(&plan));
	/* What is half made was never renamed. */
	REQUIRE(count_of("env/standin") == 1 && mkdir("env/standin/new", 0755) == 0);
	standins[2].mode = 0640;
	REQUIRE(!are_kept(&plan) && are_kept(&plan) && count_of("env/standin") == 1);
	return 0;
}

static void standins_are_kept_while_nothing_changes(void **state)
{
	in_namespace(*state, keep_standins);
}

/* What is the same by either driver. */
static int look_at_root(const struct world *w)
{
	const char *upper = world_path(w, "env/upper/written");

	/* The ground is not where the environment is, or it would hide it. */
	REQUIRE(access("root/etc", F_OK) == 0 && access(world_path(w, "env/upper"), F_OK) == 0);
	REQUIRE(has_text("root/etc/os-release", "ID=tiny\n"));
	REQUIRE(look_at_standins("root") == 0);
	REQUIRE(access("empty", F_OK) == 0 && has_text("nothing", ""));
	/* Writing reaches the upper folder alone. */
	REQUIRE(put_text("root/written", "w\n") == 0 && has_text(upper, "w\n"));
	REQUIRE(put_text("root/etc/os-release", "changed\n") == 0);
	REQUIRE(has_text(world_path(w, "base/etc/os-release"), "ID=tiny\n"));
	REQUIRE(access(world_path(w, "env/upper/new"), F_OK) < 0);
	return 0;
}

static int build_by_kernel(const struct world *w)
{
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	struct plan plan = plan_of_parts(w);
	struct service fuse = SERVICE_NONE;
	struct err err = {0};

	REQUIRE(make_parts(w) == 0);
	REQUIRE(utimensat(AT_FDCWD, "base/odd/copied", times, 0) == 0 && chdir("env") == 0);
	if (build_root(&plan, -1, &fuse, &err) < 0 &&
	    (err.errnum == EINVAL || err.errnum == ENODEV))
		return NOT_HAD; /* before Linux 6.6 a tmpfs has no attributes of users */
	REQUIRE(strcmp(err.msg, "") == 0 && fuse.pid == 0);
	return look_at_root(w);
}

static void the_kernels_overlay_is_built(void **state)
{
	in_namespace(*state, build_by_kernel);
}

static int build_without_work(const struct world *w)
{
	struct plan plan = plan_of_parts(w);
	struct service fuse = SERVICE_NONE;
	struct err err = {0};

	REQUIRE(make_parts(w) == 0 && rmdir("env/work") == 0 && chdir("env") == 0);
	REQUIRE_MESSAGE(build_root(&plan, -1, &fuse, &err),
			"cannot mount the root with overlayfs: No such file or directory");
	return 0;
}

static void an_overlay_that_does_not_mount_is_told(void **state)
{
	in_namespace(*state, build_without_work);
}

static int build_without_upper(const struct world *w)
{
	struct plan plan = plan_of_parts(w);
	struct service fuse = SERVICE_NONE;
	struct err err = {0};
	char message[512];

	REQUIRE(make_parts(w) == 0 && rmdir("env/upper") == 0 && symlink("work", "env/upper") == 0);
	REQUIRE(chdir("env") == 0);
	(void)snprintf(message, sizeof(message), "cannot look at '%s/upper': Not a directory",
		       plan.env_dir);
	REQUIRE_MESSAGE(build_root(&plan, -1, &fuse, &err), message);
	return 0;
}

static void an_upper_that_is_a_link_is_refused(void **state)
{
	in_namespace(*state, build_without_upper);
}

static int end(struct service *fuse)
{
	struct err err = {0};
	int status = 0;

	REQUIRE(umount2("root", MNT_DETACH) == 0);
	while (fuse->err_fd >= 0 && readable(fuse->err_fd))
		service_listen(fuse);
	REQUIRE_DONE(proc_wait(fuse->pid, &status, &err));
	if (status != 0)
		(void)fprintf(stderr, "# %s\n", fuse->tail);
	REQUIRE(status == 0);
	return 0;
}

static int build_by_fuse(const struct world *w)
{
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	static struct standin opaque[] = {
		{.kind = STANDIN_OPAQUE, .path = "/secret", .mode = 0700}};
	struct plan plan = plan_of_parts(w);
	_cleanup_fd_ int lock = -1;
	struct service fuse = SERVICE_NONE;
	struct root_base base = {0};
	char *program = NULL;
	struct err err = {0};

	if (proc_find("fuse-overlayfs", "/usr/local/bin:/usr/bin:/bin", &program) < 0 ||
	    access("/dev/fuse", R_OK | W_OK) < 0)
		return NOT_HAD;
	plan.driver = ROOT_FUSE;
	plan.fuse_overlayfs = program;
	REQUIRE(make_parts(w) == 0);
	REQUIRE(utimensat(AT_FDCWD, "base/odd/copied", times, 0) == 0 && chdir("env") == 0);
	lock = open(".", O_RDONLY | O_CLOEXEC);
	REQUIRE_DONE(build_root(&plan, lock, &fuse, &err));
	REQUIRE(fuse.pid > 0 && look_at_root(w) == 0);
	REQUIRE(has_text("root/secret/key", "x") && end(&fuse) == 0);
	/* Again, on the same ground, with a folder that hides what is below. */
	plan.standins = opaque;
	plan.n_standins = N(opaque);
	REQUIRE_DONE(root_standins(&plan, &base, &err));
	REQUIRE_DONE(root_fuse(&plan, &base, lock, &fuse, &err));
	REQUIRE(access("root/secret", F_OK) == 0 && access("root/secret/key", F_OK) < 0);
	REQUIRE(end(&fuse) == 0);
	free(program);
	return 0;
}

static void fuse_overlayfs_serves_the_root(void **state)
{
	in_namespace(*state, build_by_fuse);
}

static int build_without_fuse(const struct world *w)
{
	struct plan plan = plan_of_parts(w);
	struct service fuse = SERVICE_NONE;
	const struct root_base base = {0};
	struct err err = {0};

	REQUIRE(mount("none", "/dev", "tmpfs", 0, "") == 0);
	REQUIRE_MESSAGE(
		root_fuse(&plan, &base, -1, &fuse, &err),
		"cannot mount the root: cannot open '/dev/fuse': No such file or directory");
	REQUIRE(strcmp(err.hint, "sudo modprobe fuse && sudo chmod 0666 /dev/fuse; `sbx doctor` "
				 "checks it") == 0);
	REQUIRE(fuse.pid == 0);
	return 0;
}

static void without_dev_fuse_there_is_a_hint(void **state)
{
	in_namespace(*state, build_without_fuse);
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
		TEST(standins_have_their_content_and_modes),
		TEST(standins_are_kept_while_nothing_changes),
		TEST(the_kernels_overlay_is_built),
		TEST(an_overlay_that_does_not_mount_is_told),
		TEST(an_upper_that_is_a_link_is_refused),
		TEST(fuse_overlayfs_serves_the_root),
		TEST(without_dev_fuse_there_is_a_hint),
		TEST(a_folder_is_the_base),
		TEST(parts_of_the_host_show_without_foreign_mounts),
		TEST(links_are_kept_while_they_are_right),
		TEST(several_filesystems_are_noticed),
		TEST(a_part_that_is_gone_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
