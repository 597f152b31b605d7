/* User namespaces and their maps, with one id; subordinate ids are given by programs, which are
 * scripts here and the real ones in tests/cli. */
#include <string.h>

#include "plan/plan.h"
#include "run/userns.h"
#include "run_world.h"

/* A child that waits with its namespaces until `wait_fd` tells it to look at its ids. */
static pid_t wait_then(int wait_fd, int (*look)(void))
{
	struct err err = {0};
	pid_t pid = -1;
	char byte;

	if (userns_fork_new(&pid, &err) < 0) {
		(void)fprintf(stderr, "# %s\n", err.msg);
		return -1;
	}
	if (pid == 0)
		_exit(read(wait_fd, &byte, 1) == 1 ? look() : 99);
	return pid;
}

static int status_of(pid_t pid)
{
	struct err err = {0};
	int status = 0;

	return proc_wait(pid, &status, &err) < 0 ? -1 : proc_exit_status(status);
}

static struct plan plan_of_one_id(uint32_t inside)
{
	return (struct plan){
		.rung = RUNG_SINGLE,
		.uid_map = {{{inside, geteuid(), 1}}, 1},
		.gid_map = {{{inside + 1, getegid(), 1}}, 1},
		.inner_uid_map = {{{7, 0, 1}}, 1},
		.inner_gid_map = {{{8, 0, 1}}, 1},
	};
}

static int is_1234(void)
{
	REQUIRE(getuid() == 1234 && geteuid() == 1234);
	REQUIRE(getgid() == 1235 && getegid() == 1235);
	REQUIRE(has_text("/proc/self/setgroups", "deny\n"));
	return 0;
}

static int map_one_id(void *arg)
{
	const struct plan plan = plan_of_one_id(1234);
	struct err err = {0};
	int ends[2];
	pid_t pid;

	(void)arg;
	REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
	pid = wait_then(ends[0], is_1234);
	if (pid < 0)
		return NOT_HAD;
	REQUIRE_DONE(userns_map_outer(&plan, pid, &err));
	REQUIRE(write(ends[1], "1", 1) == 1);
	REQUIRE(status_of(pid) == 0);
	return 0;
}

static void one_id_is_mapped_and_groups_are_kept(void **state)
{
	int r = proc_call(map_one_id, NULL);

	(void)state;
	if (r == NOT_HAD)
		not_had("a user namespace");
	else
		assert_int_equal(r, 0);
}

static int is_7(void)
{
	REQUIRE(getuid() == 7 && getgid() == 8);
	return 0;
}

static int map_inner(const struct world *w)
{
	const struct plan plan = plan_of_one_id(0);
	struct err err = {0};
	int ends[2];
	pid_t pid;

	(void)w;
	REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
	pid = wait_then(ends[0], is_7);
	REQUIRE(pid > 0);
	REQUIRE_DONE(userns_map_inner(&plan, pid, &err));
	REQUIRE(write(ends[1], "1", 1) == 1);
	REQUIRE(status_of(pid) == 0);
	return 0;
}

static void the_inner_namespace_is_mapped_from_the_outer(void **state)
{
	in_namespace(*state, map_inner);
}

/* Two lines for one id. */
static int map_nonsense(const struct world *w)
{
	struct plan plan = plan_of_one_id(0);
	struct err err = {0};
	char message[128];
	int ends[2];
	pid_t pid;

	(void)w;
	plan.uid_map = plan.inner_uid_map = (struct id_map){{{3, 0, 1}, {3, 1, 1}}, 2};
	REQUIRE(pipe2(ends, O_CLOEXEC) == 0);
	pid = wait_then(ends[0], is_7);
	REQUIRE(pid > 0);
	(void)snprintf(message, sizeof(message),
		       "cannot write '/proc/%d/uid_map': Invalid argument", (int)pid);
	REQUIRE_MESSAGE(userns_map_inner(&plan, pid, &err), message);
	REQUIRE_MESSAGE(userns_map_outer(&plan, pid, &err), message);
	REQUIRE(strcmp(err.hint, "`sbx doctor` says what this machine forbids") == 0);
	(void)kill(pid, SIGKILL);
	REQUIRE(status_of(pid) == 128 + SIGKILL);
	return 0;
}

