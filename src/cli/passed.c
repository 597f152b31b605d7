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

const char *const *passed_env(struct arena *a, const struct profile *p,
			      const char *const *environment)
{
	static const char *const none[] = {NULL};
	struct strv list = {0};

	for (size_t i = 0; environment[i]; i++) {
		const char *equals = strchr(environment[i], '=');

		if (!equals || equals == environment[i])
			continue;
		if (is_passed(p,
			      arena_strndup(a, environment[i], (size_t)(equals - environment[i]))))
			strv_push(a, &list, environment[i]);
	}
	return list.n ? (const char *const *)list.v : none;
}
