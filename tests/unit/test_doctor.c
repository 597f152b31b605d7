/*
 * What the doctor finds, and what it says to do, on machines that lack one thing each.  They are real:
 * namespaces of a child process, with other files over those of this machine.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "cli/distro.h"
#include "cli/doctor.h"
#include "store/env.h"
#include "store_world.h"

struct look {
	const struct world *w;
	int (*prepare)(const struct world *w); /* what is wrong with the machine */
	int fd;                                /* takes what is found */
};

/* "name|ok or MISSING or optional|what was found|what mends it", a line each. */
static int look(void *arg)
{
	const struct look *l = arg;
	_cleanup_buf_ struct buf b = {0};
	struct check *checks = NULL;
	struct err err = {0};
	size_t n = 0;

	if (l->prepare && l->prepare(l->w) < 0)
		return 2;
	if (doctor_look(l->w->a, &checks, &n, &err) < 0)
		return 3;
	buf_adds(&b, "\n");
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "%s|%s|%s|%s\n", checks[i].name,
			   checks[i].ok       ? "ok"
			   : checks[i].needed ? "MISSING"
					      : "optional",
			   checks[i].found ? checks[i].found : "",
			   checks[i].fix ? checks[i].fix : "");
	return fs_write_all(l->fd, b.p, b.len) < 0 ? 4 : 0;
}

