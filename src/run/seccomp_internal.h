/*
 * seccomp_internal — what the files of run/seccomp share; for nobody else.
 *
 * A filter is what libseccomp compiles from rules on names and arguments, for this machine's
 * architecture and the 32-bit one beside it.  Where no rule matches, the call is let through; but of
 * seccomp_confine.c, which has this architecture and refuses.
 */
#ifndef SBX_RUN_SECCOMP_INTERNAL_H
#define SBX_RUN_SECCOMP_INTERNAL_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <seccomp.h>

struct err;
struct plan;
struct sock_filter;
struct sock_fprog;

/* For objects of theirs and ours, which live in one function. */
static inline void seccomp_cleanup_ctx(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
	*ctx = NULL;
}
#define _cleanup_ctx_ __attribute__((cleanup(seccomp_cleanup_ctx)))

static inline void seccomp_cleanup_prog(struct sock_fprog **prog)
{
	free(*prog);
	*prog = NULL;
}
#define _cleanup_prog_ __attribute__((cleanup(seccomp_cleanup_prog)))

/*
 * A rule: the call answers `errnum` (0: success) and does nothing, if all `n` comparisons hold.  With SECCOMP_LET it
 * is let through.
 */
#define SECCOMP_LET (-1)
struct seccomp_rule {
	const char *call;
	int errnum;
	unsigned n;
	struct scmp_arg_cmp cmp[2];
};

/*
 * Compare the low half of an argument: of an int the kernel drops the upper half, so that a
 * comparison of the whole would be passed by setting a bit there (CVE-2019-10063).
 */
#define SECCOMP_LOW_BITS(number, mask, value)                 \
	{                                                     \
		(number), SCMP_CMP_MASKED_EQ, (mask), (value) \
	}
#define SECCOMP_INT(number, value) SECCOMP_LOW_BITS(number, 0xffffffffu, (uint32_t)(value))

/* Add the rule for each architecture that has the call; one that libseccomp does not know is
 * left out. */
int seccomp_add(scmp_filter_ctx ctx, const struct seccomp_rule *rule, struct err *err);

/* The rules of the emulation of root: seccomp_emulate.c. */
int seccomp_emulate_rules(scmp_filter_ctx ctx, struct err *err);

/* The rules of the policy: seccomp_policy.c. */
int seccomp_policy_rules(scmp_filter_ctx ctx, const struct plan *plan, struct err *err);

/* Load it into this process, for good; `what` is for the message. */
int seccomp_load_program(const struct sock_fprog *prog, const char *what, struct err *err);

/* Compile into a program, to be freed, behind the `n` instructions of a prologue. */
int seccomp_compile(scmp_filter_ctx ctx, const struct sock_filter *prologue, size_t n,
		    struct sock_fprog **ret_prog, struct err *err);

/*
 * What runs ahead of those: the rules on calls that libseccomp may not know yet, by number.
 * Fills `ret`, which has room for SECCOMP_PROLOGUE_MAX, and returns how many instructions.
 */
#define SECCOMP_PROLOGUE_MAX 64
size_t seccomp_policy_prologue(const struct plan *plan, struct sock_filter *ret);

#endif
