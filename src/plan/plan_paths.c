#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "plan/host.h"
#include "plan/plan_parts.h"

#define HOST_NAME_MAX_LEN 63 /* hostname(7) */

static const char *const own_mounts[] = {"/dev", "/proc", "/run", "/sys", "/tmp"};

/* A project (or a home) may not be one of these, nor hold one: it would cover the system. */
static const char *const system_dirs[] = {"/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/proc",
					  "/run", "/sbin", "/sys", "/tmp", "/usr",  "/var"};

/* Below these, a home would cover the system too (the homes of system users). */
static const char *const no_home[] = {"/bin",  "/boot", "/dev",  "/etc", "/lib",
				      "/proc", "/run",  "/sbin", "/sys", "/usr"};

static const char *const reserved[] = {"/dev/fd", "/dev/pts", "/dev/mqueue",
				       "/proc",   "/run/sbx", "/sys"};

#define N(array) (sizeof(array) / sizeof((array)[0]))

bool plan_overlap(const char *a, const char *b)
{
	return path_is_under(a, b) || path_is_under(b, a);
}

bool plan_on_own_mount(const char *path)
{
	for (size_t i = 0; i < N(own_mounts); i++)
		if (path_is_under(path, own_mounts[i]))
			return true;
	return false;
}

bool plan_is_reserved(const char *path)
{
	for (size_t i = 0; i < N(reserved); i++)
		if (plan_overlap(path, reserved[i]))
			return true;
	return false;
}

static bool holds_any(const char *path, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (path_is_under(list[i], path))
			return true;
	return false;
}

static bool lies_in_any(const char *path, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (path_is_under(path, list[i]))
			return true;
	return false;
}

const char *plan_real_home(const struct making *m)
{
	return m->facts->real_home ? m->facts->real_home : m->facts->home;
}

char *plan_host_path(const struct making *m, const char *written)
{
	const char *path = path_expand_home(m->a, written, m->facts->home);

	return path_clean(m->a, path[0] == '/' ? path : path_join(m->a, m->env->project, path));
}

static int refuse_project(const struct making *m, const char *why, struct err *err)
{
	(void)err_set(err, "cannot use '%s' as a project: %s", m->env->project, why);
	return err_hint(err, "make a folder of its own for the project, and run `sbx init` in it");
}

/* The project is writable inside, so it must not hold what the sandbox must not write:
 * the user's home (with its start-up files), the store, the named profiles. */
static int check_project(const struct making *m, struct err *err)
{
	const char *project = m->env->project;
	const char *store = m->env->store_dir;
	const char *home = plan_real_home(m);
	const char *profiles = path_join(m->a, home, ".config/sbx");

	if (path_is_under(home, project) || path_is_under(m->facts->home, project))
		return refuse_project(m, arena_printf(m->a, "it holds your home folder '%s'", home),
				      err);
	if (path_is_under(store, project))
		return refuse_project(m, arena_printf(m->a, "it holds the store '%s'", store), err);
	if (path_is_under(project, store))
		return refuse_project(m, arena_printf(m->a, "it lies in the store '%s'", store),
				      err);
	if (plan_overlap(profiles, project))
		return refuse_project(m, arena_printf(m->a, "your profiles are in '%s'", profiles),
				      err);
	if (holds_any(project, system_dirs, N(system_dirs)) || plan_is_reserved(project))
		return refuse_project(m, "it is a folder of the system", err);
	return 0;
}

/* The user's own home path, but for the homes of system users ("/", "/usr/sbin"). */
static const char *choose_home(const struct making *m)
{
	const char *home = m->facts->home;

	if (m->plan->as_root)
		return "/root";
	if (holds_any(home, system_dirs, N(system_dirs)) || lies_in_any(home, no_home, N(no_home)))
		return path_join(m->a, "/home", m->facts->user);
	return home;
}

/* A shell that is kept in the home is not there inside, and a system user's (nologin,
 * false) is none. */
static const char *choose_shell(const struct making *m)
{
	const char *shell = m->facts->shell;

	if (m->env->image && m->env->image->shell)
		return arena_strdup(m->a, m->env->image->shell);
	if (!shell || shell[0] != '/' || path_is_under(shell, m->facts->home))
		return "/bin/sh";
	if (str_eq(path_base(shell), "nologin") || str_eq(path_base(shell), "false"))
		return "/bin/sh";
	return shell;
}

/* Letters, digits and inner dashes, hostname(7). */
static const char *host_name(struct arena *a, const char *name)
{
	char *s = arena_strndup(a, name, strnlen(name, HOST_NAME_MAX_LEN));
	size_t len;

	for (char *c = s; *c != '\0'; c++) {
		bool fine = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
			    (*c >= '0' && *c <= '9');

		if (!fine)
			*c = '-';
	}
	while (*s == '-')
		s++;
	len = strlen(s);
	while (len > 0 && s[len - 1] == '-')
		s[--len] = '\0';
	return len > 0 ? s : "sandbox";
}

int plan_paths(struct making *m, struct err *err)
{
	const char *name = m->p->name.s ? m->p->name.s : m->env->name;

	if ((!m->env->build || m->env->build_project) && check_project(m, err) < 0)
		return -1;
	m->plan->name = host_name(m->a, name ? name : "");
	m->plan->project = arena_strdup(m->a, m->env->project);
	m->plan->home = choose_home(m);
	m->plan->host_home = plan_real_home(m);
	m->plan->shell = choose_shell(m);
	return 0;
}
