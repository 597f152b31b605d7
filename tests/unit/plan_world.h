/*
 * plan_world — a machine, a user and an empty profile, to make plans of.
 *
 *     static void test(void **state) { struct world *w = *state; … made(w) … }
 *     WORLD_TEST(test)
 */
#ifndef SBX_TESTS_UNIT_PLAN_WORLD_H
#define SBX_TESTS_UNIT_PLAN_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "plan/host.h"
#include "plan/plan.h"

struct world {
	struct arena *a;
	struct profile profile;
	struct host_facts facts;
	struct plan_env env;
	struct err err;
};

static inline int world_setup(void **state)
{
	struct arena *a = arena_new();
	struct world *w = ARENA_NEW(a, struct world);

	w->a = a;
	profile_defaults(a, &w->profile);
	w->facts = (struct host_facts){
		.uid = 1000,
		.gid = 1000,
		.user = "me",
		.group = "me",
		.home = "/home/me",
		.shell = "/bin/bash",
		.subuid = {100000, 65536},
		.subgid = {100000, 65536},
		.newuidmap = "/usr/bin/newuidmap",
		.newgidmap = "/usr/bin/newgidmap",
		.fuse_overlayfs = "/usr/bin/fuse-overlayfs",
		.slirp4netns = "/usr/bin/slirp4netns",
		.dev_fuse = true,
		.dev_tun = true,
		.userns = true,
		.overlay_userxattr = true,
		.resolv_conf = "",
	};
	w->env = (struct plan_env){
		.env_id = "demo-0",
		.env_dir = "/home/me/.local/share/sbx/envs/demo-0",
		.store_dir = "/home/me/.local/share/sbx",
		.project = "/home/me/demo",
		.name = "demo",
		.kept_rung = -1,
		.sudo_helper = true,
		.sudo_path = "/usr/libexec/sbx/sbx-sudo",
	};
	*state = w;
	return 0;
}

static inline int world_teardown(void **state)
{
	struct world *w = *state;

	arena_free(w->a);
	return 0;
}

static inline const struct plan *made(struct world *w)
{
	const struct plan *plan = NULL;

	if (plan_make(w->a, &w->profile, &w->facts, &w->env, &plan, &w->err) < 0)
		fail_msg("refused: %s", w->err.msg);
	return plan;
}

static inline void refused(struct world *w, const char *msg, const char *hint)
{
	const struct plan *plan = NULL;

	assert_int_equal(plan_make(w->a, &w->profile, &w->facts, &w->env, &plan, &w->err), -1);
	assert_null(plan);
	assert_string_equal(w->err.msg, msg);
	assert_string_equal(w->err.hint, hint);
}

static inline void add_mount(struct world *w, const char *host, const char *inside, bool writable)
{
	struct mount_value *v =
		arena_alloc(w->a, (w->profile.mounts.n + 1) * sizeof(struct mount_value));

	if (w->profile.mounts.n > 0)
		memcpy(v, w->profile.mounts.v, w->profile.mounts.n * sizeof(*v));
	v[w->profile.mounts.n] = (struct mount_value){
		.host = host,
		.inside = inside,
		.writable = writable,
		.at = {"sbx.ini", (int)w->profile.mounts.n + 2, false},
	};
	w->profile.mounts.v = v;
	w->profile.mounts.n++;
}

static inline const struct standin *standin_of(const struct plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->n_standins; i++)
		if (str_eq(plan->standins[i].path, path))
			return &plan->standins[i];
	return NULL;
}

static inline size_t bind_at(const struct plan *plan, const char *target)
{
	for (size_t i = plan->n_mounts; i > 0; i--)
		if (plan->mounts[i - 1].kind == MOUNT_BIND &&
		    str_eq(plan->mounts[i - 1].target, target))
			return i - 1;
	fail_msg("nothing is bound at %s", target);
	return 0;
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

#endif
