/*
 * What the filters of run/seccomp, run/seccomp_policy and run/seccomp_emulate answer: the programs
 * are run here, call by call, for every ABI that this architecture has.  test_seccomp_kernel.c
 * loads them.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>
#include <seccomp.h>

#include "base/err.h"
#include "plan/plan.h"
#include "run/seccomp.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define ALLOWED (-1)      /* else the error number, 0 for a success that does nothing */
#define HIGH (1ull << 32) /* what the kernel does not see of an int */

static const uint32_t abis[] = {
#if defined(__x86_64__)
	SCMP_ARCH_X86_64,
	SCMP_ARCH_X86,
#elif defined(__aarch64__)
	SCMP_ARCH_AARCH64,
	SCMP_ARCH_ARM,
#endif
};
#define NATIVE abis[0]

/* One step of a classic BPF program, as far as filters use it; false: it was a return. */
static bool step(const struct sock_filter *at, const struct seccomp_data *data, uint32_t *a,
		 size_t *pc)
{
	bool taken = false;

	switch (at->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		assert_true(at->k % 4 == 0 && at->k < sizeof(*data));
		memcpy(a, (const char *)data + at->k, sizeof(*a));
		return true;
	case BPF_ALU | BPF_AND | BPF_K:
		*a &= at->k;
		return true;
	case BPF_JMP | BPF_JA:
		*pc += at->k;
		return true;
	case BPF_JMP | BPF_JEQ | BPF_K:
		taken = *a == at->k;
		break;
	case BPF_JMP | BPF_JGT | BPF_K:
		taken = *a > at->k;
		break;
	case BPF_JMP | BPF_JGE | BPF_K:
		taken = *a >= at->k;
		break;
	case BPF_RET | BPF_K:
		*a = at->k;
		return false;
	default:
		fail_msg("unknown instruction 0x%x", at->code);
	}
	*pc += taken ? at->jt : at->jf;
	return true;
}

static int run(const struct sock_fprog *prog, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t pc = 0; pc < prog->len; pc++) {
		if (step(&prog->filter[pc], data, &a, &pc))
			continue;
		if (a == SECCOMP_RET_ALLOW)
			return ALLOWED;
		assert_int_equal(a & SECCOMP_RET_ACTION_FULL, SECCOMP_RET_ERRNO);
		return (int)(a & SECCOMP_RET_DATA);
	}
	fail_msg("ran off the end");
	return ALLOWED;
}

static int number_of(uint32_t abi, const char *call)
{
	int number = seccomp_syscall_resolve_name_arch(abi, call);

	/* For these libseccomp gives the names numbers of its own, as they are part of socketcall. */
	if (abi == SCMP_ARCH_X86 && strcmp(call, "socket") == 0)
		return 359;
	if (abi == SCMP_ARCH_X86 && strcmp(call, "socketpair") == 0)
		return 360;
	assert_int_not_equal(number, __NR_SCMP_ERROR);
	return number;
}

/* The answer to a call by name with its first three arguments. */
static int answer(const struct sock_fprog *prog, uint32_t abi, const char *call, uint64_t a0,
		  uint64_t a1, uint64_t a2)
{
	const struct seccomp_data data = {
		.nr = number_of(abi, call), .arch = abi, .args = {a0, a1, a2}};

	assert_true(data.nr >= 0);
	return run(prog, &data);
}

static int answer_number(const struct sock_fprog *prog, uint32_t abi, uint32_t number)
{
	const struct seccomp_data data = {.nr = (int)number, .arch = abi};

	return run(prog, &data);
}

static struct seccomp_filters make(struct plan plan)
{
	struct seccomp_filters f = {0};
	struct err err = {0};

	assert_int_equal(seccomp_make(&plan, &f, &err), 0);
	assert_string_equal(err.msg, "");
	return f;
}

static struct seccomp_filters make_policy(bool nested)
{
	return make((struct plan){.seccomp = SECCOMP_DEFAULT, .nested = nested});
}

/* A call that is refused whatever its arguments are. */
struct refused {
	const char *name;
	int number; /* where libseccomp may not know the name */
	int errnum;
	bool nested_too;
};

