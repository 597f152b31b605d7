/* What the two parts of published ports may do behind their filters, and that they are of use yet. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/proc.h"
#include "run/dialer.h"
#include "run/joint.h"
#include "run/listener.h"
#include "run/loop.h"
#include "run/ports.h"
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
#define REFUSED(call) REQUIRE((errno = 0, (call) == -1 && errno == ENOSYS))

static int confine(enum seccomp_part part)
{
	struct err err = {0};

	REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	if (seccomp_confine(part, &err) < 0) {
		(void)fprintf(stderr, "# %s\n", err.msg);
		return 1;
	}
	return 0;
}

/* What neither does, made in a way that the kernel answers otherwise. */
static int try_all(void)
{
	char *const argv[] = {NULL};
	const int on = 1;
	int n = 0;
	socklen_t size = sizeof(n);

	REFUSED(open("/dev/null", O_RDONLY | O_CLOEXEC));
	REFUSED(syscall(SYS_openat2, -1, "/", NULL, 0));
	REFUSED(execve("/bin/true", argv, argv));
	REFUSED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0));
	REFUSED(syscall(435 /* clone3 */, NULL, 0));
	REFUSED(kill(getppid(), 0));
	REFUSED(ptrace(PTRACE_TRACEME, 0, 0, 0));
	REFUSED(syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0));
	REFUSED(syscall(SYS_setns, -1, 0));
	REFUSED(syscall(SYS_unshare, 0));
	REFUSED(syscall(425 /* io_uring_setup */, 0, NULL));
	REFUSED(syscall(SYS_bpf, -1, NULL, 0));
	REFUSED(syscall(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0));
	REFUSED(syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0));
	REFUSED(syscall(SYS_mprotect, NULL, 4096, PROT_EXEC));
	REFUSED(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	REFUSED(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
	REFUSED(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 262 /* IPPROTO_MPTCP */));
	REFUSED(setsockopt(-1, IPPROTO_IP, IP_TTL, &on, sizeof(on)));
	REFUSED(getsockopt(-1, IPPROTO_IP, IP_TTL, &n, &size));
	REFUSED(syscall(SYS_prlimit64, 1, RLIMIT_NOFILE, NULL, NULL));
	REFUSED(fcntl(0, F_SETOWN, 1));
	REFUSED(syscall(SYS_ioctl, 0, 0x5401, NULL));
	/* Memory there is. */
	for (size_t i = 16; i <= (64u << 20); i *= 4) {
		_cleanup_free_ char *p = xmalloc(i);

		memset(p, 1, i);
		p = xrealloc(p, 2 * i);
	}
	return 0;
}

/* A published port, and something that went over it. */
static int use_broker(int outer[static 2], int inner[static 2], struct loop *loop)
{
	struct port port = {.address = "127.0.0.1"};
	struct joints joints;
	struct err err = {0};
	char text[8] = "";
	int fd = -1;

	REQUIRE(listener_open(&port, &fd, &err) == 0 && port.host > 0);
	REQUIRE(close(fd) == 0);
	port = (struct port){.address = "::1", .udp = true};
	REQUIRE(listener_open(&port, &fd, &err) == 0 || err.errnum == EADDRNOTAVAIL ||
		err.errnum == EAFNOSUPPORT);
	joints_init(&joints, loop);
	joints_start(&joints, outer[1], inner[1], 1);
	REQUIRE(send(outer[0], "hello", 5, 0) == 5);
	while (recv(inner[0], text, sizeof(text), MSG_DONTWAIT) != 5) {
		REQUIRE(errno == EAGAIN);
		loop_turn(loop, 1000);
		(void)joints_work(&joints);
	}
	REQUIRE(strcmp(text, "hello") == 0 && joints_count(&joints, 1) == 1);
	joints_done(&joints);
	return 0;
}

static int as_broker(void *arg)
{
	struct loop loop = {0};
	struct err err = {0};
	int outer[2];
	int inner[2];

	(void)arg;
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, outer) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, inner) == 0);
	REQUIRE(loop_init(&loop, &err) == 0 && confine(SECCOMP_BROKER) == 0);
	REQUIRE(use_broker(outer, inner, &loop) == 0);
	REFUSED(connect(-1, NULL, 0));
	REFUSED(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, NULL));
	return try_all();
}

static int as_dialer(void *arg)
{
	const struct dial_order order = {.port = *(const uint16_t *)arg};
	struct rlimit limit;
	int fd = -1;

	REQUIRE(confine(SECCOMP_DIALER) == 0);
	REQUIRE(dialer_dial(&order, &fd) == 0 && close(fd) == 0);
	REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	REFUSED(bind(-1, NULL, 0));
	REFUSED(listen(-1, 1));
	REFUSED(accept4(-1, NULL, NULL, 0));
	REFUSED(splice(-1, NULL, -1, NULL, 1, 0));
	REFUSED(pipe2((int[2]){0}, O_CLOEXEC));
	return try_all();
}

static void each_does_its_work_and_nothing_else(void **state)
{
	struct port port = {.address = "127.0.0.1"};
	struct err err = {0};
	int fd = -1;

	(void)state;
	assert_int_equal(proc_call(as_broker, NULL), 0);
	assert_int_equal(listener_open(&port, &fd, &err), 0);
	assert_int_equal(proc_call(as_dialer, &port.host), 0);
	(void)close(fd);
}

#ifdef __x86_64__
static int call_32_bit(void *arg)
{
	int r;

	(void)arg;
	REQUIRE(confine(SECCOMP_DIALER) == 0);
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20 /* getpid */) : "memory");
	return r < 0 ? 2 : 3;
}

static void another_abi_ends_it(void **state)
{
	(void)state;
	assert_int_equal(proc_call(call_32_bit, NULL), 128 + SIGSYS);
}
#endif

static int without_no_new_privs(void *arg)
{
	struct err err = {0};

	(void)arg;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return 77;
	REQUIRE(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
	REQUIRE(seccomp_confine(SECCOMP_BROKER, &err) == -1);
	REQUIRE(strcmp(err.msg, "cannot load the system call filter (published ports): Permission "
				"denied") == 0);
	return 0;
}

static void what_cannot_be_is_said(void **state)
{
	int r = proc_call(without_no_new_privs, NULL);

	(void)state;
	if (r == 77)
		print_message("# skipped: no_new_privs is set already\n");
	else
		assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_does_its_work_and_nothing_else),
#ifdef __x86_64__
		cmocka_unit_test(another_abi_ends_it),
#endif
		cmocka_unit_test(what_cannot_be_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
