#include "run/seccomp.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <seccomp.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "plan/plan.h"
#include "run/seccomp_internal.h"

/* The 32-bit ABI that a kernel of this architecture runs as well. */
#if defined(__x86_64__)
#define ARCH_32 SCMP_ARCH_X86
#elif defined(__aarch64__)
#define ARCH_32 SCMP_ARCH_ARM
#else
#define ARCH_32 SCMP_ARCH_NATIVE
#endif

/* libseccomp's results are negative error numbers. */
static int failed(int result, const char *what, struct err *err)
{
	return err_errno(err, -result, "cannot make the system call filter: %s", what);
}

/* A rule is made for the architectures that are there already: they come first.
 * `bad_arch`: the answer to calls of an ABI that is not among them. */
static int new_ctx(uint32_t bad_arch, scmp_filter_ctx *ret_ctx, struct err *err)
{
	_cleanup_ctx_ scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int r;

	if (!ctx)
		return failed(-ENOMEM, "seccomp_init", err);
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, bad_arch);
	if (r < 0)
		return failed(r, "SCMP_FLTATR_ACT_BADARCH", err);
	r = seccomp_arch_add(ctx, ARCH_32);
	if (r < 0 && r != -EEXIST)
		return failed(r, "the 32-bit ABI", err);
	/* As a binary tree, which libseccomp before 2.5 does not know: the kernel runs it once for
	 * each number when it is loaded, and so loading takes 0.12 ms and not 0.18. */
	(void)seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);

	*ret_ctx = TAKE_PTR(ctx);
	return 0;
}

int seccomp_add(scmp_filter_ctx ctx, const struct seccomp_rule *rule, struct err *err)
{
	const uint32_t action = rule->errnum == SECCOMP_LET
					? SCMP_ACT_ALLOW
					: SCMP_ACT_ERRNO((uint32_t)rule->errnum);
	int call = seccomp_syscall_resolve_name(rule->call);
	int r;

	if (call == __NR_SCMP_ERROR)
		return 0;
	r = seccomp_rule_add_array(ctx, action, call, rule->n, rule->cmp);
	return r < 0 ? failed(r, rule->call, err) : 0;
}

int seccomp_compile(scmp_filter_ctx ctx, const struct sock_filter *prologue, size_t n,
		    struct sock_fprog **ret_prog, struct err *err)
{
	_cleanup_prog_ struct sock_fprog *prog = NULL;
	/* libseccomp writes to a descriptor; seccomp_export_bpf_mem is too young. */
	_cleanup_fd_ int fd = memfd_create("filter", MFD_CLOEXEC);
	struct sock_filter *body;
	struct stat st;
	size_t size;
	int r;

	if (fd < 0)
		return failed(-errno, "memfd_create", err);
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return failed(r, "seccomp_export_bpf", err);
	if (fstat(fd, &st) < 0)
		return failed(-errno, "fstat", err);

	size = (size_t)st.st_size;
	if (size % sizeof(*body) != 0 || n + size / sizeof(*body) > BPF_MAXINSNS)
		return failed(-E2BIG, "it is too long", err);
	prog = xcalloc(1, sizeof(*prog) + n * sizeof(*body) + size);
	prog->len = (unsigned short)(n + size / sizeof(*body));
	prog->filter = (struct sock_filter *)(prog + 1);
	body = prog->filter + n;
	if (n > 0)
		memcpy(prog->filter, prologue, n * sizeof(*body));
	if (pread(fd, body, size, 0) != (ssize_t)size)
		return failed(-EIO, "it cannot be read back", err);

	*ret_prog = TAKE_PTR(prog);
	return 0;
}

static int make_policy(const struct plan *plan, struct sock_fprog **ret_prog, struct err *err)
{
	_cleanup_ctx_ scmp_filter_ctx ctx = NULL;
	struct sock_filter prologue[SECCOMP_PROLOGUE_MAX];

	/* x32 has the numbers of x86-64 with a bit set: its calls would pass the rules. */
	if (new_ctx(SCMP_ACT_ERRNO(ENOSYS), &ctx, err) < 0)
		return -1;
	if (seccomp_policy_rules(ctx, plan, err) < 0)
		return -1;
	return seccomp_compile(ctx, prologue, seccomp_policy_prologue(plan, prologue), ret_prog,
			       err);
}

static int make_emulation(struct sock_fprog **ret_prog, struct err *err)
{
	_cleanup_ctx_ scmp_filter_ctx ctx = NULL;
	int r = 0;

	if (new_ctx(SCMP_ACT_ALLOW, &ctx, err) < 0)
		return -1;
#ifdef __x86_64__
	r = seccomp_arch_add(ctx, SCMP_ARCH_X32);
#endif
	if (r < 0)
		return failed(r, "the x32 ABI", err);
	if (seccomp_emulate_rules(ctx, err) < 0)
		return -1;
	return seccomp_compile(ctx, NULL, 0, ret_prog, err);
}

int seccomp_make(const struct plan *plan, struct seccomp_filters *ret, struct err *err)
{
	_cleanup_prog_ struct sock_fprog *policy = NULL;
	_cleanup_prog_ struct sock_fprog *emulation = NULL;

	if (plan->seccomp != SECCOMP_OFF && make_policy(plan, &policy, err) < 0)
		return -1;
	if (plan->emulate_root && make_emulation(&emulation, err) < 0)
		return -1;

	ret->policy = TAKE_PTR(policy);
	ret->emulation = TAKE_PTR(emulation);
	return 0;
}

void seccomp_done(struct seccomp_filters *f)
{
	seccomp_cleanup_prog(&f->policy);
	seccomp_cleanup_prog(&f->emulation);
}

int seccomp_load_program(const struct sock_fprog *prog, const char *what, struct err *err)
{
	/* Without the flag kernels before 5.16 switch off speculation of stores for the whole
	 * process, which costs much and protects it from itself alone. */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, prog) < 0)
		return err_errno(err, errno, "cannot load the system call filter (%s)", what);
	return 0;
}

int seccomp_install(const struct seccomp_filters *f, bool root, struct err *err)
{
	/* Of two filters that answer an error number the kernel takes the later one's, and root's
	 * kexec_load is the emulation's. */
	if (f->policy && seccomp_load_program(f->policy, "policy", err) < 0)
		return -1;
	if (root && f->emulation &&
	    seccomp_load_program(f->emulation, "emulation of root", err) < 0)
		return -1;
	return 0;
}
