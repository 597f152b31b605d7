#include <errno.h>
#include <grp.h>
#include <linux/securebits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#include <sys/capability.h>

#include "base/err.h"
#include "base/proc.h"
#include "privs_world.h"
#include "run/privs.h"

/* chown dac_override fowner fsetid kill setgid setuid setpcap net_bind_service sys_chroot
 * setfcap, as capability.h numbers them. */
#define ROOT_CAPS 0x800405fbull
#define KILL 5

static int bound(void)
{
	const struct sets before = sets_now();
	struct sets now;
	struct err err;

	REQUIRE_DONE(privs_keep_over_exec(&err));
	REQUIRE(sets_now().inh != 0 && sets_now().amb != 0);
	REQUIRE_DONE(privs_bound(&err));
	now = sets_now();
	REQUIRE(now.bnd == ROOT_CAPS);
	REQUIRE(now.inh == 0 && now.amb == 0);
	/* Pid 1 has use for the others after this. */
	REQUIRE(now.prm == before.prm && now.eff == before.eff && now.prm != ROOT_CAPS);
	return 0;
}

static void the_bounding_set_is_cut(void **state)
{
	(void)state;
	with_one_id(0, bound);
	with_one_id(1000, bound);
}

static int become_root(void)
{
	const struct privs_user root = {0};
	struct err err;

	REQUIRE_DONE(privs_bound(&err));
	REQUIRE(prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0);
	REQUIRE_DONE(privs_become(&root, &err));
	REQUIRE(permits_only(sets_now(), ROOT_CAPS) && sets_now().bnd == ROOT_CAPS);
	REQUIRE(permits_only(sets_after_exec(), ROOT_CAPS));
	REQUIRE(prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 0);
	return 0;
}

/* Where nobody cut it, it gives root no more. */
static int become_root_of_a_full_bounding_set(void)
{
	const struct privs_user root = {0};
	struct err err;

	REQUIRE_DONE(privs_keep_over_exec(&err));
	REQUIRE_DONE(privs_become(&root, &err));
	REQUIRE(permits_only(sets_now(), ROOT_CAPS));
	REQUIRE(permits_only(sets_after_exec(), ROOT_CAPS));
	return 0;
}

static int become_root_of_a_smaller_bounding_set(void)
{
	const struct privs_user root = {0};
	struct err err;

	REQUIRE(prctl(PR_CAPBSET_DROP, KILL, 0, 0, 0) == 0);
	REQUIRE_DONE(privs_become(&root, &err));
	REQUIRE(permits_only(sets_now(), ROOT_CAPS & ~(1ull << KILL)));
	return 0;
}

static void root_has_the_bounding_set(void **state)
{
	(void)state;
	with_one_id(0, become_root);
	with_one_id(0, become_root_of_a_full_bounding_set);
	with_one_id(0, become_root_of_a_smaller_bounding_set);
}

/* Nothing changes but the capabilities. */
static int stay_who_one_is(void)
{
	const struct privs_user self = {.uid = 1000, .gid = 1000};
	struct err err;

	REQUIRE_DONE(privs_keep_over_exec(&err));
	REQUIRE_DONE(privs_become(&self, &err));
	REQUIRE(permits_only(sets_now(), 0) && sets_now().bnd == 0);
	REQUIRE(permits_only(sets_after_exec(), 0));
	REQUIRE(setresuid(0, 0, 0) == -1);
	return 0;
}

static int lose(const char *without)
{
	cap_t caps = cap_from_text(without);

	REQUIRE(caps && cap_set_proc(caps) == 0 && cap_free(caps) == 0);
	return 0;
}

/* Then the bounding set stays as it is, and gives nothing. */
static int stay_without_setpcap(void)
{
	const struct privs_user self = {.uid = 1000, .gid = 1000};
	const struct sets before = sets_now();
	struct err err;

	REQUIRE(lose("all=ep cap_setpcap-ep") == 0);
	REQUIRE_DONE(privs_become(&self, &err));
	REQUIRE(permits_only(sets_now(), 0) && sets_now().bnd == before.bnd);
	REQUIRE(permits_only(sets_after_exec(), 0));
	return 0;
}

static int stay_without_capabilities(void *arg)
{
	const struct privs_user self = {.uid = geteuid(), .gid = getegid()};
	struct err err;

	(void)arg;
	REQUIRE_DONE(privs_become(&self, &err));
	REQUIRE_DONE(privs_become(&self, &err));
	REQUIRE(permits_only(sets_now(), geteuid() == 0 ? ROOT_CAPS & sets_now().bnd : 0));
	return 0;
}

static void an_unchanged_user_has_none(void **state)
{
	(void)state;
	with_one_id(1000, stay_who_one_is);
	with_one_id(1000, stay_without_setpcap);
	/* As whoever runs this, outside of any namespace of ours. */
	assert_int_equal(proc_call(stay_without_capabilities, NULL), 0);
}

