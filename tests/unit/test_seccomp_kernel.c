/* The filters of run/seccomp, loaded into child processes: what the kernel makes of them. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/proc.h"
#include "plan/plan.h"
#include "run/seccomp.h"

/* For children: where an assertion of cmocka's fails, they would go on with the next test. */
#define REQUIRE(what)                                                                      \
	do {                                                                               \
		if (!(what)) {                                                             \
			(void)fprintf(stderr, "# line %d: not %s (%s)\n", __LINE__, #what, \
				      strerror(errno));                                    \
			return 1;                                                          \
		}                                                                          \
	} while (0)
#define REQUIRE_ERRNO(call, number) REQUIRE((errno = 0, (call) == -1 && errno == (number)))

static int load(struct plan plan, bool root)
{
	struct seccomp_filters f = {0};
	struct err err = {0};

	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (seccomp_make(&plan, &f, &err) < 0 || seccomp_install(&f, root, &err) < 0) {
		(void)fprintf(stderr, "# %s\n", err.msg);
		return 1;
	}
	seccomp_done(&f);
	return 0;
}

static int load_policy(bool nested)
{
	return load((struct plan){.seccomp = SECCOMP_DEFAULT, .nested = nested}, false);
}

static int load_emulation(void)
{
	return load((struct plan){.seccomp = SECCOMP_OFF, .emulate_root = true}, true);
}

/* Each call is made in a way that the kernel answers otherwise. */
static int make_refused_calls(void *arg)
{
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char c = 'x';

	(void)arg;
	REQUIRE(null >= 0 && load_policy(false) == 0);
	REQUIRE_ERRNO(ioctl(null, TIOCSTI, &c), EPERM);
	REQUIRE_ERRNO(syscall(SYS_ioctl, null, TIOCSTI | 1ul << 32, &c), EPERM);
	REQUIRE_ERRNO(ioctl(null, TIOCGWINSZ, &c), ENOTTY);
	REQUIRE_ERRNO(unshare(CLONE_NEWUSER), EPERM);
	REQUIRE_ERRNO(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0), EPERM);
	REQUIRE_ERRNO(syscall(435 /* clone3 */, NULL, 0), ENOSYS);
	REQUIRE_ERRNO(setns(-1, 0), EPERM);
	REQUIRE_ERRNO(syscall(SYS_mount, NULL, NULL, NULL, 0, NULL), EPERM);
	REQUIRE_ERRNO(syscall(430 /* fsopen */, "tmpfs", 0), ENOSYS);
	REQUIRE_ERRNO(syscall(428 /* open_tree */, -1, "/", 0), ENOSYS);
	REQUIRE_ERRNO(syscall(425 /* io_uring_setup */, 0, NULL), ENOSYS);
	REQUIRE_ERRNO(syscall(SYS_keyctl, 9999, 0, 0, 0, 0), ENOSYS);
	REQUIRE_ERRNO(syscall(SYS_userfaultfd, -1), ENOSYS);
	REQUIRE_ERRNO(syscall(SYS_bpf, -1, NULL, 0), ENOSYS);
	REQUIRE_ERRNO(syscall(SYS_kexec_load, 0, 0, NULL, 0), EPERM);
	REQUIRE_ERRNO(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), EAFNOSUPPORT);
	/* What audit_open(3) takes for a kernel without audit; anything else ends useradd(8). */
	REQUIRE_ERRNO(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 9), EPROTONOSUPPORT);
	return 0;
}

static void the_policy_refuses(void **state)
{
	(void)state;
	assert_int_equal(proc_call(make_refused_calls, NULL), 0);
}

static void *thread(void *arg)
{
	return arg;
}

