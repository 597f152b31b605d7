/* fs where the kernel, the rights or a mount are against it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"

#define NOBODY 65534

static int make_place(void **state)
{
	char *path = strdup("/tmp/sbx-test-fs.XXXXXX");

	assert_non_null(path);
	assert_non_null(mkdtemp(path));
	*state = path;
	return 0;
}

static int remove_place(void **state)
{
	int r = fs_remove_tree_at(AT_FDCWD, *state, NULL);

	free(*state);
	return r;
}

static int is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Run `body` in a child; it reports what failed there, and nothing when all is well. */
static void in_child(void (*body)(const char *path, struct err *err), const char *path,
		     struct err *ret_err)
{
	int p[2];
	int status = 0;
	pid_t pid;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		struct err err = {0};
		(void)close(p[0]);
		body(path, &err);
		if (err.kind != ERR_NONE)
			err_send(&err, p[1]);
		_exit(0);
	}
	(void)close(p[1]);
	(void)err_receive(p[0], ret_err);
	(void)close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Answer openat2(2) with an error, as an old kernel or a filter does. */
static void forbid_openat2(unsigned errnum)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | errnum),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		_exit(1);
}

static void open_without_openat2(const char *path, struct err *err)
{
	_cleanup_fd_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = -1;

	forbid_openat2(ENOSYS);
	(void)fs_open_in_root(dir, "x", O_RDONLY, 0, &fd, err);
}

static void mkdir_with_openat2_forbidden(const char *path, struct err *err)
{
	_cleanup_fd_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = -1;

	forbid_openat2(EPERM);
	(void)fs_mkdirs_in_root(dir, "x", 0755, &fd, err);
}

static void without_openat2_the_hint_says_what_to_do(void **state)
{
	static const char hint[] =
		"sbx needs Linux 5.6 or later; if this system is newer, a system call filter "
		"around sbx (a container's seccomp profile, systemd's SystemCallFilter=) has to "
		"allow openat2";
	struct err err = {0};

	in_child(open_without_openat2, *state, &err);
	assert_string_equal(err.msg, "cannot open 'x': openat2(2) is not to be had: "
				     "Function not implemented");
	assert_string_equal(err.hint, hint);
	assert_int_equal(err.errnum, ENOSYS);
	in_child(mkdir_with_openat2_forbidden, *state, &err);
	assert_string_equal(err.msg, "cannot make the folder 'x': openat2(2) is not to be had: "
				     "Operation not permitted");
	assert_string_equal(err.hint, hint);
}

static void sh(const char *path, const char *script)
{
	int status = 0;
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		if (chdir(path) == 0)
			(void)execl("/bin/sh", "sh", "-ec", script, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void remove_x(const char *path, struct err *err)
{
	_cleanup_fd_ int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	/* Root's rights would hide what is tested. */
	if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) < 0)
		_exit(1);
	(void)fs_remove_tree_at(dir, "x", err);
}

static void give_to_nobody(const char *path)
{
	if (geteuid() == 0)
		sh(path, "chown -hR 65534 .");
}

static void links_are_removed_not_followed(void **state)
{
	char outside[64];
	struct err err = {0};

	(void)snprintf(outside, sizeof(outside), "%s/outside/kept", (const char *)*state);
	sh(*state, "mkdir outside outside/dir x x/d; echo k >outside/kept;"
		   "ln -s ../outside x/rel; ln -s $PWD/outside x/d/abs; ln -s none x/none;"
		   "ln outside/kept x/hard; mkfifo x/fifo; : >'x/a\nb'; : >x/.hidden");
	give_to_nobody(*state);
	in_child(remove_x, *state, &err);
	assert_string_equal(err.msg, "");
	assert_true(is_there(outside));
	sh(*state, "test ! -e x; test -d outside/dir; test \"$(cat outside/kept)\" = k");
	/* The name itself is a link; then it is missing. */
	sh(*state, "ln -s outside x");
	in_child(remove_x, *state, &err);
	in_child(remove_x, *state, &err);
	assert_string_equal(err.msg, "");
	assert_true(is_there(outside));
}

static void folders_without_rights_are_removed(void **state)
{
	struct err err = {0};

	sh(*state, "mkdir -p x/none/d/e x/read/d x/search/d x/write/d; : >x/read/d/f;"
		   "chmod 0 x/none/d/e; chmod 0 x/none/d x/none; chmod 0444 x/read/d x/read;"
		   "chmod 0111 x/search; chmod 0222 x/write; chmod 0500 x");
	give_to_nobody(*state);
	in_child(remove_x, *state, &err);
	assert_string_equal(err.msg, "");
	sh(*state, "test ! -e x");
}

/* Names of its own among them: what is moved up must not hit what is there. */
static void what_lies_deeper_than_fds_go_is_removed(void **state)
{
	_cleanup_fd_ int dir = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct err err = {0};
	struct rlimit few = {0};
	struct rlimit before = {0};

	sh(*state, "mkdir -p .sbx-remove-0/a .sbx-remove-1/a .sbx-remove-2/a .sbx-remove-4/a");
	for (int i = 0; i < 3000; i++) {
		assert_int_equal(mkdirat(dir, "x", 0777), 0);
		int next = openat(dir, "x", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_true(next >= 0);
		if (i % 50 == 0)
			assert_int_equal(mkdirat(next, ".sbx-remove-0", 0777), 0);
		cleanup_fd(&dir);
		dir = next;
	}
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	few.rlim_cur = 256;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	(void)fs_remove_tree_at(AT_FDCWD, *state, &err);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_string_equal(err.msg, "");
	assert_int_equal(access(*state, F_OK), -1);
}

/* A bind mount: its device number is the same as ours. */
static void remove_with_a_mount(const char *path, struct err *err)
{
	_cleanup_fd_ int dir = -1;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 || chdir(path) < 0 ||
	    mount("outside", "x/mnt", NULL, MS_BIND, NULL) < 0) {
		(void)err_errno(err, errno, "no mount");
		return;
	}
	dir = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	(void)fs_remove_tree_at(dir, "x", err);
}

static void mounts_are_not_crossed(void **state)
{
	struct err err = {0};

	sh(*state, "mkdir -p x/mnt x/other/d outside/inside");
	in_child(remove_with_a_mount, *state, &err);
	if (strncmp(err.msg, "no mount", 8) == 0) {
		print_message("skipped: %s\n", err.msg);
		assert_null(getenv("SBX_MUST_RUN"));
		skip();
	}
	assert_string_equal(err.msg, "cannot remove 'mnt' in 'x': something is mounted there");
	sh(*state, "test ! -e x/other; test -d x/mnt; test -d outside/inside");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)
	const struct CMUnitTest tests[] = {
		TEST(without_openat2_the_hint_says_what_to_do),
		TEST(links_are_removed_not_followed),
		TEST(folders_without_rights_are_removed),
		TEST(what_lies_deeper_than_fds_go_is_removed),
		TEST(mounts_are_not_crossed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
