#include "base/path.h"

#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

char *path_join(struct arena *a, const char *dir, const char *name)
{
	size_t n = strlen(dir);

	name += strspn(name, "/");
	if (n == 0)
		return arena_strdup(a, name);
	while (n > 0 && dir[n - 1] == '/')
		n--;
	if (!*name)
		return n ? arena_strndup(a, dir, n) : arena_strdup(a, "/");
	return arena_printf(a, "%.*s/%s", (int)n, dir, name);
}

char *path_clean(struct arena *a, const char *path)
{
	char *out;
	size_t n = 0;

	if (path[0] != '/')
		return NULL;
	out = arena_alloc(a, strlen(path) + 2);
	while (*path) {
		size_t len;

		path += strspn(path, "/");
		len = strcspn(path, "/");
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			while (n > 0 && out[--n] != '/')
				;
		} else if (len > 0 && !(len == 1 && path[0] == '.')) {
			out[n++] = '/';
			memcpy(out + n, path, len);
			n += len;
		}
		path += len;
	}
	if (n == 0)
		out[n++] = '/';
	out[n] = '\0';
	return out;
}

bool path_is_under(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	if (strcmp(dir, "/") == 0)
		return path[0] == '/';
	return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *path_expand_home(struct arena *a, const char *path, const char *home)
{
	if (str_eq(path, "~"))
		return arena_strdup(a, home);
	if (str_starts(path, "~/"))
		return path_join(a, home, path + 2);
	return arena_strdup(a, path);
}
