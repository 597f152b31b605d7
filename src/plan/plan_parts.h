/*
 * plan_parts — the pieces that plan_make puts together; private to plan/.
 *
 * Each part fills its own fields of m->plan from the profile, the facts and
 * the environment, in the order of this file.  All are pure.
 */
#ifndef SBX_PLAN_PLAN_PARTS_H
#define SBX_PLAN_PLAN_PARTS_H

#include <stdbool.h>
#include <stddef.h>

#include "plan/plan.h"

struct making {
	struct arena *a;
	const struct profile *p;
	const struct host_facts *facts;
	const struct plan_env *env;
	struct plan *plan;
	size_t cap_mounts;         /* room in plan->mounts */
	const char *share_vars[5]; /* NAME=value, NULL-terminated */
};

/* plan_refuse.c: what the profile asks and sbx cannot do yet. */
int plan_refuse(const struct making *m, struct err *err);

/* plan_paths.c: name, project and home; a project that would let the sandbox out is refused. */
int plan_paths(struct making *m, struct err *err);

/* plan_ids.c: the rung, the maps, the user's ids inside. */
int plan_ids(struct making *m, struct err *err);

/* plan_root.c: base, driver, fuse options.  plan_net: the network and its program. */
int plan_root(struct making *m, struct err *err);
int plan_net(struct making *m, struct err *err);

/* plan_mounts.c: the steps sbx itself lays down; plan_binds.c: home, project, the profile's. */
int plan_mounts(struct making *m, struct err *err);
int plan_binds(struct making *m, struct err *err);
/* plan_share.c: what [share] shows of the user's session; with the variables that name it, "NAME=value". */
int plan_share(struct making *m, struct err *err);
struct mount_step *plan_step(struct making *m, enum mount_kind kind, const char *target);

/* plan_accounts.c: /etc/passwd and /etc/group of the environment's image, with the user in them. */
const char *plan_passwd(const struct making *m);
const char *plan_group(const struct making *m);

/* plan_standins.c: after the mounts, whose targets it provides. */
void plan_standins(struct making *m);

/* plan_vars.c: environment variables. */
void plan_vars(struct making *m);

/* "FILE:LINE: " and the message; for a built-in default only the message.  Returns -1. */
int plan_refuse_at(const struct origin *at, struct err *err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A host path as a profile writes it, absolute and clean: ~ is the user's home, a relative
 * path starts at the project.  The same path must come out as the one that conf/trust.h shows. */
char *plan_host_path(const struct making *m, const char *written);

/* The home without a link in its path, as the paths of projects are. */
const char *plan_real_home(const struct making *m);

/* One is the other, or lies below it. */
bool plan_overlap(const char *a, const char *b);

/* Folders that sbx mounts afresh: nothing below them comes from the root. */
bool plan_on_own_mount(const char *path);

/* Places inside that only sbx itself fills. */
bool plan_is_reserved(const char *path);

#endif
