/* Host paths that a plan shows: opened once, and never what somebody inside has made of them. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "mount_world.h"
#include "run/source.h"

static int count_fds(void)
{
	_cleanup_dir_ DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	return n;
}

/* Whether the sources of the plan can be opened; `*ret_has`: the first step has one. */
static int open_all(const struct plan *plan, bool *ret_has, struct err *err)
{
	const int before = count_fds();
	struct sources s = {0};
	int r = -1;

	*err = (struct err){0};
	if (sources_open(plan, &s, err) == 0) {
		*ret_has = s.n > 0 && s.step[0] >= 0;
		sources_done(&s);
		r = 0;
	}
	/* Nothing is left open, least of all by what failed. */
	return s.step || count_fds() != before ? 2 : r;
}

static void nothing_opened_can_be_done_with(void **state)
{
	struct sources zero = {0};

	(void)state;
	sources_done(NULL);
	sources_done(&zero);
	assert_int_equal(zero.base, 0);
}

static int open_what_is_there(const struct world *w)
{
	struct mount_step steps[] = {
		{.kind = MOUNT_BIND, .source = world_path(w, "host"), .target = "/a"},
		{.kind = MOUNT_TMPFS, .source = "/nowhere", .target = "/b"},
		{.kind = MOUNT_BIND, .source = "home", .target = "/c", .from_env = true},
		{.kind = MOUNT_BIND, .source = "/nowhere", .target = "/d", .optional = true},
	};
	struct plan plan = plan_of(w, steps, N(steps));
	struct sources s = {0};
	struct err err = {0};
	struct stat opened;
	struct stat there;
	bool has = false;

	REQUIRE(make_ground() == 0);
	REQUIRE_DONE(sources_open(&plan, &s, &err));
	REQUIRE(s.n == 4 && s.step[0] >= 0 && s.step[1] < 0 && s.step[2] < 0 && s.step[3] < 0);
	REQUIRE(s.base == -1 && fcntl(s.step[0], F_GETFD) == FD_CLOEXEC);
	/* What the path means later is of no account. */
	REQUIRE(stat("host", &there) == 0 && rename("host", "old") == 0 &&
		mkdir("host", 0755) == 0);
	REQUIRE(fstat(s.step[0], &opened) == 0 && opened.st_ino == there.st_ino);
	sources_done(&s);
	REQUIRE(!s.step);
	steps[3].optional = false;
	REQUIRE(open_all(&plan, &has, &err) == -1);
	REQUIRE(strcmp(err.msg, "cannot mount '/d': cannot open '/nowhere': No such file or "
				"directory") == 0);
	steps[3].at = (struct origin){"sbx.ini", 9, false};
	REQUIRE(open_all(&plan, &has, &err) == -1);
	REQUIRE(strcmp(err.msg, "sbx.ini:9: cannot mount at '/d': cannot open '/nowhere': No such "
				"file or directory") == 0);
	return 0;
}

static void sources_are_opened_before_anything_is_built(void **state)
{
	in_namespace(*state, open_what_is_there);
}

static int open_towards_home(const struct world *w)
{
	const char *home = world_path(w, "users/me");
	struct mount_step step = {
		.kind = MOUNT_BIND, .source = world_path(w, "link"), .target = "/a"};
	struct plan plan = plan_of(w, &step, 1);
	char text[1024];
	struct err err = {0};
	bool has = false;

	plan.host_home = home;
	REQUIRE(make_ground() == 0 && mkdir("users", 0755) == 0 && mkdir("users/me", 0755) == 0);
	REQUIRE(mkdir("users/me/data", 0755) == 0 && symlink("users", "link") == 0);
	(void)snprintf(text, sizeof(text),
		       "cannot mount '/a': cannot show '%s': it leads to '%s/users', and your home "
		       "is '%s'",
		       step.source, w->dir, home);
	REQUIRE(open_all(&plan, &has, &err) == -1 && strcmp(err.msg, text) == 0);
	(void)snprintf(text, sizeof(text), "name a folder that has nothing to do with '%s'", home);
	REQUIRE(strcmp(err.hint, text) == 0);
	REQUIRE(unlink("link") == 0 && symlink("users/me", "link") == 0);
	REQUIRE(open_all(&plan, &has, &err) == -1);
	/* A part of it is fine, and so is the home by its own name: the user was asked. */
	REQUIRE(unlink("link") == 0 && symlink("users/me/data", "link") == 0);
	REQUIRE(open_all(&plan, &has, &err) == 0 && has);
	step.source = home;
	REQUIRE(open_all(&plan, &has, &err) == 0 && has);
	return 0;
}

static void no_link_leads_to_the_home(void **state)
{
	in_namespace(*state, open_towards_home);
}

/* Folders that a sandbox may write to hold links that it has made. */
static int open_in_writable(const struct world *w)
{
	struct mount_step steps[] = {
		{.kind = MOUNT_BIND, .source = world_path(w, "data/sub/x"), .target = "/x"},
		{.kind = MOUNT_BIND, .source = world_path(w, "data"), .target = "/data"},
		{.kind = MOUNT_BIND, .source = world_path(w, "data/sub"), .target = "/sub"},
	};
	struct plan plan = plan_of(w, steps, 2);
	struct err err = {0};
	bool has = false;

	REQUIRE(make_ground() == 0 && mkdir("data", 0755) == 0 && mkdir("data/sub", 0755) == 0);
	REQUIRE(mkdir("data/sub/x", 0755) == 0 && mkdir("host/x", 0755) == 0);
	REQUIRE(open_all(&plan, &has, &err) == 0 && has);
	REQUIRE(rename("data/sub/x", "data/real") == 0 && symlink("../real", "data/sub/x") == 0);
	REQUIRE(open_all(&plan, &has, &err) == 0 && has);
	REQUIRE(unlink("data/sub/x") == 0 && symlink("../../host", "data/sub/x") == 0);
	REQUIRE(open_all(&plan, &has, &err) == -1);
	REQUIRE(str_ends(err.msg, "cannot open 'sub/x': the path leads out of its folder"));
	/* In one that holds another: that one may have become a link as well. */
	REQUIRE(unlink("data/sub/x") == 0 && rename("data/sub", "data/was") == 0);
	REQUIRE(symlink("../host", "data/sub") == 0);
	plan.n_mounts = 3;
	steps[2].optional = true;
	REQUIRE(open_all(&plan, &has, &err) == -1);
	REQUIRE(str_ends(err.msg, "cannot open 'sub/x': the path leads out of its folder"));
	/* What may only be read has nobody's links but the user's. */
	plan.n_mounts = 2;
	steps[1].readonly = true;
	REQUIRE(open_all(&plan, &has, &err) == 0 && has);
	return 0;
}

