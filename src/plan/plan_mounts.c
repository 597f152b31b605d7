#include <string.h>

#include "base/mem.h"
#include "plan/plan_parts.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

struct fixed_step {
	const char *target;
	const char *source;
	const char *data;
	enum mount_kind kind;
	uint32_t mode;
};

/* Of the host's devices only those that every program expects and that reach nothing. */
static const struct fixed_step first_steps[] = {
	{.kind = MOUNT_TMPFS, .target = "/dev", .data = "mode=755,size=1m"},
	{.kind = MOUNT_DEV, .target = "/dev/null", .source = "/dev/null"},
	{.kind = MOUNT_DEV, .target = "/dev/zero", .source = "/dev/zero"},
	{.kind = MOUNT_DEV, .target = "/dev/full", .source = "/dev/full"},
	{.kind = MOUNT_DEV, .target = "/dev/random", .source = "/dev/random"},
	{.kind = MOUNT_DEV, .target = "/dev/urandom", .source = "/dev/urandom"},
	{.kind = MOUNT_DEV, .target = "/dev/tty", .source = "/dev/tty"},
	{.kind = MOUNT_DEVPTS, .target = "/dev/pts"},
	{.kind = MOUNT_LINK, .target = "/dev/ptmx", .source = "pts/ptmx"},
	{.kind = MOUNT_LINK, .target = "/dev/fd", .source = "/proc/self/fd"},
	{.kind = MOUNT_LINK, .target = "/dev/stdin", .source = "/proc/self/fd/0"},
	{.kind = MOUNT_LINK, .target = "/dev/stdout", .source = "/proc/self/fd/1"},
	{.kind = MOUNT_LINK, .target = "/dev/stderr", .source = "/proc/self/fd/2"},
	{.kind = MOUNT_TMPFS, .target = "/dev/shm", .data = "mode=1777"},
	{.kind = MOUNT_MQUEUE, .target = "/dev/mqueue"},
};

/* What an environment does not keep. */
static const struct fixed_step own_steps[] = {
	{.kind = MOUNT_TMPFS, .target = "/tmp", .data = "mode=1777"},
	{.kind = MOUNT_TMPFS, .target = "/run", .data = "mode=755,size=10%"},
	{.kind = MOUNT_DIR, .target = "/run/lock", .mode = 01777},
	{.kind = MOUNT_DIR, .target = "/run/user", .mode = 0755},
};

static const struct fixed_step sys_steps[] = {
	{.kind = MOUNT_MASK, .target = "/sys/firmware"},
	{.kind = MOUNT_MASK, .target = "/sys/devices/virtual/powercap"},
};

/* What tells of the whole machine or changes it: THREATS.md B8. */
static const struct fixed_step proc_steps[] = {
	{.kind = MOUNT_PROC, .target = "/proc"},
	{.kind = MOUNT_READONLY, .target = "/proc/sys"},
	{.kind = MOUNT_READONLY, .target = "/proc/bus"},
	{.kind = MOUNT_READONLY, .target = "/proc/fs"},
	{.kind = MOUNT_READONLY, .target = "/proc/irq"},
	{.kind = MOUNT_MASK, .target = "/proc/acpi"},
	{.kind = MOUNT_MASK, .target = "/proc/interrupts"},
	{.kind = MOUNT_MASK, .target = "/proc/kallsyms"},
	{.kind = MOUNT_MASK, .target = "/proc/kcore"},
	{.kind = MOUNT_MASK, .target = "/proc/keys"},
	{.kind = MOUNT_MASK, .target = "/proc/latency_stats"},
	{.kind = MOUNT_MASK, .target = "/proc/sched_debug"},
	{.kind = MOUNT_MASK, .target = "/proc/scsi"},
	{.kind = MOUNT_MASK, .target = "/proc/sysrq-trigger"},
	{.kind = MOUNT_MASK, .target = "/proc/timer_list"},
};

struct mount_step *plan_step(struct making *m, enum mount_kind kind, const char *target)
{
	struct plan *plan = m->plan;
	struct mount_step *step;

	if (plan->n_mounts == m->cap_mounts) {
		size_t cap = m->cap_mounts > 0 ? 2 * m->cap_mounts : 64;
		struct mount_step *grown = arena_alloc(m->a, cap * sizeof(*grown));

		if (plan->n_mounts > 0)
			memcpy(grown, plan->mounts, plan->n_mounts * sizeof(*grown));
		plan->mounts = grown;
		m->cap_mounts = cap;
	}
	step = &plan->mounts[plan->n_mounts++];
	step->kind = kind;
	step->target = target;
	return step;
}

static void add_fixed(struct making *m, const struct fixed_step *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct mount_step *step = plan_step(m, list[i].kind, list[i].target);

		step->source = list[i].source;
		step->data = list[i].data;
		step->mode = list[i].mode;
	}
}

static void add_run(struct making *m)
{
	struct mount_step *step;

	step = plan_step(m, MOUNT_DIR,
			 arena_printf(m->a, "/run/user/%u", (unsigned int)m->plan->self_uid));
	step->mode = 0700;
	step->self = true;

	plan_step(m, MOUNT_DIR, "/run/sbx")->mode = 0755;
	plan_step(m, MOUNT_DIR, "/run/sbx/bin")->mode = 0755;
	if (!m->env->sudo_helper)
		return;
	plan_step(m, MOUNT_FILE, "/run/sbx/bin/sudo")->mode = 0755;
	step = plan_step(m, MOUNT_BIND, "/run/sbx/bin/sudo");
	step->source = arena_strdup(m->a, m->env->sudo_path);
	step->readonly = true;
}

int plan_mounts(struct making *m, struct err *err)
{
	add_fixed(m, first_steps, N(first_steps));
	if (m->env->build) {
		/* For sbx itself, which has a socket there. */
		plan_step(m, MOUNT_TMPFS, "/run/sbx")->data = "mode=755,size=1m";
	} else {
		add_fixed(m, own_steps, N(own_steps));
		add_run(m);
	}
	/* The kernel gives sysfs only to the owner of the network namespace. */
	if (m->plan->net != NET_HOST) {
		plan_step(m, MOUNT_SYSFS, "/sys")->readonly = true;
		add_fixed(m, sys_steps, N(sys_steps));
	}
	add_fixed(m, proc_steps, N(proc_steps));
	return plan_share(m, err) < 0 ? -1 : plan_binds(m, err);
}
