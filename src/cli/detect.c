#include "cli/detect.h"

#include <dirent.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/profile.h"
#include "store/project.h"

/* The surest first: a Makefile is in projects of all kinds. */
static const struct {
	const char *file; /* "*.x": any file that ends so */
	const char *profile;
} signs[] = {
	{"*.ipynb", "jupyter"},         {"Cargo.toml", "rust"}, {"go.mod", "go"},
	{"pyproject.toml", "python"},   {"setup.py", "python"}, {"package.json", "node"},
	{"requirements.txt", "python"}, {"Pipfile", "python"},  {"meson.build", "c"},
	{"CMakeLists.txt", "c"},        {"configure.ac", "c"},  {"Makefile", "c"},
};

#define N_SIGNS (sizeof(signs) / sizeof(signs[0]))

static bool fits(const char *sign, const char *name)
{
	return sign[0] == '*' ? str_ends(name, sign + 1) && name[0] != '.' : str_eq(sign, name);
}

static bool is_there(struct arena *a, const char *profile)
{
	struct profile_source source = {0};

	return project_find_named(NULL, a, profile, &source, NULL) == 0;
}

struct detected detect_profile(struct arena *a, const char *dir)
{
	_cleanup_dir_ DIR *d = opendir(dir);
	struct detected found = {0};
	size_t best = N_SIGNS;
	const struct dirent *e;

	while (d && (e = readdir(d))) {
		size_t i = 0;

		while (i < best &&
		       !(fits(signs[i].file, e->d_name) && is_there(a, signs[i].profile)))
			i++;
		if (i == best)
			continue;
		best = i;
		found.profile = signs[i].profile;
		found.file = arena_strdup(a, e->d_name);
	}
	return found;
}
