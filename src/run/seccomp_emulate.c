/*
 * The emulation of root where there is one id only.
 *
 * Package managers and the scripts of packages give files to other ids, make device nodes and
 * drop to other users.  With one id in the map the kernel refuses all of it.  Here such a call
 * answers success and does nothing: nobody could tell later, as every file belongs to the one id
 * anyway.  The list is that of Charliecloud's ch-image(1), "--force=seccomp".
 *
 * A call that could have been done (chown to 0:0) is skipped as well.  What a program then
 * reads back (getuid, stat) is the truth, so one that checks is not content: apt is, told not
 * to become _apt.
 */
#include <sys/stat.h>

#include "base/err.h"
#include "run/seccomp_internal.h"

/* The …32 are those of 32-bit x86 and ARM, whose first ones have ids of 16 bits. */
static const char *const faked[] = {
	"chown",
	"chown32",
	"fchown",
	"fchown32",
	"fchownat",
	"lchown",
	"lchown32",
	"setfsgid",
	"setfsgid32",
	"setfsuid",
	"setfsuid32",
	"setgid",
	"setgid32",
	"setgroups",
	"setgroups32",
	"setregid",
	"setregid32",
	"setresgid",
	"setresgid32",
	"setresuid",
	"setresuid32",
	"setreuid",
	"setreuid32",
	"setuid",
	"setuid32",
	/* What drops privileges sets its capabilities after its ids, and expects to succeed. */
	"capset",
	/* Nothing in a sandbox has a use for it: it answers 0 where the emulation is loaded, and
	 * tests see by it that it is. */
	"kexec_load",
};

/* Devices alone: the kernel makes a FIFO, a socket or a file for anybody. */
static const struct seccomp_rule nodes[] = {
	{"mknod", 0, 1, {SECCOMP_LOW_BITS(1, S_IFMT, S_IFCHR)}},
	{"mknod", 0, 1, {SECCOMP_LOW_BITS(1, S_IFMT, S_IFBLK)}},
	{"mknodat", 0, 1, {SECCOMP_LOW_BITS(2, S_IFMT, S_IFCHR)}},
	{"mknodat", 0, 1, {SECCOMP_LOW_BITS(2, S_IFMT, S_IFBLK)}},
};

int seccomp_emulate_rules(scmp_filter_ctx ctx, struct err *err)
{
	for (size_t i = 0; i < sizeof(faked) / sizeof(faked[0]); i++) {
		const struct seccomp_rule rule = {.call = faked[i]};

		if (seccomp_add(ctx, &rule, err) < 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		if (seccomp_add(ctx, &nodes[i], err) < 0)
			return -1;
	return 0;
}