static const struct refused all_refused[] = {
	{"acct", 0, EPERM, true},
	{"add_key", 0, ENOSYS, true},
	{"bpf", 0, ENOSYS, true},
	{"clone3", 435, ENOSYS, false},
	{"create_module", 0, EPERM, true},
	{"delete_module", 0, EPERM, true},
	{"fanotify_init", 0, EPERM, true},
	{"finit_module", 0, EPERM, true},
	{"fsconfig", 431, ENOSYS, false},
	{"fsmount", 432, ENOSYS, false},
	{"fsopen", 430, ENOSYS, false},
	{"fspick", 433, ENOSYS, false},
	{"init_module", 0, EPERM, true},
	{"io_uring_enter", 426, ENOSYS, true},
	{"io_uring_register", 427, ENOSYS, true},
	{"io_uring_setup", 425, ENOSYS, true},
	{"kexec_file_load", 0, EPERM, true},
	{"kexec_load", 0, EPERM, true},
	{"keyctl", 0, ENOSYS, true},
	{"listmount", 458, ENOSYS, true},
	{"lookup_dcookie", 0, ENOSYS, true},
	{"migrate_pages", 0, ENOSYS, true},
	{"mount", 0, EPERM, false},
	{"mount_setattr", 442, ENOSYS, false},
	{"move_mount", 429, ENOSYS, false},
	{"move_pages", 0, ENOSYS, true},
	{"open_by_handle_at", 0, EPERM, true},
	{"open_tree", 428, ENOSYS, false},
	{"open_tree_attr", 467, ENOSYS, false},
	{"perf_event_open", 0, ENOSYS, true},
	{"pivot_root", 0, EPERM, false},
	{"quotactl", 0, EPERM, true},
	{"quotactl_fd", 443, EPERM, true},
	{"reboot", 0, EPERM, true},
	{"request_key", 0, ENOSYS, true},
	{"setns", 0, EPERM, false},
	{"socket", 0, EAFNOSUPPORT, true}, /* of family 0, which is none */
	{"statmount", 457, ENOSYS, true},
	{"swapoff", 0, EPERM, true},
	{"swapon", 0, EPERM, true},
	{"syslog", 0, EPERM, true},
	{"umount", 0, EPERM, false},
	{"umount2", 0, EPERM, false},
	{"uselib", 0, ENOSYS, true},
	{"userfaultfd", 0, ENOSYS, true},
	{"vmsplice", 0, ENOSYS, true},
};

static int expected(uint32_t abi, int number, bool nested)
{
	for (size_t i = 0; i < COUNT(all_refused); i++) {
		const struct refused *r = &all_refused[i];
		int own = r->number ? r->number : number_of(abi, r->name);

		if (own == number)
			return nested && !r->nested_too ? ALLOWED : r->errnum;
	}
	return ALLOWED;
}

static void these_calls_are_refused_and_no_others(void **state)
{
	(void)state;
	for (int nested = 0; nested <= 1; nested++) {
		struct seccomp_filters f = make_policy(nested);

		assert_null(f.emulation);
		for (size_t i = 0; i < COUNT(abis); i++)
			for (int nr = 0; nr <= 469; nr++)
				if (answer_number(f.policy, abis[i], (uint32_t)nr) !=
				    expected(abis[i], nr, nested))
					fail_msg("abi 0x%x, nested %d, call %d: %d", abis[i],
						 nested, nr,
						 answer_number(f.policy, abis[i], (uint32_t)nr));
		seccomp_done(&f);
	}
}

static void what_is_younger_is_not_there(void **state)
{
	struct seccomp_filters f = make_policy(true);

	(void)state;
	for (size_t i = 0; i < COUNT(abis); i++)
		for (uint32_t nr = 470; nr <= 1100; nr++)
			assert_int_equal(answer_number(f.policy, abis[i], nr), ENOSYS);
#ifdef __aarch64__
	assert_int_equal(answer_number(f.policy, SCMP_ARCH_ARM, 0x0f0005), ALLOWED); /* set_tls */
#endif
	/* How a tracer makes a call be skipped. */
	assert_int_equal(answer_number(f.policy, NATIVE, UINT32_MAX), ALLOWED);
	seccomp_done(&f);
}

#ifdef __x86_64__
#define X32 0x40000000u

static void x32_is_not_there(void **state)
{
	struct seccomp_filters f = make_policy(true);

	(void)state;
	for (uint32_t nr = 0; nr < 1100; nr++)
		assert_int_equal(answer_number(f.policy, NATIVE, X32 | nr), ENOSYS);
	seccomp_done(&f);
}
#endif

static void a_foreign_abi_is_not_there(void **state)
{
	struct seccomp_filters f = make_policy(true);

	(void)state;
	assert_int_equal(answer_number(f.policy, SCMP_ARCH_S390X, 20 /* getpid */), ENOSYS);
	seccomp_done(&f);
}

/* Refused for an argument: in the first line of each, for this one. */
struct argued {
	const char *call;
	uint64_t args[3];
	int plain;  /* the answer */
	int nested; /* with nested = yes */
};

