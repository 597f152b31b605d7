/*
 * seccomp — the system call filters of a sandbox, made once and loaded by every command.
 *
 * Two filters, either may be absent: the policy (`seccomp = default`) and, where one id is all
 * there is, the emulation of root (Charliecloud's "zero consistency": what needs ids that are
 * not there answers success and does nothing).  The kernel runs both and takes the stricter
 * answer: seccomp(2).
 */
#ifndef SBX_RUN_SECCOMP_H
#define SBX_RUN_SECCOMP_H

#include <stdbool.h>

struct err;
struct plan;
struct sock_fprog; /* linux/filter.h */

/* Compiled filters, as the kernel takes them.  Zeroed is empty and loads nothing. */
struct seccomp_filters {
	struct sock_fprog *policy;
	struct sock_fprog *emulation;
};

/* Compile what the plan asks for (libseccomp): 0.2 ms, and 0.4 ms with the emulation. */
int seccomp_make(const struct plan *plan, struct seccomp_filters *ret, struct err *err);
void seccomp_done(struct seccomp_filters *f);

/*
 * Load them into this process, for good.  no_new_privs must be set.  `root`: the process is to
 * be root, and the emulation is loaded too.  (libseccomp has a seccomp_load of its own.)
 */
int seccomp_install(const struct seccomp_filters *f, bool root, struct err *err);

/*
 * Let this process, which is that part of published ports, do from here on what such a part does, and nothing else:
 * any other call answers ENOSYS.  no_new_privs must be set.  It takes 0.3 ms.
 */
enum seccomp_part {
	SECCOMP_BROKER, /* run/broker.h */
	SECCOMP_DIALER, /* run/dialer.h */
};
int seccomp_confine(enum seccomp_part part, struct err *err);

#endif