static bool ids_are(uint32_t uid, uint32_t gid)
{
	uid_t u[3];
	gid_t g[3];

	return getresuid(&u[0], &u[1], &u[2]) == 0 && getresgid(&g[0], &g[1], &g[2]) == 0 &&
	       u[0] == uid && u[1] == uid && u[2] == uid && g[0] == gid && g[1] == gid &&
	       g[2] == gid && setfsuid((uid_t)-1) == (int)uid && setfsgid((gid_t)-1) == (int)gid;
}

/* From 0, with all that lets capabilities survive it. */
static int from_root_to_another(void)
{
	const struct privs_user user = {.uid = 77, .gid = 88};
	struct err err;

	REQUIRE_DONE(privs_keep_over_exec(&err));
	REQUIRE(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0);
	REQUIRE_DONE(privs_become(&user, &err));
	REQUIRE(ids_are(77, 88));
	REQUIRE(permits_only(sets_now(), 0) && sets_now().bnd == 0);
	REQUIRE(permits_only(sets_after_exec(), 0));
	REQUIRE(setresuid(0, 0, 0) == -1 && setresgid(0, 0, 0) == -1);
	return 0;
}

/* The kernel takes capabilities away only where one of the ids is 0. */
static int from_user_to_another(void)
{
	const struct privs_user user = {.uid = 77, .gid = 88};
	struct err err;

	REQUIRE(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0);
	REQUIRE(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0);
	REQUIRE(prctl(PR_SET_SECUREBITS, 0, 0, 0, 0) == 0);
	REQUIRE(sets_now().eff != 0);
	REQUIRE_DONE(privs_become(&user, &err));
	REQUIRE(ids_are(77, 88));
	REQUIRE(permits_only(sets_now(), 0) && sets_now().bnd == 0);
	REQUIRE(setresuid(1000, 1000, 1000) == -1);
	return 0;
}

static int from_user_to_root(void)
{
	const struct privs_user root = {0};
	struct err err;

	REQUIRE(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) == 0);
	REQUIRE(setresgid(1000, 1000, 1000) == 0 && setresuid(1000, 1000, 1000) == 0);
	REQUIRE_DONE(privs_become(&root, &err));
	REQUIRE(ids_are(0, 0));
	REQUIRE(permits_only(sets_now(), ROOT_CAPS));
	return 0;
}

static void another_user_has_what_is_its_own(void **state)
{
	(void)state;
	with_all_ids(from_root_to_another);
	with_all_ids(from_user_to_another);
	with_all_ids(from_user_to_root);
}

static int set_groups(void)
{
	const uint32_t some[] = {5, 6, 7};
	struct privs_user user = {.uid = 77, .gid = 88, .groups = some, .n_groups = 3};
	gid_t have[8];
	struct err err;

	REQUIRE_DONE(privs_become(&user, &err));
	REQUIRE(getgroups(8, have) == 3 && have[0] == 5 && have[1] == 6 && have[2] == 7);
	return 0;
}

static int drop_groups(void)
{
	const uint32_t none[] = {0};
	struct privs_user user = {.uid = 77, .gid = 88, .groups = none};
	gid_t have[8] = {5, 6};
	struct err err;

	REQUIRE(setgroups(2, have) == 0);
	REQUIRE_DONE(privs_become(&user, &err));
	REQUIRE(getgroups(8, have) == 0);
	return 0;
}

static int keep_groups(void)
{
	struct privs_user user = {.uid = 77, .gid = 88, .n_groups = 2};
	gid_t have[8] = {5, 6};
	struct err err;

	REQUIRE(setgroups(2, have) == 0);
	REQUIRE_DONE(privs_become(&user, &err));
	REQUIRE(getgroups(8, have) == 2 && have[0] == 5 && have[1] == 6);
	return 0;
}

static void groups_are_set_only_where_some_are_given(void **state)
{
	(void)state;
	with_all_ids(set_groups);
	with_all_ids(drop_groups);
	with_all_ids(keep_groups);
}

static int refusals(void)
{
	const uint32_t group = 0;
	struct privs_user user = {0};
	struct err err;

	user = (struct privs_user){.uid = 77};
	REQUIRE_MESSAGE(privs_become(&user, &err), "cannot become user 77: Invalid argument");
	user = (struct privs_user){.gid = 77};
	REQUIRE_MESSAGE(privs_become(&user, &err), "cannot become group 77: Invalid argument");
	/* "Leave it as it is" to the kernel, and so no failure. */
	user = (struct privs_user){.uid = UINT32_MAX};
	REQUIRE_MESSAGE(privs_become(&user, &err),
			"cannot become user 4294967295 of group 0: Invalid argument");
	user = (struct privs_user){.gid = UINT32_MAX};
	REQUIRE_MESSAGE(privs_become(&user, &err),
			"cannot become user 0 of group 4294967295: Invalid argument");
	user = (struct privs_user){.groups = &group, .n_groups = 1};
	REQUIRE_MESSAGE(privs_become(&user, &err),
			"cannot set the supplementary groups of user 0: Operation not permitted");
	REQUIRE(err.errnum == EPERM);
	return 0;
}