static const struct argued all_argued[] = {
	{"ioctl", {0, TIOCSTI}, EPERM, EPERM},
	{"ioctl", {0, TIOCSTI | HIGH}, EPERM, EPERM},
	{"ioctl", {0, TIOCLINUX}, EPERM, EPERM},
	{"ioctl", {0, TIOCLINUX | HIGH << 31}, EPERM, EPERM},
	{"ioctl", {TIOCSTI, TCGETS, TIOCSTI}, ALLOWED, ALLOWED},
	{"ioctl", {0, TIOCGWINSZ}, ALLOWED, ALLOWED},
	{"unshare", {CLONE_NEWUSER}, EPERM, ALLOWED},
	{"unshare", {CLONE_NEWUSER | CLONE_NEWNS | HIGH}, EPERM, ALLOWED},
	{"unshare", {CLONE_FILES | CLONE_FS}, ALLOWED, ALLOWED},
	{"clone", {CLONE_NEWUSER | SIGCHLD}, EPERM, ALLOWED},
	{"clone", {CLONE_NEWUSER | CLONE_VM | HIGH}, EPERM, ALLOWED},
	{"clone", {CLONE_VM | CLONE_VFORK | SIGCHLD, CLONE_NEWUSER}, ALLOWED, ALLOWED},
	{"clone", {(uint32_t)~CLONE_NEWUSER}, ALLOWED, ALLOWED},
	{"socket", {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC}, ALLOWED, ALLOWED},
	{"socket", {AF_ALG, SOCK_SEQPACKET}, EAFNOSUPPORT, EAFNOSUPPORT},
	{"socket", {AF_VSOCK, SOCK_STREAM}, EAFNOSUPPORT, EAFNOSUPPORT},
	{"socket", {AF_INET6, SOCK_DGRAM, 12}, ALLOWED, ALLOWED},
	/* Family by family below. */
	{"socketpair", {AF_UNIX, SOCK_STREAM}, ALLOWED, ALLOWED},
	{"ptrace", {0}, ALLOWED, ALLOWED},
	{"personality", {0x0040000}, ALLOWED, ALLOWED},
	{"seccomp", {1}, ALLOWED, ALLOWED},
	{"prctl", {22}, ALLOWED, ALLOWED},
	{"chroot", {0}, ALLOWED, ALLOWED},
};

static void arguments_decide(void **state)
{
	struct seccomp_filters plain = make_policy(false);
	struct seccomp_filters nested = make_policy(true);

	(void)state;
	for (size_t i = 0; i < COUNT(abis) * COUNT(all_argued); i++) {
		const struct argued *c = &all_argued[i / COUNT(abis)];
		uint32_t abi = abis[i % COUNT(abis)];
		int p = answer(plain.policy, abi, c->call, c->args[0], c->args[1], c->args[2]);
		int n = answer(nested.policy, abi, c->call, c->args[0], c->args[1], c->args[2]);

		if (p != c->plain || n != c->nested)
			fail_msg("abi 0x%x: row %zu: %s: %d, %d", abi, i / COUNT(abis), c->call, p,
				 n);
	}
	seccomp_done(&plain);
	seccomp_done(&nested);
}

static void sockets_are_of_four_families(void **state)
{
	struct seccomp_filters f = make_policy(false);

	(void)state;
	for (size_t i = 0; i < COUNT(abis); i++)
		for (uint64_t family = 0; family < 64; family++) {
			bool fine = family == AF_UNIX || family == AF_INET || family == AF_INET6 ||
				    family == AF_NETLINK;
			int want = fine ? ALLOWED : EAFNOSUPPORT;

			assert_int_equal(answer(f.policy, abis[i], "socket", family, 1, 0), want);
			assert_int_equal(answer(f.policy, abis[i], "socket", family | HIGH, 1, 0),
					 want);
		}
	seccomp_done(&f);
}

static void netlink_is_of_three_protocols(void **state)
{
	struct seccomp_filters f = make_policy(false);

	(void)state;
	for (size_t i = 0; i < COUNT(abis); i++)
		for (uint64_t p = 0; p < 64; p++) {
			/* NETLINK_ROUTE, _SOCK_DIAG, _KOBJECT_UEVENT */
			int want = p == 0 || p == 4 || p == 15 ? ALLOWED : EPROTONOSUPPORT;

			assert_int_equal(answer(f.policy, abis[i], "socket", AF_NETLINK, 3, p),
					 want);
			assert_int_equal(
				answer(f.policy, abis[i], "socket", AF_NETLINK | HIGH, 3, p | HIGH),
				want);
			assert_int_equal(answer(f.policy, abis[i], "socket", AF_INET, 3, p),
					 ALLOWED);
		}
	seccomp_done(&f);
}

