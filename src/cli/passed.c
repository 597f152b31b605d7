#include "cli/passed.h"

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "conf/profile.h"

/* What tells of the terminal and the language, and nothing of the user; as plan/ has it. */
static bool is_default(const char *name)
{
	static const char *const names[] = {"LANG",      "LANGUAGE", "TERM",
					    "COLORTERM", "NO_COLOR", "TZ"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return str_starts(name, "LC_");
}

static bool is_passed(const struct profile *p, const char *name)
{
	bool passed = is_default(name);

	/* In the order written; a later line of a name wins. */
	for (size_t i = 0; i < p->env.n; i++) {
		if (strcmp(p->env.v[i].name, name) == 0)
			passed = p->env.v[i].value == NULL;
	}
	return passed;
}

/* The profile has a word on it. */
static bool is_named(const struct profile *p, const char *name)
{
	for (size_t i = 0; i < p->env.n; i++)
		if (strcmp(p->env.v[i].name, name) == 0)
			return true;
	return false;
}

static const char *name_of(struct arena *a, const char *assignment)
{
	return arena_strndup(a, assignment, strcspn(assignment, "="));
}

const char *const *passed_env(struct arena *a, const struct profile *p,
			      const char *const *environment)
{
	return passed_env_and(a, p, environment, NULL);
}

const char *const *passed_env_and(struct arena *a, const struct profile *p,
				  const char *const *environment, const char *const *own)
{
	static const char *const none[] = {NULL};
	struct strv list = {0};

	for (size_t i = 0; own && own[i]; i++)
		if (!is_named(p, name_of(a, own[i])))
			strv_push(a, &list, own[i]);
	for (size_t i = 0; environment[i]; i++) {
		const char *equals = strchr(environment[i], '=');

		if (!equals || equals == environment[i])
			continue;
		if (is_passed(p, name_of(a, environment[i])))
			strv_push(a, &list, environment[i]);
	}
	return list.n ? (const char *const *)list.v : none;
}