static void links_of_a_writable_mount_never_lead_out(void **state)
{
	in_namespace(*state, open_in_writable);
}

static int open_base(const struct world *w)
{
	struct plan plan = plan_of(w, NULL, 0);
	struct sources s = {0};
	char text[1024];
	struct err err = {0};
	bool has = false;

	REQUIRE(make_ground() == 0 && mkdir("project/rootfs", 0755) == 0);
	plan.base_dir = world_path(w, "project/rootfs");
	REQUIRE_DONE(sources_open(&plan, &s, &err));
	REQUIRE(s.base >= 0 && fcntl(s.base, F_GETFD) == FD_CLOEXEC);
	sources_done(&s);
	/* Shaped by what ran inside. */
	REQUIRE(rmdir("project/rootfs") == 0 && symlink("../host", "project/rootfs") == 0);
	REQUIRE(open_all(&plan, &has, &err) == -1);
	REQUIRE(str_ends(err.msg, "cannot open 'rootfs': the path leads out of its folder"));
	/* A root that holds the project, or the store. */
	plan.base_dir = world_path(w, "all");
	REQUIRE(symlink("up", "all") == 0 && mkdir("up", 0755) == 0 && mkdir("up/p", 0755) == 0);
	plan.project = world_path(w, "up/p");
	(void)snprintf(text, sizeof(text),
		       "cannot show '%s/all': it leads to '%s/up', and the project is '%s/up/p'",
		       w->dir, w->dir, w->dir);
	REQUIRE(open_all(&plan, &has, &err) == -1 && strcmp(err.msg, text) == 0);
	plan.base_dir = world_path(w, "store");
	REQUIRE(open_all(&plan, &has, &err) == -1);
	REQUIRE(strstr(err.msg, "and the store is"));
	plan.base_dir = world_path(w, "nothing");
	(void)snprintf(text, sizeof(text),
		       "cannot open the root folder '%s/nothing': Not a directory", w->dir);
	REQUIRE(open_all(&plan, &has, &err) == -1 && strcmp(err.msg, text) == 0);
	return 0;
}

static void a_root_folder_holds_nothing_of_the_users(void **state)
{
	in_namespace(*state, open_base);
}

#define MANY (2 * PROC_MAX_FDS + 3)

/* Every third step has none. */
static int send_many(int sock)
{
	int step[MANY];
	const struct sources s = {.step = step, .n = MANY};
	int r;

	for (size_t i = 0; i < MANY; i++)
		step[i] = i % 3 == 1 ? -1 : memfd_create("source", MFD_CLOEXEC);
	for (size_t i = 0; i < MANY; i++)
		if (step[i] >= 0 && ftruncate(step[i], (off_t)i) < 0)
			return -1;
	r = sources_send(&s, sock);
	for (size_t i = 0; i < MANY; i++)
		cleanup_fd(&step[i]);
	return r;
}

static void sources_go_to_another_process(void **state)
{
	static const char *const no_layers[] = {NULL};
	const struct plan plan = {.layers = no_layers, .n_mounts = MANY};
	const int before = count_fds();
	struct sources got = {0};
	struct stat st;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(send_many(pair[0]), 0);
	assert_int_equal(sources_receive(&plan, pair[1], &got), 0);
	assert_int_equal(got.n, MANY);
	for (size_t i = 0; i < MANY; i++) {
		if (i % 3 == 1) {
			assert_int_equal(got.step[i], -1);
			continue;
		}
		assert_int_equal(fstat(got.step[i], &st), 0);
		assert_int_equal(st.st_size, i);
	}
	sources_done(&got);
	/* The sender is gone. */
	(void)close(pair[0]);
	assert_int_equal(sources_receive(&plan, pair[1], &got), -1);
	assert_null(got.step);
	(void)close(pair[1]);
	assert_int_equal(count_fds(), before);
}

/* What does not fit the plan is refused, and nothing of it stays open. */
static void strange_sources_are_refused(void **state)
{
	static const char *const no_layers[] = {NULL};
	const struct plan plan = {.layers = no_layers, .n_mounts = MANY - 1};
	const int before = count_fds();
	struct sources got = {0};
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(send_many(pair[0]), 0);
	assert_int_equal(sources_receive(&plan, pair[1], &got), -1);
	assert_int_equal(errno, EPROTO);
	assert_null(got.step);
	(void)close(pair[0]);
	(void)close(pair[1]);
	assert_int_equal(count_fds(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(nothing_opened_can_be_done_with),
		TEST(sources_are_opened_before_anything_is_built),
		TEST(no_link_leads_to_the_home),
		TEST(links_of_a_writable_mount_never_lead_out),
		TEST(a_root_folder_holds_nothing_of_the_users),
		TEST(sources_go_to_another_process),
		TEST(strange_sources_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
