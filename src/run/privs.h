/*
 * privs — what a process of the sandbox may do: capabilities(7), no_new_privs.
 */
#ifndef SBX_RUN_PRIVS_H
#define SBX_RUN_PRIVS_H

#include <stdbool.h>
#include <stdint.h>

struct err;

/*
 * Cut the bounding set of this process to what root in a container needs (chown, dac_override,
 * fowner, fsetid, kill, net_bind_service, setfcap, setgid, setpcap, setuid, sys_chroot), and
 * empty the inheritable and ambient sets.  Needs CAP_SETPCAP in its user namespace.
 */
int privs_bound(struct err *err);

/*
 * Become uid:gid, for good: real, effective, saved.  The supplementary groups stay as they are
 * with `groups` NULL: dropping one could open what is closed to it (CVE-2018-7169).  Then for
 * root the permitted and effective sets are the bounding set; for anybody else they are empty.
 * Sets no_new_privs.
 */
struct privs_user {
	uint32_t uid, gid;
	const uint32_t *groups;
	unsigned n_groups;
};
int privs_become(const struct privs_user *user, struct err *err);

/*
 * Halve the limits of open files, for good, where there are enough of them.  The same number bounds the descriptors
 * that this process may have on their way to others, and the kernel counts those of all processes of a user
 * together (ETOOMANYREFS): what runs inside cannot use up what sbx needs to reach this sandbox, and others.
 */
int privs_reserve_files(struct err *err);

/* Give up all capabilities, for good, with no_new_privs; the ids stay. */
int privs_drop(struct err *err);

/* Make all capabilities of this process (in its own user namespace) ambient, so that an exec keeps them. */
int privs_keep_over_exec(struct err *err);

#endif