static int exits_with(const char *script)
{
	struct err err = {0};
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		(void)execl("/bin/sh", "sh", "-c", script, (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || proc_wait(pid, &status, &err) < 0)
		return -1;
	return proc_exit_status(status);
}

/* Without clone3 libc has another way; netlink is what getifaddrs(3) asks. */
static int live_on(void *arg)
{
	struct ifaddrs *addrs = NULL;
	void *result = NULL;
	pthread_t t;

	REQUIRE(load_policy(false) == 0);
	REQUIRE(pthread_create(&t, NULL, thread, arg) == 0 && pthread_join(t, &result) == 0);
	REQUIRE(result == arg);
	REQUIRE(getifaddrs(&addrs) == 0);
	freeifaddrs(addrs);
	REQUIRE(exits_with("echo a | grep -q a && (exit 7)") == 7);
	return 0;
}

static void programs_go_on(void **state)
{
	(void)state;
	assert_int_equal(proc_call(live_on, *state), 0);
}

static int nest(void *arg)
{
	bool *possible = arg;

	REQUIRE(load_policy(true) == 0);
	REQUIRE_ERRNO(syscall(435 /* clone3 */, NULL, 0), EINVAL);
	REQUIRE_ERRNO(setns(-1, 0), EBADF);
	REQUIRE(!*possible || unshare(CLONE_NEWUSER) == 0);
	REQUIRE_ERRNO(syscall(425 /* io_uring_setup */, 0, NULL), ENOSYS);
	return 0;
}

static int try_unshare(void *arg)
{
	(void)arg;
	return unshare(CLONE_NEWUSER) < 0;
}

static void nested_sandboxes_can_be(void **state)
{
	bool possible = proc_call(try_unshare, NULL) == 0;

	(void)state;
	assert_int_equal(proc_call(nest, &possible), 0);
}

struct files {
	char dir[32];
	char file[48];
	char node[48];
};

static int make_root_calls(void *arg)
{
	const struct files *f = arg;
	_cleanup_fd_ int fd = open(f->file, O_RDONLY | O_CLOEXEC);
	const gid_t groups[] = {5, 6};
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	int n = getgroups(0, NULL);
	struct stat st;

	REQUIRE(fd >= 0 && load_emulation() == 0);
	REQUIRE(chown(f->file, 12345, 54321) == 0 && lchown(f->file, 12345, 54321) == 0);
	REQUIRE(fchown(fd, 12345, 54321) == 0);
	REQUIRE(fchownat(fd, "", 12345, 54321, AT_EMPTY_PATH) == 0);
	REQUIRE(stat(f->file, &st) == 0 && st.st_uid == uid && st.st_gid == gid);

	REQUIRE(setgroups(2, groups) == 0 && getgroups(0, NULL) == n);
	REQUIRE(setgid(12345) == 0 && setregid(12345, 12345) == 0);
	REQUIRE(setresgid((gid_t)-1, 12345, (gid_t)-1) == 0 && getegid() == gid);
	REQUIRE(setuid(12345) == 0 && setreuid(12345, 12345) == 0 && seteuid(12345) == 0);
	REQUIRE(setresuid((uid_t)-1, 12345, (uid_t)-1) == 0 && geteuid() == uid);
	REQUIRE(syscall(SYS_capset, NULL, NULL) == 0);

	REQUIRE(mknod(f->node, S_IFCHR | 0600, makedev(1, 3)) == 0);
	REQUIRE(mknodat(AT_FDCWD, f->node, S_IFBLK | 0600, makedev(7, 0)) == 0);
	REQUIRE_ERRNO(stat(f->node, &st), ENOENT);
	REQUIRE(mkfifo(f->node, 0600) == 0);
	REQUIRE(stat(f->node, &st) == 0 && S_ISFIFO(st.st_mode));
	REQUIRE(syscall(SYS_kexec_load, 0, 0, NULL, 0) == 0);
	REQUIRE(exits_with("exit 7") == 7);
	return 0;
}

static void root_is_emulated(void **state)
{
	struct files f = {.dir = "/tmp/sbx-test-XXXXXX"};
	int fd = -1;

	(void)state;
	assert_non_null(mkdtemp(f.dir));
	(void)snprintf(f.file, sizeof(f.file), "%s/file", f.dir);
	(void)snprintf(f.node, sizeof(f.node), "%s/node", f.dir);
	fd = open(f.file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_not_equal(fd, -1);
	(void)close(fd);
	assert_int_equal(proc_call(make_root_calls, &f), 0);
	assert_int_equal(unlink(f.node), 0);
	assert_int_equal(unlink(f.file), 0);
	assert_int_equal(rmdir(f.dir), 0);
}

static const struct plan both = {.seccomp = SECCOMP_DEFAULT, .emulate_root = true};

/* Both filters have an answer to kexec_load: for root it is the emulation's. */
static int load_both_as_root(void *arg)
{
	(void)arg;
	REQUIRE(load(both, true) == 0);
	REQUIRE(syscall(SYS_kexec_load, 0, 0, NULL, 0) == 0);
	REQUIRE_ERRNO(setns(-1, 0), EPERM);
	REQUIRE(setuid(12345) == 0);
	return 0;
}

static int load_both_as_user(void *arg)
{
	(void)arg;
	REQUIRE(load(both, false) == 0);
	REQUIRE_ERRNO(syscall(SYS_kexec_load, 0, 0, NULL, 0), EPERM);
	REQUIRE_ERRNO(syscall(SYS_capset, NULL, NULL), EFAULT);
	return 0;
}

static void only_root_is_emulated(void **state)
{
	(void)state;
	assert_int_equal(proc_call(load_both_as_root, NULL), 0);
	assert_int_equal(proc_call(load_both_as_user, NULL), 0);
}

#ifdef __x86_64__
/* A call of the 32-bit ABI, as any 64-bit program can make it; the kernel's answer. */
static long call_32(long number, long a, long b)
{
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(number), "b"(a), "c"(b)
			 : "memory", "r8", "r9", "r10", "r11");
	return r;
}

static int have_32(void *arg)
{
	(void)arg;
	/* A kernel without it kills, and cmocka has a handler. */
	(void)signal(SIGSEGV, SIG_DFL);
	return call_32(20 /* getpid */, 0, 0) != getpid();
}

static int make_refused_calls_32(void *arg)
{
	(void)arg;
	REQUIRE(load_policy(false) == 0);
	REQUIRE(call_32(310 /* unshare */, CLONE_NEWUSER, 0) == -EPERM);
	REQUIRE(call_32(346 /* setns */, -1, 0) == -EPERM);
	REQUIRE(call_32(102 /* socketcall */, 1 /* SYS_SOCKET */, 0) == -EAFNOSUPPORT);
	REQUIRE(call_32(359 /* socket */, AF_PACKET, SOCK_RAW) == -EAFNOSUPPORT);
	REQUIRE(call_32(288 /* keyctl */, 9999, 0) == -ENOSYS);
	REQUIRE(call_32(425 /* io_uring_setup */, 0, 0) == -ENOSYS);
	REQUIRE(call_32(20 /* getpid */, 0, 0) == getpid());
	return 0;
}

static int make_root_calls_32(void *arg)
{
	const uid_t uid = geteuid();

	(void)arg;
	REQUIRE(load_emulation() == 0);
	REQUIRE(call_32(213 /* setuid32 */, 12345, 0) == 0);
	REQUIRE(call_32(23 /* setuid */, 12345, 0) == 0);
	REQUIRE(geteuid() == uid);
	REQUIRE(call_32(212 /* chown32 */, 0, 12345) == 0);
	return 0;
}

static void the_32_bit_abi_has_the_same_rules(void **state)
{
	(void)state;
	if (proc_call(have_32, NULL) != 0) {
		print_message("# skipped: this kernel has no 32-bit ABI\n");
		return;
	}
	assert_int_equal(proc_call(make_refused_calls_32, NULL), 0);
	assert_int_equal(proc_call(make_root_calls_32, NULL), 0);
}
#endif

static int load_without_no_new_privs(void *arg)
{
	struct seccomp_filters f = {0};
	struct err err = {0};

	(void)arg;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return 77;
	REQUIRE(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
	REQUIRE(seccomp_make(&both, &f, &err) == 0);
	REQUIRE(seccomp_install(&f, true, &err) == -1);
	REQUIRE(strcmp(err.msg, "cannot load the system call filter (policy): Permission denied") ==
		0);
	REQUIRE(err.errnum == EACCES);
	free(f.policy);
	f.policy = NULL;
	REQUIRE(seccomp_install(&f, false, &err) == 0);
	REQUIRE(seccomp_install(&f, true, &err) == -1);
	REQUIRE(strcmp(err.msg, "cannot load the system call filter (emulation of root): "
				"Permission denied") == 0);
	seccomp_done(&f);
	return 0;
}

static int make_without_descriptors(void *arg)
{
	const struct rlimit none = {0};
	struct seccomp_filters f = {0};
	struct err err = {0};

	(void)arg;
	REQUIRE(setrlimit(RLIMIT_NOFILE, &none) == 0);
	REQUIRE(seccomp_make(&both, &f, &err) == -1);
	REQUIRE(strcmp(err.msg, "cannot make the system call filter: memfd_create: "
				"Too many open files") == 0);
	REQUIRE(err.errnum == EMFILE && !f.policy && !f.emulation);
	return 0;
}

static void what_cannot_be_is_said(void **state)
{
	int r = proc_call(load_without_no_new_privs, NULL);

	(void)state;
	assert_int_equal(proc_call(make_without_descriptors, NULL), 0);
	if (r == 77)
		print_message("# skipped: no_new_privs is set already\n");
	else
		assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_policy_refuses),
		cmocka_unit_test(programs_go_on),
		cmocka_unit_test(nested_sandboxes_can_be),
		cmocka_unit_test(root_is_emulated),
		cmocka_unit_test(only_root_is_emulated),
#ifdef __x86_64__
		cmocka_unit_test(the_32_bit_abi_has_the_same_rules),
#endif
		cmocka_unit_test(what_cannot_be_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