static void a_map_that_the_kernel_refuses_is_told(void **state)
{
	in_namespace(*state, map_nonsense);
}

static int fork_where_none_is_left(const struct world *w)
{
	struct err err = {0};
	pid_t pid = -2;

	(void)w;
	REQUIRE(fs_write_knob("/proc/sys/user/max_user_namespaces", "0") == 0);
	REQUIRE_MESSAGE(userns_fork_new(&pid, &err),
			"cannot make a user namespace: No space left on device");
	REQUIRE(strcmp(err.hint, "`sbx doctor` says what forbids it, and prints the command that "
				 "permits it") == 0);
	REQUIRE(pid == -2);
	return 0;
}

static void a_forbidden_namespace_has_a_hint(void **state)
{
	in_namespace(*state, fork_where_none_is_left);
}

static int clone_pid(const struct world *w)
{
	pid_t pid = userns_fork(CLONE_NEWPID);

	(void)w;
	if (pid == 0)
		_exit(getpid() == 1 && getppid() == 0 ? 5 : 6);
	REQUIRE(pid > 0 && status_of(pid) == 5);
	return 0;
}

static void any_namespace_can_come_with_the_fork(void **state)
{
	in_namespace(*state, clone_pid);
}

/* The mapping of process 42 by these programs fails so; nothing is done with its number. */
static void helpers_fail(const char *uids, const char *gids, const char *message)
{
	const struct plan plan = {
		.rung = RUNG_SUBIDS,
		.newuidmap = uids,
		.newgidmap = gids,
		.uid_map = {{{0, 100000, 1000}, {1000, 1000, 1}, {1001, 101000, 64535}}, 3},
		.gid_map = {{{0, 200000, 65536}}, 1},
	};
	struct err err = {0};

	assert_int_equal(userns_map_outer(&plan, 42, &err), message ? -1 : 0);
	assert_string_equal(err.msg, message ? message : "");
	assert_string_equal(err.hint,
			    message ? "see that /etc/subuid and /etc/subgid give you the ranges "
				      "that `sbx run --dry-run` shows; `sbx doctor` checks them"
				    : "");
}

static void the_helpers_get_the_map_and_say_what_fails(void **state)
{
	const struct world *w = *state;
	const char *tells = world_script(w, "tells", "echo \"$@\" >&2; exit 1\n");
	char message[512];

	helpers_fail("/bin/true", "/bin/true", NULL);
	(void)snprintf(message, sizeof(message),
		       "cannot map the subordinate ids: '%s' failed: 42 0 100000 1000 1000 1000 1 "
		       "1001 101000 64535",
		       tells);
	helpers_fail(tells, "/bin/true", message);
	(void)snprintf(message, sizeof(message),
		       "cannot map the subordinate ids: '%s' failed: 42 0 200000 65536", tells);
	helpers_fail("/bin/true", tells, message);
	helpers_fail("/nowhere/newuidmap", "/bin/true",
		     "cannot map the subordinate ids: cannot run '/nowhere/newuidmap': No such "
		     "file or directory");
	helpers_fail("/bin/true", "/nowhere/newgidmap",
		     "cannot map the subordinate ids: cannot run '/nowhere/newgidmap': No such "
		     "file or directory");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_id_is_mapped_and_groups_are_kept),
		TEST(the_inner_namespace_is_mapped_from_the_outer),
		TEST(a_map_that_the_kernel_refuses_is_told),
		TEST(a_forbidden_namespace_has_a_hint),
		TEST(any_namespace_can_come_with_the_fork),
		TEST(the_helpers_get_the_map_and_say_what_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