static int keepcaps_locked(void)
{
	const struct privs_user root = {0};
	struct err err;

	REQUIRE(prctl(PR_SET_SECUREBITS, SECBIT_KEEP_CAPS_LOCKED, 0, 0, 0) == 0);
	REQUIRE_MESSAGE(privs_become(&root, &err),
			"cannot switch off PR_SET_KEEPCAPS: Operation not permitted");
	return 0;
}

static int root_that_lost_a_capability(void)
{
	const struct privs_user root = {0};
	struct err err;

	REQUIRE(lose("all=ep cap_kill-ep") == 0);
	REQUIRE_MESSAGE(privs_become(&root, &err),
			"cannot set the capabilities of user 0: Operation not permitted");
	return 0;
}

static int bound_without_capabilities(void *arg)
{
	struct err err;

	(void)arg;
	if ((sets_now().bnd & ~ROOT_CAPS) == 0)
		return 0; /* somebody has cut it already, and there is nothing to refuse */
	REQUIRE(geteuid() != 0 || setresuid(65534, 65534, 65534) == 0);
	REQUIRE_MESSAGE(privs_bound(&err), "cannot cut the bounding set of capabilities: "
					   "Operation not permitted");
	return 0;
}

static void what_cannot_be_is_said(void **state)
{
	(void)state;
	with_one_id(0, refusals);
	with_one_id(0, keepcaps_locked);
	with_one_id(0, root_that_lost_a_capability);
	assert_int_equal(proc_call(bound_without_capabilities, NULL), 0);
}

static int keep(void)
{
	const struct sets before = sets_now();
	struct sets after;
	struct err err;

	REQUIRE(before.prm != 0 && sets_after_exec().prm == 0);
	REQUIRE_DONE(privs_keep_over_exec(&err));
	after = sets_after_exec();
	REQUIRE(after.prm == before.prm && after.eff == before.prm);
	REQUIRE(after.amb == before.prm && after.inh == before.prm && after.bnd == before.bnd);
	REQUIRE(after.nnp == 0);
	return 0;
}

static int keep_less_than_all(void)
{
	struct sets before;
	struct err err;

	REQUIRE(lose("all=ep cap_kill-ep") == 0);
	before = sets_now();
	REQUIRE_DONE(privs_keep_over_exec(&err));
	REQUIRE(sets_after_exec().prm == before.prm && sets_after_exec().amb == before.prm);
	return 0;
}

static int keep_what_is_not_bound(void)
{
	struct err err;

	REQUIRE(prctl(PR_CAPBSET_DROP, KILL, 0, 0, 0) == 0);
	REQUIRE_MESSAGE(privs_keep_over_exec(&err), "cannot make the capabilities inheritable: "
						    "Operation not permitted");
	return 0;
}

static int keep_without_ambient(void)
{
	struct err err;

	REQUIRE(prctl(PR_SET_SECUREBITS, SECBIT_NO_CAP_AMBIENT_RAISE, 0, 0, 0) == 0);
	REQUIRE_MESSAGE(privs_keep_over_exec(&err), "cannot make the capabilities ambient: "
						    "Operation not permitted");
	return 0;
}

static void capabilities_are_kept_over_an_exec(void **state)
{
	(void)state;
	with_one_id(1000, keep);
	with_one_id(1000, keep_less_than_all);
	with_one_id(1000, keep_what_is_not_bound);
	with_one_id(1000, keep_without_ambient);
}

static int halve(void)
{
	const struct rlimit many = {.rlim_cur = 4096, .rlim_max = 4096};
	const struct rlimit few = {.rlim_cur = 100, .rlim_max = 2048};
	struct rlimit now;
	struct err err;

	REQUIRE(setrlimit(RLIMIT_NOFILE, &many) == 0);
	REQUIRE_DONE(privs_reserve_files(&err));
	REQUIRE(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 2048 &&
		now.rlim_max == 2048);
	REQUIRE(setrlimit(RLIMIT_NOFILE, &many) == -1);
	/* Not of few, and the soft one stays where it fits. */
	REQUIRE(setrlimit(RLIMIT_NOFILE, &few) == 0);
	REQUIRE_DONE(privs_reserve_files(&err));
	REQUIRE(getrlimit(RLIMIT_NOFILE, &now) == 0 && now.rlim_cur == 100 && now.rlim_max == 2048);
	return 0;
}

static void files_are_set_aside(void **state)
{
	(void)state;
	with_one_id(0, halve);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_bounding_set_is_cut),
		cmocka_unit_test(root_has_the_bounding_set),
		cmocka_unit_test(an_unchanged_user_has_none),
		cmocka_unit_test(another_user_has_what_is_its_own),
		cmocka_unit_test(groups_are_set_only_where_some_are_given),
		cmocka_unit_test(what_cannot_be_is_said),
		cmocka_unit_test(capabilities_are_kept_over_an_exec),
		cmocka_unit_test(files_are_set_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
