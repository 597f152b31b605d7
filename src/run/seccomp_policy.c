/*
 * The policy `seccomp = default`: what a program in a sandbox is refused.
 *
 * It is a list of what is refused, not of what is allowed: compilers, debuggers, databases and
 * browsers run, and a new program does not have to be thought of here.  Refused is what widens
 * the reach of an attacker into the kernel and what programs do without: each row says why.
 * Calls younger than this list are refused as well, until somebody has looked at them.
 *
 * The answer is chosen for what programs do next.  ENOSYS and EAFNOSUPPORT, "this kernel does
 * not have it", make them take another way; EPERM is what they know as the answer to a user
 * without the right.
 *
 * Not here is what the kernel refuses by itself for want of a capability (setting the clock), and
 * ptrace(2): it reaches no further than the sandbox's own processes.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/err.h"
#include "plan/plan.h"
#include "run/seccomp_internal.h"

#ifdef __s390x__
#define CLONE_FLAGS 1 /* the argument that has them */
#else
#define CLONE_FLAGS 0
#endif

static const struct seccomp_rule rules[] = {
	/* Typing into the terminal, which whoever reads it outside would run: CVE-2017-5226,
	 * CVE-2023-28100. */
	{"ioctl", EPERM, 1, {SECCOMP_INT(1, TIOCSTI)}},
	{"ioctl", EPERM, 1, {SECCOMP_INT(1, TIOCLINUX)}},

	/* Keys belong to the user, not to the sandbox: the host's could be read and replaced. */
	{"add_key", ENOSYS, 0, {{0}}},
	{"keyctl", ENOSYS, 0, {{0}}},
	{"request_key", ENOSYS, 0, {{0}}},

	/* Large parts of the kernel that most programs never call, and most exploits of it do. */
	{"bpf", ENOSYS, 0, {{0}}},
	{"perf_event_open", ENOSYS, 0, {{0}}},
	{"userfaultfd", ENOSYS, 0, {{0}}}, /* stops the kernel where an exploit needs time */
	{"vmsplice", ENOSYS, 0, {{0}}},
	{"move_pages", ENOSYS, 0, {{0}}},
	{"migrate_pages", ENOSYS, 0, {{0}}},
	{"fanotify_init", EPERM, 0, {{0}}}, /* as before Linux 5.13; inotify is there */

	/* A file by its number, past the folders that hide it. */
	{"open_by_handle_at", EPERM, 0, {{0}}},

	/* The machine.  No capability of a sandbox reaches it; this is the second lock. */
	{"acct", EPERM, 0, {{0}}},
	{"create_module", EPERM, 0, {{0}}},
	{"delete_module", EPERM, 0, {{0}}},
	{"finit_module", EPERM, 0, {{0}}},
	{"init_module", EPERM, 0, {{0}}},
	{"kexec_file_load", EPERM, 0, {{0}}},
	{"kexec_load", EPERM, 0, {{0}}},
	{"quotactl", EPERM, 0, {{0}}},
	{"reboot", EPERM, 0, {{0}}},
	{"swapoff", EPERM, 0, {{0}}},
	{"swapon", EPERM, 0, {{0}}},
	{"syslog", EPERM, 0, {{0}}}, /* the kernel's log tells addresses, and of other users */

	/* Left from long ago, with bugs that nobody looks for any more. */
	{"lookup_dcookie", ENOSYS, 0, {{0}}},
	{"uselib", ENOSYS, 0, {{0}}},
};

static const struct seccomp_rule rules_not_nested[] = {
	/* In a user namespace of its own a program has every capability, and with it the parts of
	 * the kernel that were written for root: most local exploits start here (CVE-2024-1086). */
	{"clone", EPERM, 1, {SECCOMP_LOW_BITS(CLONE_FLAGS, CLONE_NEWUSER, CLONE_NEWUSER)}},
	{"unshare", EPERM, 1, {SECCOMP_LOW_BITS(0, CLONE_NEWUSER, CLONE_NEWUSER)}},
	{"setns", EPERM, 0, {{0}}},

	/* What the sandbox hides is hidden by mounts. */
	{"mount", EPERM, 0, {{0}}},
	{"umount", EPERM, 0, {{0}}}, /* of 32-bit ABIs */
	{"umount2", EPERM, 0, {{0}}},
	{"pivot_root", EPERM, 0, {{0}}},
};

/*
 * Calls from here on have the same number everywhere, and libseccomp may be too old for their
 * names: those are rules of the prologue.  (MIPS and Alpha have the same order, from another start.)
 */
#define FIRST_COMMON 424
_Static_assert(SYS_clone3 == 435, "this architecture numbers its calls in its own way");

struct young {
	uint32_t number;
	int errnum;
};

static const struct young young[] = {
	/* Does what a filter forbids, without a system call that the filter would see. */
	{425, ENOSYS}, /* io_uring_setup */
	{426, ENOSYS}, /* io_uring_enter */
	{427, ENOSYS}, /* io_uring_register */

	{443, EPERM}, /* quotactl_fd: as quotactl */

	/* Tell what /proc/self/mountinfo tells, of more mounts. */
	{457, ENOSYS}, /* statmount */
	{458, ENOSYS}, /* listmount */
};

