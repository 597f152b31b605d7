/* Real sandboxes, from run/launch over run/guard, run/supervisor, run/init and run/init_start to run/remove. */
#include <string.h>

#include "launch_world.h"
#include "run/launch.h"

static bool is_zeros(const char *path)
{
	_cleanup_buf_ struct buf b = {0};

	if (fs_read_at(AT_FDCWD, path, 1u << 20, &b, NULL) < 0)
		return false;
	for (size_t i = 0; i < b.len; i++)
		if (b.p[i])
			return false;
	return true;
}

static pid_t guard_of(const struct box *b)
{
	struct client_info info = {0};
	struct err err = {0};
	int sock = box_start(b);

	if (client_info(sock, &info, &err) < 0)
		fail_msg("%s", err.msg);
	(void)close(sock);
	return info.guard_pid;
}

static void a_sandbox_starts_runs_and_ends(void **state)
{
	const struct world *w = *state;
	struct box b = box_new(w, "");
	struct client_info info = {0};
	struct err err = {0};
	int first;
	int second = -1;

	if (!b.plan) {
		box_done(&b);
		return;
	}
	first = box_start(&b);
	assert_int_equal(client_connect(&b.env, &second, &err), 0);
	assert_int_equal(client_info(second, &info, &err), 0);
	(void)close(second);
	/* The starter's own connection counts, until it is closed. */
	assert_int_equal(info.commands, 1);
	assert_true(info.guard_pid > 1);
	assert_string_equal(info.profile_digest, DIGEST);
	assert_string_equal(box_run(&b, first,
				    "cat /proc/1/comm; uname -n; cat /etc/os-release;"
				    "echo new >/made",
				    true),
			    "sbx-init\ndemo\nID=tiny\n");
	if (client_stop(&b.env, &err) == 0)
		assert_int_equal(err.kind, ERR_NONE);
	box_is_over(&b);
	/* Nothing that the next start would have to remove. */
	assert_int_equal(faccessat(b.env.fd, "work/work", F_OK, 0), -1);
	assert_true(has_text(arena_printf(w->a, "%s/%s/made", b.env.dir, b.env.upper), "new\n"));
	assert_int_equal(access(world_path(w, "root/made"), F_OK), -1);
	box_done(&b);
}

