#include "plan/plan.h"

#include "base/mem.h"
#include "plan/host.h"
#include "plan/plan_parts.h"

/* Refusals come first, so that the user hears of a line in the profile before
 * anything that the machine lacks. */
int plan_make(struct arena *a, const struct profile *p, const struct host_facts *facts,
	      const struct plan_env *env, const struct plan **ret, struct err *err)
{
	struct making m = {.a = a, .p = p, .facts = facts, .env = env};

	m.plan = ARENA_NEW(a, struct plan);
	m.plan->env_id = arena_strdup(a, env->env_id);
	m.plan->env_dir = arena_strdup(a, env->env_dir);
	m.plan->as_root = p->user.as == AS_ROOT;
	m.plan->seccomp = p->security.seccomp;
	m.plan->nested = p->security.nested.on;
	m.plan->linger_ms = p->sandbox.linger_ms;

	if (plan_refuse(&m, err) < 0)
		return -1;
	if (plan_paths(&m, err) < 0)
		return -1;
	if (plan_ids(&m, err) < 0)
		return -1;
	if (plan_root(&m, err) < 0)
		return -1;
	if (plan_net(&m, err) < 0)
		return -1;
	if (plan_mounts(&m, err) < 0)
		return -1;
	plan_standins(&m);
	plan_vars(&m);

	*ret = m.plan;
	return 0;
}

const char *id_rung_name(enum id_rung r)
{
	switch (r) {
	case RUNG_SUBIDS:
		return "subordinate ids";
	case RUNG_SINGLE:
		return "one id";
	}
	return "?";
}

const char *root_driver_name(enum root_driver d)
{
	switch (d) {
	case ROOT_FUSE:
		return "fuse-overlayfs";
	case ROOT_KERNEL:
		return "overlayfs";
	}
	return "?";
}