#ifdef __x86_64__
/* socketcall(2) has the family in memory: no socket is made that way. */
static void socketcall_makes_no_socket(void **state)
{
	struct seccomp_filters f = make_policy(true);

	(void)state;
	for (uint64_t call = 0; call < 32; call++)
		for (uint64_t rest = 0; rest < 32; rest++)
			assert_int_equal(
				answer(f.policy, SCMP_ARCH_X86, "socketcall", call, rest, rest),
				call == 1 /* SYS_SOCKET */ ? EAFNOSUPPORT : ALLOWED);
	seccomp_done(&f);
}
#endif

static const char *const all_faked[] = {
	"capset",     "chown",     "chown32",     "fchown",    "fchown32",    "fchownat",
	"kexec_load", "lchown",    "lchown32",    "setfsgid",  "setfsgid32",  "setfsuid",
	"setfsuid32", "setgid",    "setgid32",    "setgroups", "setgroups32", "setregid",
	"setregid32", "setresgid", "setresgid32", "setresuid", "setresuid32", "setreuid",
	"setreuid32", "setuid",    "setuid32",
};

static bool is_faked(uint32_t abi, int number)
{
	for (size_t i = 0; i < COUNT(all_faked); i++)
		if (number_of(abi, all_faked[i]) == number)
			return true;
	return false;
}

static void these_calls_of_root_succeed_and_no_others(void **state)
{
	struct seccomp_filters f =
		make((struct plan){.seccomp = SECCOMP_OFF, .emulate_root = true});

	(void)state;
	assert_null(f.policy);
	for (size_t i = 0; i < COUNT(abis); i++)
		for (int nr = 0; nr <= 600; nr++)
			assert_int_equal(answer_number(f.emulation, abis[i], (uint32_t)nr),
					 is_faked(abis[i], nr) ? 0 : ALLOWED);
#ifdef __x86_64__
	for (int nr = 0; nr <= 600; nr++)
		assert_int_equal(answer_number(f.emulation, NATIVE, X32 | (uint32_t)nr),
				 is_faked(SCMP_ARCH_X32, (int)(X32 | (uint32_t)nr)) ? 0 : ALLOWED);
#endif
	assert_int_equal(answer_number(f.emulation, SCMP_ARCH_S390X, 20), ALLOWED);
	assert_int_equal(answer(f.emulation, NATIVE, "setresuid", (uint32_t)-1, 5, (uint32_t)-1),
			 0);
	assert_int_equal(answer(f.emulation, NATIVE, "fchownat", 3, 0, 0), 0);
	seccomp_done(&f);
}

static void of_nodes_only_devices_are_faked(void **state)
{
	struct seccomp_filters f = make((struct plan){.emulate_root = true});

	(void)state;
	assert_non_null(f.policy);
	for (size_t i = 0; i < COUNT(abis); i++)
		for (uint64_t type = 0; type <= S_IFMT; type += 1u << 12) {
			bool device = type == S_IFCHR || type == S_IFBLK;
			uint64_t mode = type | 06644;
			int want = device ? 0 : ALLOWED;

			if (number_of(abis[i], "mknod") >= 0)
				assert_int_equal(answer(f.emulation, abis[i], "mknod", S_IFCHR,
							mode, S_IFCHR),
						 want);
			assert_int_equal(
				answer(f.emulation, abis[i], "mknodat", S_IFCHR, S_IFCHR, mode),
				want);
			assert_int_equal(answer(f.emulation, abis[i], "mknodat", 0, 0, mode | HIGH),
					 want);
		}
	seccomp_done(&f);
}

static void a_plan_without_filters_has_none(void **state)
{
	struct seccomp_filters f = make((struct plan){.seccomp = SECCOMP_OFF});
	struct err err = {0};

	(void)state;
	assert_null(f.policy);
	assert_null(f.emulation);
	assert_int_equal(seccomp_install(&f, true, &err), 0);
	seccomp_done(&f);
	f = make((struct plan){.seccomp = SECCOMP_DEFAULT, .emulate_root = true});
	seccomp_done(&f);
	assert_null(f.policy);
	assert_null(f.emulation);
	seccomp_done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(these_calls_are_refused_and_no_others),
		cmocka_unit_test(what_is_younger_is_not_there),
#ifdef __x86_64__
		cmocka_unit_test(x32_is_not_there),
		cmocka_unit_test(socketcall_makes_no_socket),
#endif
		cmocka_unit_test(a_foreign_abi_is_not_there),
		cmocka_unit_test(arguments_decide),
		cmocka_unit_test(sockets_are_of_four_families),
		cmocka_unit_test(netlink_is_of_three_protocols),
		cmocka_unit_test(these_calls_of_root_succeed_and_no_others),
		cmocka_unit_test(of_nodes_only_devices_are_faked),
		cmocka_unit_test(a_plan_without_filters_has_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
