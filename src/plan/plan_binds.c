#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "plan/host.h"
#include "plan/plan_parts.h"

/* What rules a sandbox is read-only inside, wherever it can be reached. */
static const struct {
	const char *name;
	bool optional;
} policy[] = {
	{"sbx.ini", false},
	{"sbx.lock", true},
	{".sbx", true},
};

#define N_POLICY (sizeof(policy) / sizeof(policy[0]))

static bool is_policy(const struct making *m, const char *path)
{
	for (size_t i = 0; i < N_POLICY; i++)
		if (path_is_under(path, path_join(m->a, m->env->project, policy[i].name)))
			return true;
	return false;
}

static int check_source(const struct making *m, const struct mount_value *v, const char *source,
			struct err *err)
{
	const char *store = m->env->store_dir;
	const char *profiles = path_join(m->a, plan_real_home(m), ".config/sbx");

	if (plan_overlap(source, store)) {
		(void)plan_refuse_at(&v->at, err, "cannot mount '%s': it %s the store '%s'", source,
				     path_is_under(store, source) ? "holds" : "lies in", store);
		return err_hint(err, "mount a folder that has nothing to do with '%s'", store);
	}
	if (!v->writable)
		return 0;
	if (is_policy(m, source)) {
		(void)plan_refuse_at(&v->at, err,
				     "cannot mount '%s' writable: it rules this sandbox", source);
		return err_hint(err, "mount it read-only: end the line with `:ro`");
	}
	if (plan_overlap(source, profiles)) {
		(void)plan_refuse_at(&v->at, err,
				     "cannot mount '%s' writable: your profiles are in '%s'",
				     source, profiles);
		return err_hint(err, "mount it read-only: end the line with `:ro`");
	}
	return 0;
}

static int check_target(const struct making *m, const struct mount_value *v, struct err *err)
{
	if (plan_is_reserved(v->inside)) {
		(void)plan_refuse_at(&v->at, err,
				     "cannot mount at '%s': sbx itself fills that place",
				     v->inside);
		return err_hint(err, "choose another path inside, such as '/mnt/%s'",
				path_base(v->host));
	}
	if (str_eq(v->inside, m->plan->project)) {
		(void)plan_refuse_at(&v->at, err, "cannot mount at '%s': the project is there",
				     v->inside);
		return err_hint(err, "choose another path inside, such as '/mnt/%s'",
				path_base(v->host));
	}
	return 0;
}

static size_t depth(const char *path)
{
	size_t n = 0;

	for (const char *c = path; *c != '\0'; c++)
		if (*c == '/' && c[1] != '\0')
			n++;
	return n;
}

/* Outer targets before inner ones, else the outer would cover the inner; otherwise the order
 * written stays. */
static void sort_by_depth(struct mount_step *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct mount_step step = v[i];
		size_t deep = depth(step.target);
		size_t j = i;

		while (j > 0 && depth(v[j - 1].target) > deep) {
			v[j] = v[j - 1];
			j--;
		}
		v[j] = step;
	}
}

static struct mount_step *add_bind(struct making *m, const char *source, const char *target)
{
	struct mount_step *step = plan_step(m, MOUNT_BIND, target);

	step->source = source;
	return step;
}

static int add_mounts(struct making *m, struct err *err)
{
	for (size_t i = 0; i < m->p->mounts.n; i++) {
		const struct mount_value *v = &m->p->mounts.v[i];
		const char *source = plan_host_path(m, v->host);
		struct mount_step *step;

		if (check_source(m, v, source, err) < 0)
			return -1;
		if (check_target(m, v, err) < 0)
			return -1;
		step = add_bind(m, source, arena_strdup(m->a, v->inside));
		step->readonly = !v->writable;
		step->at = v->at;
	}
	return 0;
}

/* The bind of v[0..n) that shows `path`: the last one, outer ones come first. */
static const struct mount_step *shown_by(const struct mount_step *v, size_t n, const char *path)
{
	const struct mount_step *found = NULL;

	for (size_t i = 0; i < n; i++)
		if (path_is_under(path, v[i].target))
			found = &v[i];
	return found;
}

static void add_policy(struct making *m, const char *dir, const struct origin *at)
{
	for (size_t i = 0; i < N_POLICY; i++) {
		struct mount_step *step;

		step = add_bind(m, path_join(m->a, m->env->project, policy[i].name),
				path_join(m->a, dir, policy[i].name));
		step->policy = step->readonly = true;
		step->optional = policy[i].optional;
		step->at = *at;
	}
}

/* The project is at its own path; a writable mount of a folder that holds it shows it again
 * elsewhere. */
static void protect_policy(struct making *m, size_t first)
{
	size_t n = m->plan->n_mounts - first;
	const struct mount_step *binds =
		&m->plan->mounts[first]; /* stays there when the list grows */
	const char *project = m->plan->project;

	for (size_t i = 0; i < n; i++) {
		const struct mount_step *bind = &binds[i];
		const char *dir;

		if (bind->readonly || bind->from_env || !path_is_under(project, bind->source))
			continue;
		dir = path_clean(m->a,
				 path_join(m->a, bind->target, project + strlen(bind->source)));
		if (shown_by(binds, n, dir) == bind)
			add_policy(m, dir, &bind->at);
	}
}

int plan_binds(struct making *m, struct err *err)
{
	size_t first = m->plan->n_mounts;
	struct mount_step *home;

	if (m->env->build) {
		if (m->env->build_project)
			add_bind(m, m->plan->project, m->plan->project)->readonly = true;
		return 0;
	}
	home = add_bind(m, "home", m->plan->home);
	home->from_env = true;
	home->self = true;
	(void)add_bind(m, m->plan->project, m->plan->project);
	if (add_mounts(m, err) < 0)
		return -1;
	sort_by_depth(&m->plan->mounts[first], m->plan->n_mounts - first);
	protect_policy(m, first);
	return 0;
}