static const char *found(const struct world *w, int (*prepare)(const struct world *w))
{
	_cleanup_fd_ int fd =
		open(world_path(w, "found"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct look l = {.w = w, .prepare = prepare, .fd = fd};
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	assert_true(fd >= 0);
	assert_int_equal(proc_call(look, &l), 0);
	assert_int_equal(fs_read_at(AT_FDCWD, world_path(w, "found"), 65536, &b, &err), 0);
	return arena_strdup(w->a, b.p);
}

static void assert_line(const struct world *w, const char *report, const char *line)
{
	if (!strstr(report, arena_printf(w->a, "\n%s\n", line)))
		fail_msg("no line '%s' in:%s", line, report);
}

/* Put `text` over the file of this machine; in a child that has mounts of its own. */
static int cover(const struct world *w, const char *path, const char *text)
{
	const char *own = world_path(w, "cover");

	if (unlink(own) < 0 && errno != ENOENT)
		return -1;
	world_write(w, "cover", text);
	return mount(own, path, NULL, MS_BIND, NULL);
}

static void put_program(const struct world *w, const char *name, const char *says)
{
	const char *file = arena_printf(w->a, "bin/%s", name);

	world_mkdir(w, "bin");
	world_write(w, file, arena_printf(w->a, "#!/bin/sh\necho '%s'\n", says));
	assert_int_equal(chmod(world_path(w, file), 0755), 0);
}

/* How a program is installed here. */
static const char *install(const struct world *w, const char *program)
{
	return distro_install(w->a, distro_here(), program);
}

static int only_own_programs(const struct world *w)
{
	if (setenv("SBX_TEST_NO_OVERLAYFS", "1", 1) < 0)
		return -1;
	return setenv("PATH", world_path(w, "bin"), 1);
}

static void test_this_machine(void **state)
{
	static const char *const names[] = {
		"kernel",       "user namespaces", "apparmor",  "newuidmap",      "subordinate ids",
		"/proc",        "store",           "/dev/fuse", "fuse-overlayfs", "overlayfs",
		"/dev/net/tun", "slirp4netns",     "pasta",     "cgroup",
	};
	const size_t n_names = sizeof(names) / sizeof(names[0]);
	const struct world *w = *state;
	struct check *checks = NULL;
	struct err err = {0};
	size_t n = 0;

	assert_int_equal(doctor_look(w->a, &checks, &n, &err), 0);
	assert_int_equal(n, n_names);
	for (size_t i = 0; i < n; i++) {
		assert_string_equal(checks[i].name, names[i]);
		assert_non_null(checks[i].what);
		/* What is wrong has a cure, and nothing else has. */
		assert_int_equal(checks[i].ok, checks[i].fix == NULL);
	}
	assert_true(checks[0].ok);
	assert_true(checks[1].ok);
	assert_string_equal(checks[1].found, "can be made");
	/* Of the two that can mount the root, one. */
	assert_int_equal(checks[8].needed, !checks[9].ok);
	assert_true(checks[6].ok);
	assert_string_equal(checks[6].found, world_path(w, "data/sbx"));
	/* Trying whether the store can be written leaves nothing in it. */
	assert_int_equal(access(world_path(w, "data/sbx/tmp/doctor"), F_OK), -1);
}

static void test_programs(void **state)
{
	const struct world *w = *state;
	const char *report;

	world_mkdir(w, "bin");
	report = found(w, only_own_programs);
	assert_line(w, report,
		    arena_printf(w->a, "fuse-overlayfs|MISSING|not found|%s",
				 install(w, "fuse-overlayfs")));
	assert_line(
		w, report,
		arena_printf(w->a, "slirp4netns|MISSING|not found|%s", install(w, "slirp4netns")));
	assert_line(w, report,
		    arena_printf(w->a, "newuidmap|optional|not found|%s", install(w, "newuidmap")));
	assert_line(w, report,
		    arena_printf(w->a, "pasta|optional|not found|%s", install(w, "passt")));

	/* Too old by one; just right. */
	put_program(w, "fuse-overlayfs", "fuse-overlayfs: version 1.9");
	put_program(w, "slirp4netns", "slirp4netns version 1.2.0");
	report = found(w, only_own_programs);
	assert_line(
		w, report,
		arena_printf(w->a, "fuse-overlayfs|MISSING|1.9 (%s), 1.10 or later is needed|%s",
			     world_path(w, "bin/fuse-overlayfs"), install(w, "fuse-overlayfs")));
	assert_line(
		w, report,
		arena_printf(w->a, "slirp4netns|ok|1.2.0 (%s)|", world_path(w, "bin/slirp4netns")));

	put_program(w, "fuse-overlayfs", "fuse-overlayfs: version 1.10");
	put_program(w, "slirp4netns", "no idea");
	report = found(w, only_own_programs);
	assert_line(w, report,
		    arena_printf(w->a, "fuse-overlayfs|ok|1.10 (%s)|",
				 world_path(w, "bin/fuse-overlayfs")));
	assert_line(w, report,
		    arena_printf(w->a,
				 "slirp4netns|MISSING|cannot tell the version of '%s' from what it "
				 "prints|%s",
				 world_path(w, "bin/slirp4netns"), install(w, "slirp4netns")));
}

/* From here on unshare(2) is refused, as in many a container. */
static int forbid_unshare(const struct world *w)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_unshare, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	(void)w;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

static int no_namespaces_by_limit(const struct world *w)
{
	(void)w;
	if (world_unshare() < 0)
		return -1;
	return fs_write_knob("/proc/sys/user/max_user_namespaces", "0");
}

static void test_no_namespaces(void **state)
{
	const struct world *w = *state;
	const char *report = found(w, forbid_unshare);

	assert_line(w, report,
		    "user namespaces|MISSING|a seccomp filter, a container or a security "
		    "module forbids it|inside of another container: let it make user "
		    "namespaces (podman, docker: --security-opt seccomp=unconfined)");
	assert_line(w, report,
		    "/proc|MISSING|cannot be tried without user namespaces|see user "
		    "namespaces");
	report = found(w, no_namespaces_by_limit);
	assert_line(w, report,
		    "user namespaces|MISSING|user.max_user_namespaces is 0|"
		    "sudo sysctl -w user.max_user_namespaces=15000");
}

/* What was found when all was well must not be said when it is not any more. */
static void test_no_cache(void **state)
{
	const struct world *w = *state;

	assert_line(w, found(w, NULL), "user namespaces|ok|can be made|");
	assert_int_equal(access(world_path(w, "data/sbx/host.json"), F_OK), 0);
	assert_non_null(strstr(found(w, forbid_unshare), "\nuser namespaces|MISSING|"));
}

static int masked_proc(const struct world *w)
{
	(void)w;
	if (world_unshare() < 0)
		return -1;
	return mount("/dev/null", "/proc/uptime", NULL, MS_BIND, NULL);
}

static void test_masked_proc(void **state)
{
	const struct world *w = *state;

	assert_line(
		w, found(w, masked_proc),
		"/proc|MISSING|cannot mount a fresh /proc: parts of this one are masked|inside of "
		"another container: start that one with an unmasked /proc (podman: --security-opt "
		"unmask=/proc/*; docker: --security-opt systempaths=unconfined)");
}

static int empty_dev(const struct world *w)
{
	(void)w;
	if (world_unshare() < 0)
		return -1;
	return mount("none", "/dev", "tmpfs", 0, NULL);
}

/* A node that is there but that nobody may open: of a filesystem that was mounted without devices. */
static int closed_dev(const struct world *w)
{
	if (empty_dev(w) < 0 || mkdir("/dev/net", 0755) < 0)
		return -1;
	return symlink("tun", "/dev/net/tun") < 0 || mkdir("/dev/fuse", 0) < 0 ? -1 : 0;
}

static void test_devices(void **state)
{
	const struct world *w = *state;
	const char *report = found(w, empty_dev);

	assert_line(w, report,
		    "/dev/fuse|MISSING|not there|sudo modprobe fuse; in another container, "
		    "start that one with --device /dev/fuse");
	assert_line(w, report,
		    "/dev/net/tun|MISSING|not there|sudo modprobe tun; in another "
		    "container, start that one with --device /dev/net/tun");
	report = found(w, closed_dev);
	assert_line(w, report,
		    "/dev/fuse|MISSING|this user cannot open it|sudo chmod 666 /dev/fuse");
}

/* One that has names and numbers of its own, in the file. */
static int few_subids(const struct world *w)
{
	if (world_unshare() < 0)
		return -1;
	if (cover(w, "/etc/passwd", "some one:x:0:0::/home/me:/bin/sh\n") < 0 ||
	    cover(w, "/etc/subuid", "a:100000:65536\nnonsense\nb:300000:10\nc:x:9\nb:200000:5") < 0)
		return -1;
	return cover(w, "/etc/subgid", "some one:100000:65535\n");
}

/* Enough for users, none for groups. */
static int no_subgids(const struct world *w)
{
	if (world_unshare() < 0)
		return -1;
	if (cover(w, "/etc/passwd", "me:x:0:0::/home/me:/bin/sh\n") < 0 ||
	    cover(w, "/etc/subuid", "me:100000:65536\n") < 0)
		return -1;
	return cover(w, "/etc/subgid", "");
}

static int enough_subids(const struct world *w)
{
	if (world_unshare() < 0)
		return -1;
	if (cover(w, "/etc/passwd", "me:x:0:0::/home/me:/bin/sh\n") < 0 ||
	    cover(w, "/etc/subuid", "me:200000:65536\n") < 0)
		return -1;
	return cover(w, "/etc/subgid", "me:300000:70000\n");
}

static void test_subids(void **state)
{
	const struct world *w = *state;

	/* The next free ids of each file, and a name that a shell takes as one word. */
	assert_line(w, found(w, few_subids),
		    "subordinate ids|optional|0 user ids, 65535 group ids|sudo usermod "
		    "--add-subuids 300010-365545 --add-subgids 165535-231070 'some one'");
	assert_line(w, found(w, no_subgids),
		    "subordinate ids|optional|65536 user ids, 0 group ids|sudo usermod "
		    "--add-subuids 165536-231071 --add-subgids 100000-165535 me");
	assert_line(w, found(w, enough_subids),
		    "subordinate ids|ok|65536 user ids, 70000 group ids|");
}

static int store_is_a_file(const struct world *w)
{
	world_mkdir(w, "data");
	world_write(w, "data/sbx", "");
	return 0;
}

static int store_is_read_only(const struct world *w)
{
	if (world_unshare() < 0)
		return -1;
	world_mkdir(w, "data");
	return mount("none", world_path(w, "data"), "tmpfs", MS_RDONLY, NULL);
}

static int store_is_full(const struct world *w)
{
	struct store s = {0};
	struct err err = {0};

	if (world_unshare() < 0)
		return -1;
	world_mkdir(w, "data");
	if (mount("none", world_path(w, "data"), "tmpfs", 0, "nr_inodes=16") < 0 ||
	    store_open(w->a, &s, &err) < 0)
		return -1;
	for (int i = 0; mknodat(s.fd, arena_printf(w->a, "x%d", i), S_IFREG | 0600, 0) == 0; i++)
		;
	store_done(&s);
	return 0;
}

static int store_is_noexec(const struct world *w)
{
	if (world_unshare() < 0)
		return -1;
	world_mkdir(w, "data");
	return mount("none", world_path(w, "data"), "tmpfs", MS_NOEXEC, NULL);
}

static void test_store(void **state)
{
	const struct world *w = *state;
	const char *report = found(w, store_is_read_only);

	assert_non_null(strstr(report, "\nstore|MISSING|"));
	assert_non_null(strstr(report, "Read-only file system|"));
	assert_null(strstr(report, "Read-only file system|\n"));
	report = found(w, store_is_full);
	assert_non_null(strstr(report, "\nstore|MISSING|"));
	assert_non_null(strstr(report, "tmp/doctor': No space left on device|"));
	assert_line(w, found(w, store_is_noexec),
		    arena_printf(w->a,
				 "store|MISSING|'%s' is mounted noexec|set XDG_DATA_HOME to a "
				 "folder on another filesystem",
				 world_path(w, "data/sbx")));
	report = found(w, store_is_a_file);
	assert_non_null(strstr(report, "\nstore|MISSING|"));
	assert_non_null(strstr(report, world_path(w, "data/sbx")));
}

/* Nobody: the only failure, since nothing could be told of a user that is not there. */
static int look_as_nobody(void *arg)
{
	const struct world *w = arg;
	struct check *checks = NULL;
	struct err err = {0};
	size_t n = 7;

	if (world_unshare() < 0 || cover(w, "/etc/passwd", "") < 0)
		return 2;
	/* The name service may know root without a file. */
	if (doctor_look(w->a, &checks, &n, &err) == 0)
		return 0;
	return n == 7 && !checks && str_starts(err.msg, "cannot tell who you are") ? 0 : 3;
}

static void test_nobody(void **state)
{
	assert_int_equal(proc_call(look_as_nobody, *state), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_this_machine), TEST(test_programs),    TEST(test_no_namespaces),
		TEST(test_no_cache),     TEST(test_masked_proc), TEST(test_devices),
		TEST(test_subids),       TEST(test_store),       TEST(test_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
