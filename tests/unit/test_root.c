/* The root filesystem, built in a user namespace: run/root, run/root_standin and run/root_fuse. */
#include <string.h>

#include "plan/host.h"
#include "plan/plan.h"
#include "root_world.h"
#include "run/root.h"
#include "run/service.h"
#include "run/source.h"

/* As the supervisor does it. */
static int build_root(const struct plan *plan, int lock, struct service *ret_fuse, struct err *err)
{
	struct sources sources = {0};
	const struct root_parts parts = {.sources = &sources, .hostfs = -1, .lock_fd = lock};
	int r;

	if (sources_open(plan, &sources, err) < 0)
		return -1;
	r = root_build(plan, &parts, ret_fuse, err);
	sources_done(&sources);
	return r;
}

static int build_lower(const struct plan *plan, int *ret_fd, struct service *ret_fuse,
		       struct err *err)
{
	struct sources sources = {0};
	const struct root_parts parts = {.sources = &sources, .hostfs = -1, .lock_fd = -1};
	int r;

	if (sources_open_root(plan, &sources, err) < 0)
		return -1;
	r = root_build_lower(plan, &parts, ret_fd, ret_fuse, err);
	sources_done(&sources);
	return r;
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
	REQUIRE(stat("odd", &st) == 0 && st.st_mtim.tv_sec == 2000);
	REQUIRE(stat("etc/shadow", &st) == 0 && st.st_uid == 0 && st.st_gid == 0);
	REQUIRE(chdir(back) == 0);
	return 0;
}

static int make_standins(const struct world *w)
{
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	struct plan plan = plan_of_parts(w);
	struct standin twice[] = {{.kind = STANDIN_DIR, .path = "/again"},
				  {.kind = STANDIN_DIR, .path = "/again"}};
	static const struct host_entry entries[] = {{"etc", NULL}};
	struct err err = {0};

	REQUIRE(make_parts(w) == 0 && mkdir("standin", 0755) == 0);
	REQUIRE(utimensat(AT_FDCWD, "base/odd", times, 0) == 0 && chmod("base/etc", 0711) == 0);
	REQUIRE_DONE(root_standins(&plan, &err));
	REQUIRE(look_at_standins("standin") == 0);
	/* Of the host's root it is not asked what is known not to show there. */
	REQUIRE(rename("standin", "of-dir") == 0 && mkdir("standin", 0755) == 0);
	plan.base_dir = NULL;
	plan.entries = entries;
	plan.n_entries = 1;
	REQUIRE_DONE(root_standins(&plan, &err));
	REQUIRE(mode_of("standin/odd") == 0755 && mode_of("standin/etc") == 0711);
	plan.standins = twice;
	plan.n_standins = 2;
	REQUIRE_MESSAGE(root_standins(&plan, &err),
			"cannot make the stand-in '/again': File exists");
	return 0;
}

