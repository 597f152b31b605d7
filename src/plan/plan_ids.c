#include "base/err.h"
#include "plan/host.h"
#include "plan/plan_parts.h"

/* A root filesystem's ids are 16 bit: 0 to 65535, with 65534 for nobody. */
#define ID_LAST 65535u
#define ID_NOBODY 65534u
#define SUBIDS_NEEDED 65535u /* all but the one that is the user */

static void map_add(struct id_map *map, uint32_t inside, uint32_t outside, uint32_t count)
{
	if (count > 0)
		map->line[map->n++] = (struct id_map_line){inside, outside, count};
}

/* The user's own id stays what it is; 0 and the others are subordinate ids (keep-id). */
static void map_keep(struct id_map *map, uint32_t own, struct id_range sub)
{
	if (own > ID_LAST) {
		map_add(map, 0, sub.start, sub.count > ID_LAST ? ID_LAST + 1 : sub.count);
		map_add(map, own, own, 1);
		return;
	}
	map_add(map, 0, sub.start, own);
	map_add(map, own, own, 1);
	map_add(map, own + 1, sub.start + own, ID_LAST - own);
}

static void map_root(struct id_map *map, uint32_t own, struct id_range sub)
{
	map_add(map, 0, own, 1);
	map_add(map, 1, sub.start, ID_LAST);
}

/* V maps every id of U onto itself.  A line must lie within one extent of the parent's
 * map, user_namespaces(7): so the lines are the same. */
static void map_inner(struct id_map *inner, const struct id_map *outer)
{
	for (size_t i = 0; i < outer->n; i++)
		map_add(inner, outer->line[i].inside, outer->line[i].inside, outer->line[i].count);
}

/* What stands against subordinate ids, or NULL; *ret_programs: it is a missing
 * program, not missing ids. */
static const char *subids_lack(const struct making *m, bool *ret_programs)
{
	const struct host_facts *facts = m->facts;

	*ret_programs = !facts->newuidmap || !facts->newgidmap;
	if (!facts->newuidmap)
		return "newuidmap is not installed";
	if (!facts->newgidmap)
		return "newgidmap is not installed";
	if (facts->subuid.count < SUBIDS_NEEDED)
		return "/etc/subuid gives too few ids";
	if (facts->subgid.count < SUBIDS_NEEDED)
		return "/etc/subgid gives too few ids";
	/* By 65534 the host's root files are known inside (plan_root.c): it cannot also be
	 * the user's own. */
	if (!m->plan->as_root && (facts->uid == ID_NOBODY || facts->gid == ID_NOBODY))
		return "the user's own id is that of 'nobody'";
	return NULL;
}

/*
 * With `as = self` an id inside is another one outside than with `as = root`: under the other one each
 * file of the environment would change its owner.
 */
static int check_as(const struct making *m, struct err *err)
{
	const int as = m->env->kept_as;

	if (as == 0 || as == 1 + (int)m->p->user.as || m->env->kept_rung != RUNG_SUBIDS)
		return 0;
	(void)plan_refuse_at(
		&m->p->user.at, err,
		"cannot enter '%s' with `as = %s`: it was made with `as = %s`, and its "
		"files have owners after that",
		m->env->env_id, user_as_name(m->p->user.as), user_as_name((enum user_as)(as - 1)));
	return err_hint(err,
			"`--create -e NAME` makes another environment; `sbx rm` forgets this one");
}

static int choose_rung(struct making *m, struct err *err)
{
	bool programs;
	const char *lack = subids_lack(m, &programs);

	if (check_as(m, err) < 0)
		return -1;
	if (m->env->kept_rung >= 0) {
		m->plan->rung = (enum id_rung)m->env->kept_rung;
		if (m->plan->rung == RUNG_SINGLE || !lack)
			return 0;
		(void)err_set(err,
			      "cannot enter '%s': it was made with subordinate ids, and now %s",
			      m->env->env_id, lack);
		if (programs)
			return err_hint(err, "sudo apt install uidmap; or `sbx rm` forgets the "
					     "environment");
		return err_hint(err,
				"sudo usermod --add-subuids 100000-165535 --add-subgids "
				"100000-165535 %s; or `sbx rm` forgets the environment",
				m->facts->user);
	}
	m->plan->rung = lack ? RUNG_SINGLE : RUNG_SUBIDS;
	return 0;
}

static void fill_subids(struct making *m)
{
	const struct host_facts *facts = m->facts;
	struct plan *plan = m->plan;

	if (plan->as_root) {
		map_root(&plan->uid_map, facts->uid, facts->subuid);
		map_root(&plan->gid_map, facts->gid, facts->subgid);
	} else {
		map_keep(&plan->uid_map, facts->uid, facts->subuid);
		map_keep(&plan->gid_map, facts->gid, facts->subgid);
	}
	map_inner(&plan->inner_uid_map, &plan->uid_map);
	map_inner(&plan->inner_gid_map, &plan->gid_map);
	plan->newuidmap = facts->newuidmap;
	plan->newgidmap = facts->newgidmap;
}

/* One id: 0 in U, which mounts; in V it has the user's own number, or stays 0. */
static void fill_single(struct making *m)
{
	struct plan *plan = m->plan;

	map_add(&plan->uid_map, 0, m->facts->uid, 1);
	map_add(&plan->gid_map, 0, m->facts->gid, 1);
	map_add(&plan->inner_uid_map, plan->self_uid, 0, 1);
	map_add(&plan->inner_gid_map, plan->self_gid, 0, 1);
	plan->emulate_root = true;
}

int plan_ids(struct making *m, struct err *err)
{
	struct plan *plan = m->plan;

	if (!m->facts->userns) {
		(void)err_set(err, "cannot make a user namespace: %s",
			      m->facts->userns_why ? m->facts->userns_why : "not permitted");
		return err_hint(err, "`sbx doctor` prints the command that permits it");
	}
	if (choose_rung(m, err) < 0)
		return -1;

	plan->self_uid = plan->as_root ? 0 : m->facts->uid;
	plan->self_gid = plan->as_root ? 0 : m->facts->gid;
	plan->user = plan->as_root ? "root" : m->facts->user;
	plan->group = plan->as_root ? "root" : m->facts->group;
	if (plan->rung == RUNG_SUBIDS)
		fill_subids(m);
	else
		fill_single(m);
	return 0;
}
