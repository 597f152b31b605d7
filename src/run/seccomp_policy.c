#include "base/err.h"
#include "plan/plan.h"
#include "run/seccomp_internal.h"

int seccomp_policy_rules(scmp_filter_ctx ctx, const struct plan *plan, struct err *err)
{
	const struct seccomp_rule rule = {"reboot", 1, 0, {{0}}};

	(void)plan;
	return seccomp_add(ctx, &rule, err);
}

size_t seccomp_policy_prologue(const struct plan *plan, struct sock_filter *ret)
{
	(void)plan;
	(void)ret;
	return 0;
}