static void standins_have_their_content_and_modes(void **state)
{
	in_namespace(*state, make_standins);
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
	REQUIRE(utimensat(AT_FDCWD, "base/odd", times, 0) == 0 && chdir("env") == 0);
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

/* The ground is put over a folder that nobody needs any more. */
static int build_beside_project(const struct world *w)
{
	struct plan plan = plan_of_parts(w);
	struct service fuse = SERVICE_NONE;
	struct err err = {0};

	if (mount("none", "/mnt", "tmpfs", 0, "") < 0)
		return errno == ENOENT ? 0 : 1;
	REQUIRE(mkdir("/mnt/project", 0755) == 0 && make_parts(w) == 0 && chdir("env") == 0);
	plan.project = "/mnt/project";
	if (build_root(&plan, -1, &fuse, &err) < 0 &&
	    (err.errnum == EINVAL || err.errnum == ENODEV))
		return NOT_HAD;
	REQUIRE(strcmp(err.msg, "") == 0 && access("/mnt/project", F_OK) == 0);
	REQUIRE(access("root/etc", F_OK) == 0);
	return 0;
}

static void the_ground_hides_nothing_that_is_needed(void **state)
{
	in_namespace(*state, build_beside_project);
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
	struct plan plan = plan_of_parts(w);
	_cleanup_fd_ int lock = -1;
	struct service fuse = SERVICE_NONE;
	char *program = NULL;
	struct err err = {0};

	if (proc_find("fuse-overlayfs", "/usr/local/bin:/usr/bin:/bin", &program) < 0 ||
	    access("/dev/fuse", R_OK | W_OK) < 0)
		return NOT_HAD;
	plan.driver = ROOT_FUSE;
	plan.fuse_overlayfs = program;
	REQUIRE(make_parts(w) == 0);
	REQUIRE(utimensat(AT_FDCWD, "base/odd", times, 0) == 0 && chdir("env") == 0);
	lock = open(".", O_RDONLY | O_CLOEXEC);
	REQUIRE_DONE(build_root(&plan, lock, &fuse, &err));
	REQUIRE(fuse.pid > 0 && look_at_root(w) == 0);
	REQUIRE(has_text("root/secret/key", "x") && end(&fuse) == 0);
	free(program);
	return 0;
}

static void fuse_overlayfs_serves_the_root(void **state)
{
	in_namespace(*state, build_by_fuse);
}

/* MANY layers, each with a file of its own and one that all have; the topmost takes a file away. */
#define MANY 128

static int make_layers(const struct world *w, struct plan *plan)
{
	const char **layers = arena_alloc(w->a, (MANY + 1) * sizeof(*layers));

	for (int i = 0; i < MANY; i++) {
		layers[i] = world_path(w, arena_printf(w->a, "layer%d", i));
		REQUIRE(mkdir(layers[i], 0755) == 0);
		REQUIRE(put_text(arena_printf(w->a, "layer%d/only%d", i, i), "x") == 0);
		REQUIRE(put_text(arena_printf(w->a, "layer%d/all", i),
				 arena_printf(w->a, "%d", i)) == 0);
	}
	layers[MANY] = NULL;
	plan->layers = layers;
	REQUIRE(mkdir("layer0/secret", 0755) == 0);
	/* A whiteout; without the right to make one there is none. */
	return mknod("layer0/secret/key", S_IFCHR, 0) < 0 ? NOT_HAD : 0;
}

static int look_at_layers(const char *root, const struct world *w)
{
	REQUIRE(has_text(arena_printf(w->a, "%s/all", root), "0"));
	REQUIRE(has_text(arena_printf(w->a, "%s/only0", root), "x"));
	REQUIRE(has_text(arena_printf(w->a, "%s/only%d", root, MANY - 1), "x"));
	REQUIRE(has_text(arena_printf(w->a, "%s/etc/os-release", root), "ID=tiny\n"));
	REQUIRE(access(arena_printf(w->a, "%s/secret/key", root), F_OK) < 0);
	return 0;
}

static int build_layers(const struct world *w, struct plan *plan)
{
	struct service fuse = SERVICE_NONE;
	_cleanup_fd_ int lower = -1;
	struct err err = {0};
	int r;

	REQUIRE(make_parts(w) == 0 && put_text("env/upper/made", "m") == 0);
	r = make_layers(w, plan);
	if (r)
		return r;
	REQUIRE(chdir("env") == 0);
	/* Their own grounds: one goes over the other. */
	REQUIRE_DONE(build_lower(plan, &lower, &fuse, &err));
	REQUIRE(look_at_layers("root", w) == 0 && access("root/made", F_OK) < 0);
	REQUIRE(faccessat(lower, "only1", F_OK, 0) == 0 && mkdirat(lower, "new", 0755) < 0 &&
		errno == EROFS);
	REQUIRE(access("root/etc/shadow", F_OK) < 0);
	REQUIRE(chdir(world_path(w, "env")) == 0);
	REQUIRE_DONE(build_root(plan, -1, &fuse, &err));
	REQUIRE(look_at_layers("root", w) == 0 && has_text("root/made", "m"));
	REQUIRE(has_text("root/etc/resolv.conf", "of sbx\n"));
	return 0;
}

static int layers_by_kernel(const struct world *w)
{
	struct plan plan = plan_of_parts(w);

	return build_layers(w, &plan);
}

static void layers_lie_over_the_base(void **state)
{
	in_namespace(*state, layers_by_kernel);
}

static int layers_by_fuse(const struct world *w)
{
	struct plan plan = plan_of_parts(w);
	char *program = NULL;
	int r;

	if (proc_find("fuse-overlayfs", "/usr/local/bin:/usr/bin:/bin", &program) < 0 ||
	    access("/dev/fuse", R_OK | W_OK) < 0)
		return NOT_HAD;
	plan.driver = ROOT_FUSE;
	plan.fuse_overlayfs = program;
	r = build_layers(w, &plan);
	free(program);
	return r;
}

static void fuse_overlayfs_has_layers_too(void **state)
{
	in_namespace(*state, layers_by_fuse);
}

/* Of an image's two layers the upper one has a link out, and the lower the folder. */
static int make_image(const struct world *w, struct plan *plan)
{
	const char **layers = arena_alloc(w->a, 4 * sizeof(*layers));

	for (int i = 0; i < 3; i++) {
		layers[i] = world_path(w, arena_printf(w->a, "layer%d", i));
		REQUIRE(mkdir(layers[i], 0755) == 0);
	}
	layers[3] = NULL;
	REQUIRE(mkdir("layer0/etc", 0755) == 0 && mkdir("layer1/etc", 0700) == 0);
	REQUIRE(put_text("layer0/etc/shadow", "own\n") == 0);
	REQUIRE(put_text("layer1/etc/resolv.conf", "of the image\n") == 0);
	REQUIRE(put_text("layer1/etc/shadow", "of the image\n") == 0);
	REQUIRE(put_text("layer1/etc/image", "i\n") == 0);
	REQUIRE(mkdir("layer2/odd", 0755) == 0 && chmod("layer2/odd", 0711) == 0);
	REQUIRE(symlink(world_path(w, "base/odd"), "layer1/new") == 0);
	plan->layers = layers;
	plan->n_image = 2;
	plan->base = BASE_REGISTRY;
	plan->base_dir = NULL;
	return 0;
}

/* What the environment has over the image counts more than the stand-ins, and the image less. */
static int build_on_image(const struct world *w)
{
	struct plan plan = plan_of_parts(w);
	struct service fuse = SERVICE_NONE;
	struct err err = {0};

	REQUIRE(make_parts(w) == 0 && make_image(w, &plan) == 0);
	REQUIRE(chdir("env") == 0);
	REQUIRE_DONE(build_root(&plan, -1, &fuse, &err));
	REQUIRE(has_text("root/etc/resolv.conf", "of sbx\n"));
	REQUIRE(has_text("root/etc/shadow", "own\n"));
	REQUIRE(has_text("root/etc/image", "i\n"));
	REQUIRE(mode_of("standin/etc") == 0700 && mode_of("standin/odd") == 0711);
	REQUIRE(mode_of("root/new") == 01777 && is_link_to("root/new/link", "../etc"));
	/* Nothing else is below. */
	REQUIRE(access("root/secret", F_OK) < 0 && access("root/usr", F_OK) < 0);
	return 0;
}

static void the_stand_ins_lie_over_an_image(void **state)
{
	in_namespace(*state, build_on_image);
}

static int build_without_fuse(const struct world *w)
{
	struct plan plan = plan_of_parts(w);
	struct service fuse = SERVICE_NONE;
	struct err err = {0};

	REQUIRE(mount("none", "/dev", "tmpfs", 0, "") == 0);
	REQUIRE_MESSAGE(
		root_fuse(&plan, "", -1, &fuse, &err),
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(standins_have_their_content_and_modes),
		TEST(layers_lie_over_the_base),
		TEST(fuse_overlayfs_has_layers_too),
		TEST(the_stand_ins_lie_over_an_image),
		TEST(the_kernels_overlay_is_built),
		TEST(the_ground_hides_nothing_that_is_needed),
		TEST(an_overlay_that_does_not_mount_is_told),
		TEST(an_upper_that_is_a_link_is_refused),
		TEST(fuse_overlayfs_serves_the_root),
		TEST(without_dev_fuse_there_is_a_hint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
