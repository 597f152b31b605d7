#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "plan/plan_parts.h"

/* Ours, the user's own (pip install --user), and what Debian gives users and root together. */
#define INSIDE_PATH                                                                                \
	"/run/sbx/bin:%s/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:" \
	"/usr/local/games:/usr/games"

/* Passed unasked: what tells of the terminal and the language, and nothing of the user. */
static const char *const passed[] = {
	"LANG",     "LANGUAGE",          "LC_ADDRESS",     "LC_ALL",       "LC_COLLATE",
	"LC_CTYPE", "LC_IDENTIFICATION", "LC_MEASUREMENT", "LC_MESSAGES",  "LC_MONETARY",
	"LC_NAME",  "LC_NUMERIC",        "LC_PAPER",       "LC_TELEPHONE", "LC_TIME",
	"TERM",     "COLORTERM",         "NO_COLOR",       "TZ",
};

#define INSIDE_FIRST "/run/sbx/bin:%s/.local/bin:%s" /* before an image's own PATH */

#define OWN_ROOM 16 /* put_own adds fewer */

struct var {
	const char *name;
	const char *value; /* NULL: from outside */
};

struct vars {
	struct var *v;
	size_t n;
};

/* A later one of a name takes the place of the earlier. */
static void put(struct vars *vars, const char *name, const char *value)
{
	size_t i = 0;

	while (i < vars->n && !str_eq(vars->v[i].name, name))
		i++;
	vars->v[i] = (struct var){name, value};
	if (i == vars->n)
		vars->n++;
}

/* A variable that is passed but not set outside keeps sbx's own value, so that `pass = PATH`
 * can never leave a shell without one. */
static const char *own_value(const struct vars *own, const char *name)
{
	for (size_t i = 0; i < own->n; i++)
		if (str_eq(own->v[i].name, name))
			return own->v[i].value;
	return NULL;
}

/* The image's, of its config: whoever made it is not asked for more than names and values. */
static void put_image(struct making *m, struct vars *vars)
{
	const char *const *v = m->env->image ? m->env->image->env : NULL;

	for (; v && *v; v++) {
		size_t n = strcspn(*v, "=");

		if (n > 0 && (*v)[n] == '=')
			put(vars, arena_strndup(m->a, *v, n), arena_strdup(m->a, *v + n + 1));
	}
}

static size_t count_image(const struct making *m)
{
	const char *const *v = m->env->image ? m->env->image->env : NULL;
	size_t n = 0;

	while (v && v[n])
		n++;
	return n;
}

static void put_own(struct making *m, struct vars *vars)
{
	const struct plan *plan = m->plan;
	const char *path = own_value(vars, "PATH");

	/* What is built must not depend on who builds it: it brings all of them. */
	if (m->env->build)
		return;
	put(vars, "PATH",
	    path && path[0] == '/' ? arena_printf(m->a, INSIDE_FIRST, plan->home, path)
				   : arena_printf(m->a, INSIDE_PATH, plan->home));
	put(vars, "HOME", plan->home);
	put(vars, "USER", plan->user);
	put(vars, "LOGNAME", plan->user);
	put(vars, "SHELL", plan->shell);
	put(vars, "XDG_RUNTIME_DIR",
	    arena_printf(m->a, "/run/user/%u", (unsigned int)plan->self_uid));
	put(vars, "container", "sbx");
	put(vars, "SBX", plan->name);
	put(vars, "SBX_PROJECT", plan->project);
	for (const char *const *v = m->share_vars; *v; v++) {
		size_t n = strcspn(*v, "=");

		put(vars, arena_strndup(m->a, *v, n), *v + n + 1);
	}
}

void plan_vars(struct making *m)
{
	const size_t n_pass = sizeof(passed) / sizeof(passed[0]);
	const size_t own_room = OWN_ROOM + count_image(m);
	const size_t room = own_room + n_pass + m->p->env.n;
	struct vars own = {arena_alloc(m->a, own_room * sizeof(struct var)), 0};
	struct vars all = {arena_alloc(m->a, room * sizeof(struct var)), 0};
	const char **env = arena_alloc(m->a, (room + 1) * sizeof(*env));
	const char **pass = arena_alloc(m->a, (room + 1) * sizeof(*pass));
	size_t n_env = 0;
	size_t n_passed = 0;

	put_image(m, &own);
	put_own(m, &own);
	for (size_t i = 0; i < own.n; i++)
		put(&all, own.v[i].name, own.v[i].value);
	for (size_t i = 0; i < n_pass; i++)
		put(&all, passed[i], NULL);
	for (size_t i = 0; i < m->p->env.n; i++)
		put(&all, m->p->env.v[i].name, m->p->env.v[i].value);

	for (size_t i = 0; i < all.n; i++) {
		const struct var *var = &all.v[i];
		const char *value = var->value ? var->value : own_value(&own, var->name);

		if (value)
			env[n_env++] = arena_printf(m->a, "%s=%s", var->name, value);
		if (!var->value)
			pass[n_passed++] = arena_strdup(m->a, var->name);
	}
	m->plan->env = env;
	m->plan->pass = pass;
}
