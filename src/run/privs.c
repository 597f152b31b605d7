#include "run/privs.h"

#include <errno.h>
#include <grp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <sys/capability.h>

#include "base/err.h"

/*
 * What package managers and services need of root: docker's default less CAP_NET_RAW and
 * CAP_MKNOD, which no user namespace gives here, and CAP_AUDIT_WRITE, which none honours.
 */
static const cap_value_t root_caps[] = {
	CAP_CHOWN,   CAP_DAC_OVERRIDE,     CAP_FOWNER,     CAP_FSETID,
	CAP_KILL,    CAP_NET_BIND_SERVICE, CAP_SETGID,     CAP_SETUID,
	CAP_SETPCAP, CAP_SETFCAP,          CAP_SYS_CHROOT,
};
#define N_ROOT_CAPS (sizeof(root_caps) / sizeof(root_caps[0]))

/* Of fewer than these, programs need each. */
#define FEW_FILES 4096

static void cleanup_cap(cap_t *caps)
{
	if (*caps)
		(void)cap_free(*caps);
	*caps = NULL;
}
#define _cleanup_cap_ __attribute__((cleanup(cleanup_cap)))

static bool is_root_cap(cap_value_t cap)
{
	for (size_t i = 0; i < N_ROOT_CAPS; i++)
		if (root_caps[i] == cap)
			return true;
	return false;
}

/* Take from the bounding set all but root's capabilities, or all.  -1 with errno. */
static int cut_bounding_set(bool keep_root_caps)
{
	/* cap_max_bits asks the kernel: one that is newer than the library has more. */
	for (cap_value_t cap = 0; cap < (cap_value_t)cap_max_bits(); cap++) {
		if (keep_root_caps && is_root_cap(cap))
			continue;
		if (cap_drop_bound(cap) < 0)
			return -1;
	}
	return 0;
}

int privs_bound(struct err *err)
{
	_cleanup_cap_ cap_t caps = NULL;

	if (cut_bounding_set(true) < 0)
		return err_errno(err, errno, "cannot cut the bounding set of capabilities");

	caps = cap_get_proc();
	/* The ambient set is no more than the inheritable one: it goes with it. */
	if (!caps || cap_clear_flag(caps, CAP_INHERITABLE) < 0 || cap_set_proc(caps) < 0)
		return err_errno(err, errno, "cannot empty the inheritable capabilities");
	return 0;
}

/* The sets of a process that has just become root, or anybody else: with the inheritable set
 * the ambient one is emptied.  -1 with errno. */
static int set_caps(bool root)
{
	_cleanup_cap_ cap_t caps = cap_init();

	if (!caps)
		return -1;
	for (size_t i = 0; root && i < N_ROOT_CAPS; i++) {
		/* One call a capability: cap_set_flag takes a list that is not const. */
		cap_value_t cap = root_caps[i];

		if (cap_get_bound(cap) != CAP_SET)
			continue;
		if (cap_set_flag(caps, CAP_PERMITTED, 1, &cap, CAP_SET) < 0 ||
		    cap_set_flag(caps, CAP_EFFECTIVE, 1, &cap, CAP_SET) < 0)
			return -1;
	}
	return cap_set_proc(caps);
}

static int set_ids(const struct privs_user *user, struct err *err)
{
	/* setresuid(2) takes this one as "leave it as it is", and succeeds. */
	if (user->uid == UINT32_MAX || user->gid == UINT32_MAX)
		return err_errno(err, EINVAL, "cannot become user %u of group %u", user->uid,
				 user->gid);
	if (user->groups && setgroups(user->n_groups, user->groups) < 0)
		return err_errno(err, errno, "cannot set the supplementary groups of user %u",
				 user->uid);
	if (setresgid(user->gid, user->gid, user->gid) < 0)
		return err_errno(err, errno, "cannot become group %u", user->gid);
	if (setresuid(user->uid, user->uid, user->uid) < 0)
		return err_errno(err, errno, "cannot become user %u", user->uid);
	return 0;
}

int privs_become(const struct privs_user *user, struct err *err)
{
	bool root = user->uid == 0;

	/*
	 * Nobody but root has a use for a bounding set.  Without CAP_SETPCAP it stays, and
	 * gives nothing: no_new_privs keeps an exec from drawing on it.
	 */
	if (!root && cut_bounding_set(false) < 0 && errno != EPERM)
		return err_errno(err, errno, "cannot empty the bounding set of capabilities");

	/* Capabilities survive a change between two ids that are not 0, and with keepcaps from 0
	 * as well: so they are set, whatever the kernel did. */
	if (prctl(PR_SET_KEEPCAPS, 0L, 0L, 0L, 0L) < 0)
		return err_errno(err, errno, "cannot switch off PR_SET_KEEPCAPS");
	if (set_ids(user, err) < 0)
		return -1;
	if (set_caps(root) < 0)
		return err_errno(err, errno, "cannot set the capabilities of user %u", user->uid);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
		return err_errno(err, errno, "cannot set no_new_privs");
	return 0;
}

int privs_reserve_files(struct err *err)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_errno(err, errno, "cannot read the limit of open files");
	if (limit.rlim_max < FEW_FILES)
		return 0;
	limit.rlim_max /= 2;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		return err_errno(err, errno, "cannot set the limit of open files");
	return 0;
}

int privs_drop(struct err *err)
{
	if (set_caps(false) < 0)
		return err_errno(err, errno, "cannot give up the capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L) < 0)
		return err_errno(err, errno, "cannot set no_new_privs");
	return 0;
}

int privs_keep_over_exec(struct err *err)
{
	_cleanup_cap_ cap_t caps = cap_get_proc();

	for (cap_value_t cap = 0; caps && cap < (cap_value_t)cap_max_bits(); cap++) {
		cap_flag_value_t has = CAP_CLEAR;

		if (cap_get_flag(caps, cap, CAP_PERMITTED, &has) < 0 ||
		    cap_set_flag(caps, CAP_INHERITABLE, 1, &cap, has) < 0)
			return err_errno(err, errno, "cannot read the capabilities");
	}
	if (!caps || cap_set_proc(caps) < 0)
		return err_errno(err, errno, "cannot make the capabilities inheritable");

	for (cap_value_t cap = 0; cap < (cap_value_t)cap_max_bits(); cap++) {
		cap_flag_value_t has = CAP_CLEAR;

		(void)cap_get_flag(caps, cap, CAP_PERMITTED, &has);
		if (has == CAP_SET && cap_set_ambient(cap, CAP_SET) < 0)
			return err_errno(err, errno, "cannot make the capabilities ambient");
	}
	return 0;
}