static void a_running_one_is_stopped(void **state)
{
	struct box b = box_new(*state, "");
	struct err err = {0};
	int sock;

	if (!b.plan) {
		box_done(&b);
		return;
	}
	sock = box_start(&b);
	if (client_stop(&b.env, &err) < 0)
		fail_msg("%s", err.msg);
	box_is_over(&b);
	assert_int_equal(client_stop(&b.env, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	(void)close(sock);
	box_done(&b);
}

static void without_commands_it_ends_by_itself(void **state)
{
	struct box b = box_new(*state, "");

	if (!b.plan) {
		box_done(&b);
		return;
	}
	(void)close(box_start(&b));
	box_is_over(&b);
	/* And it can be started again, with what was written before. */
	(void)box_run(&b, -1, "echo kept >/kept", true);
	box_is_over(&b);
	assert_string_equal(box_run(&b, -1, "cat /kept", false), "kept\n");
	box_done(&b);
}

/* The only or last child of a process. */
static pid_t child_of(pid_t pid)
{
	_cleanup_buf_ struct buf b = {0};
	char path[64];
	int child = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	if (fs_read_at(AT_FDCWD, path, 4096, &b, NULL) < 0 || !b.p ||
	    sscanf(b.p, "%d", &child) != 1)
		fail_msg("no child of %d", (int)pid);
	return child;
}

static void when_a_part_is_killed_all_ends(void **state)
{
	struct box b = box_new(*state, "");

	if (!b.plan) {
		box_done(&b);
		return;
	}
	for (int part = 0; part < 3; part++) {
		int sock = box_start(&b);
		pid_t pid = guard_of(&b);

		for (int i = 0; i < part; i++)
			pid = child_of(pid);
		assert_int_equal(kill(pid, SIGKILL), 0);
		box_is_over(&b);
		(void)close(sock);
	}
	box_done(&b);
}

/* What the caller has is not the sandbox's: environment, arguments, files, ignored signals, umask. */
static void nothing_of_the_caller_comes_along(void **state)
{
	const struct world *w = *state;
	struct box b = box_new(w, "./sub = /a/b/c\n");
	mode_t mask = umask(0077);
	int kept = fcntl(STDERR_FILENO, F_DUPFD, 250); /* inherited */
	pid_t guard;
	int sock;

	if (!b.plan) {
		box_done(&b);
		return;
	}
	(void)signal(SIGUSR2, SIG_IGN);
	sock = box_start(&b);
	(void)signal(SIGUSR2, SIG_DFL);
	(void)umask(mask);
	guard = guard_of(&b);
	assert_true(is_zeros(arena_printf(w->a, "/proc/%d/environ", (int)guard)));
	assert_true(has_text(arena_printf(w->a, "/proc/%d/cmdline", (int)guard), "sbx-guard"));
	assert_true(has_text(arena_printf(w->a, "/proc/%d/comm", (int)guard), "sbx-guard\n"));
	assert_int_equal(access(arena_printf(w->a, "/proc/%d/fd/%d", (int)guard, kept), F_OK), -1);
	assert_true(is_link_to(arena_printf(w->a, "/proc/%d/fd/2", (int)guard), "/dev/null"));
	/* Neither is his terminal. */
	assert_int_not_equal(getsid(guard), getsid(0));
	(void)close(kept);
	assert_string_equal(
		box_run(&b, sock,
			"grep SigIgn /proc/self/status; stat -c %a /a /a/b /run/sbx/sock /run",
			false),
		"SigIgn:\t0000000000000000\n755\n755\n666\n755\n");
	box_done(&b);
}

/* A start by this plan fails with the message, and leaves nothing behind. */
static void fails(const struct box *b, const struct plan *plan, const char *message)
{
	struct err err = {0};
	int sock = -1;

	assert_int_equal(launch(plan, &b->env, &any_request, &sock, &err), -1);
	assert_string_equal(err.msg, message);
	assert_int_equal(sock, -1);
	box_is_over(b);
}

static void a_failed_start_says_why_and_leaves_nothing(void **state)
{
	const struct world *w = *state;
	struct box b = box_new(w, "");
	static struct mount_step step = {
		.kind = MOUNT_DEV, .target = "/dev/null", .source = "/nowhere/null"};
	struct plan plan;

	if (!b.plan) {
		box_done(&b);
		return;
	}
	/* By pid 1. */
	plan = *b.plan;
	plan.mounts = &step;
	plan.n_mounts = 1;
	fails(&b, &plan,
	      "cannot mount '/dev/null': cannot open the host's '/nowhere/null': No such "
	      "file or directory");
	/* By the supervisor. */
	plan = *b.plan;
	plan.base_dir = "/nowhere/root";
	fails(&b, &plan, "cannot open the root folder '/nowhere/root': No such file or directory");
	/* By a service. */
	plan = *b.plan;
	plan.driver = ROOT_FUSE;
	plan.fuse_options = "";
	plan.fuse_overlayfs = "/bin/false";
	if (access("/dev/fuse", R_OK | W_OK) == 0)
		fails(&b, &plan, "cannot mount the root: 'false' ended with exit status 1");
	plan = *b.plan;
	plan.net = NET_SLIRP;
	plan.slirp4netns = "/bin/false";
	fails(&b, &plan, "cannot set up the network: 'false' ended with exit status 1");
	/* By the guard. */
	plan = *b.plan;
	plan.rung = RUNG_SUBIDS;
	plan.newuidmap = plan.newgidmap = "/bin/false";
	fails(&b, &plan, "cannot map the subordinate ids: '/bin/false' failed with exit status 1");
	/* After all that it starts. */
	assert_string_equal(box_run(&b, -1, "echo ok", false), "ok\n");
	box_done(&b);
}

static void one_that_was_removed_is_not_started(void **state)
{
	const struct world *w = *state;
	struct box b = box_new(w, "");
	struct err err = {0};
	int sock = -1;

	if (!b.plan) {
		box_done(&b);
		return;
	}
	/* The environment was removed while it was about to be started. */
	assert_int_equal(rename(b.env.dir, world_path(w, "data/sbx/envs/other")), 0);
	assert_int_equal(launch(b.plan, &b.env, &any_request, &sock, &err), -1);
	assert_int_equal(err.errnum, ESTALE);
	/* Another one has its place. */
	assert_int_equal(mkdir(b.env.dir, 0700), 0);
	err = (struct err){0};
	assert_int_equal(launch(b.plan, &b.env, &any_request, &sock, &err), -1);
	assert_int_equal(err.errnum, ESTALE);
	assert_int_equal(rmdir(b.env.dir), 0);
	assert_int_equal(rename(world_path(w, "data/sbx/envs/other"), b.env.dir), 0);
	box_done(&b);
}

static void a_tree_is_removed_whoever_owns_it(void **state)
{
	const struct world *w = *state;
	struct box b = box_new(w, "");
	const char *tree = world_path(w, "tree");
	struct plan plan;
	struct err err = {0};

	if (!b.plan) {
		box_done(&b);
		return;
	}
	world_mkdir(w, "tree/a/b");
	world_write(w, "tree/a/b/file", "");
	assert_int_equal(chmod(world_path(w, "tree/a"), 0), 0);
	/* Without the map nothing is touched. */
	plan = *b.plan;
	plan.rung = RUNG_SUBIDS;
	plan.newuidmap = plan.newgidmap = "/bin/false";
	assert_int_equal(launch_remove_tree(&plan, tree, &err), -1);
	assert_string_equal(err.msg,
			    "cannot map the subordinate ids: '/bin/false' failed with exit "
			    "status 1");
	assert_int_equal(access(tree, F_OK), 0);
	assert_int_equal(launch_remove_tree(b.plan, tree, &err), 0);
	assert_int_equal(access(tree, F_OK), -1);
	assert_int_equal(launch_remove_tree(b.plan, tree, &err), 0);
	assert_int_equal(launch_remove_tree(b.plan, "/proc/version", &err), -1);
	/* Which error it is differs with the user. */
	assert_true(str_starts(err.msg, "cannot remove 'version': "));
	box_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sandbox_starts_runs_and_ends),
		TEST(a_running_one_is_stopped),
		TEST(without_commands_it_ends_by_itself),
		TEST(when_a_part_is_killed_all_ends),
		TEST(nothing_of_the_caller_comes_along),
		TEST(a_failed_start_says_why_and_leaves_nothing),
		TEST(one_that_was_removed_is_not_started),
		TEST(a_tree_is_removed_whoever_owns_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
