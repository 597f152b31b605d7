/* What the host's root offers as a base: its names that belong to an operating system. */
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "plan/host_parts.h"

/* The names of hier(7) and of the multilib ABIs; all else at "/" stays hidden. */
static const char *const os_names[] = {"usr", "etc",   "opt",   "var",    "bin",    "sbin",
				       "lib", "lib32", "lib64", "libx32", "libo32", "libn32"};
#define N_OS_NAMES (sizeof(os_names) / sizeof(os_names[0]))

/* "usr/lib" or "/usr/lib": a path without ".." whose first part is one of the names. */
static bool stays_inside(const char *target)
{
	const char *p = target + (target[0] == '/');
	size_t first = strcspn(p, "/");

	for (const char *q = p; *q; q += strcspn(q, "/"), q += *q == '/') {
		if (strcspn(q, "/") == 2 && q[0] == '.' && q[1] == '.')
			return false;
	}
	for (size_t i = 0; i < N_OS_NAMES; i++) {
		if (strlen(os_names[i]) == first && strncmp(os_names[i], p, first) == 0)
			return true;
	}
	return false;
}

void host_base_entries(struct arena *a, int root, struct host_facts *ret)
{
	ret->entries = arena_alloc(a, N_OS_NAMES * sizeof(*ret->entries));
	ret->n_entries = 0;
	for (size_t i = 0; i < N_OS_NAMES; i++) {
		struct host_entry *e = &ret->entries[ret->n_entries];
		char target[256];
		struct stat st;
		ssize_t n;

		/* Follows links: a link to nowhere is left out, one to somewhere else is that folder. */
		if (fstatat(root, os_names[i], &st, 0) < 0 || !S_ISDIR(st.st_mode))
			continue;
		e->name = os_names[i];
		e->target = NULL;
		ret->n_entries++;
		n = readlinkat(root, os_names[i], target, sizeof(target) - 1);
		if (n <= 0)
			continue;
		target[n] = '\0';
		if (stays_inside(target))
			e->target = arena_strdup(a, target + (target[0] == '/'));
	}
}