static const struct young young_not_nested[] = {
	/* Its flags are in memory, where no filter sees CLONE_NEWUSER: libc takes clone. */
	{435, ENOSYS}, /* clone3 */

	/* As mount; CVE-2021-41133 was a filter that knew only that. */
	{428, ENOSYS}, /* open_tree */
	{429, ENOSYS}, /* move_mount */
	{430, ENOSYS}, /* fsopen */
	{431, ENOSYS}, /* fsconfig */
	{432, ENOSYS}, /* fsmount */
	{433, ENOSYS}, /* fspick */
	{442, ENOSYS}, /* mount_setattr */
	{467, ENOSYS}, /* open_tree_attr */
};

/* The last call that was looked at for this list: file_setattr, Linux 6.17. */
#define LAST_KNOWN 469
/* From here on 32-bit ARM has calls of its own, which every program needs; x32 lies above. */
#define PRIVATE_CALLS 0x0f0000

/*
 * Sockets: families and netlink protocols are numbers below 64, and few of them are in use.
 * The others are where a plain socket(2) has loaded a module that nobody maintains, or has
 * reached past the network namespace (AF_VSOCK: CVE-2025-21756; AF_ALG: CVE-2026-31431).
 */
#define MAX_NUMBER 64u
static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
static const uint32_t netlinks[] = {
	0,  /* NETLINK_ROUTE: getaddrinfo, getifaddrs, ip */
	4,  /* NETLINK_SOCK_DIAG: ss */
	15, /* NETLINK_KOBJECT_UEVENT: libusb and libudev give up without; nobody sends here */
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The size of the largest aligned block from `start` on that holds none of the list; 0: it is
 * in the list itself. */
static uint32_t free_block(uint32_t start, const uint32_t *list, size_t n)
{
	uint32_t size = 0;

	for (uint32_t next = 1; next <= MAX_NUMBER && start % next == 0; next *= 2) {
		for (size_t i = 0; i < n; i++)
			if (list[i] - start < next) /* one below the start is far off: unsigned */
				return size;
		size = next;
	}
	return size;
}

/*
 * Add `rule` for every value of its last argument that is not in the list: a masked comparison a
 * block.  (One for each value takes libseccomp 0.7 ms, against 0.2 ms.)
 */
static int add_all_but(scmp_filter_ctx ctx, struct seccomp_rule *rule, const uint32_t *list,
		       size_t n, struct err *err)
{
	struct scmp_arg_cmp *cmp = &rule->cmp[rule->n - 1];
	uint32_t size;

	for (uint32_t start = 0; start<MAX_NUMBER; start += size> 0 ? size : 1) {
		size = free_block(start, list, n);
		if (size == 0)
			continue;
		cmp->datum_a = ~(size - 1);
		cmp->datum_b = start;
		if (seccomp_add(ctx, rule, err) < 0)
			return -1;
	}
	return 0;
}

/*
 * 32-bit x86 has socket(2) a second time, as socketcall(2), with the family in memory.  libseccomp
 * makes of these rules that its SYS_SOCKET is refused altogether: else all the others could be had
 * there, from 64-bit programs too.  32-bit ones that know nothing else are without network.
 */
static int add_sockets(scmp_filter_ctx ctx, struct err *err)
{
	struct seccomp_rule family = {"socket", EAFNOSUPPORT, 1, {SECCOMP_INT(0, 0)}};
	/* What audit and others do with EPROTONOSUPPORT is to go on; EPERM ends useradd. */
	struct seccomp_rule netlink = {
		"socket",
		EPROTONOSUPPORT,
		2,
		{SECCOMP_INT(0, AF_NETLINK), SECCOMP_INT(2, 0)},
	};

	if (add_all_but(ctx, &family, families, COUNT(families), err) < 0)
		return -1;
	return add_all_but(ctx, &netlink, netlinks, COUNT(netlinks), err);
}

int seccomp_policy_rules(scmp_filter_ctx ctx, const struct plan *plan, struct err *err)
{
	for (size_t i = 0; i < COUNT(rules); i++)
		if (seccomp_add(ctx, &rules[i], err) < 0)
			return -1;
	for (size_t i = 0; i < COUNT(rules_not_nested) && !plan->nested; i++)
		if (seccomp_add(ctx, &rules_not_nested[i], err) < 0)
			return -1;
	return add_sockets(ctx, err);
}

static struct sock_filter jump(uint16_t test, uint32_t value, size_t if_true, size_t if_false)
{
	return (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | BPF_K | test), value,
					    (uint8_t)if_true, (uint8_t)if_false);
}

static struct sock_filter answer(int errnum)
{
	return (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)errnum);
}

static size_t add_young(const struct young *row, size_t rows, struct sock_filter *ret)
{
	for (size_t i = 0; i < rows; i++) {
		ret[2 * i] = jump(BPF_JEQ, row[i].number, 0, 1);
		ret[2 * i + 1] = answer(row[i].errnum);
	}
	return 2 * rows;
}

size_t seccomp_policy_prologue(const struct plan *plan, struct sock_filter *ret)
{
	size_t n = 2;

	_Static_assert(5 + 2 * (COUNT(young) + COUNT(young_not_nested)) <= SECCOMP_PROLOGUE_MAX,
		       "SECCOMP_PROLOGUE_MAX is too small");
	n += add_young(young, COUNT(young), ret + n);
	if (!plan->nested)
		n += add_young(young_not_nested, COUNT(young_not_nested), ret + n);
	ret[n++] = jump(BPF_JGT, LAST_KNOWN, 0, 2);
	ret[n++] = jump(BPF_JGE, PRIVATE_CALLS, 1, 0);
	ret[n++] = answer(ENOSYS);

	ret[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					      offsetof(struct seccomp_data, nr));
	ret[1] = jump(BPF_JGE, FIRST_COMMON, 0, n - 2);
	return n;
}
