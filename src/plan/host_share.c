#include "plan/host_share.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "conf/profile.h"
#include "plan/host.h"
#include "plan/host_git.h"

#define GPU_MAX 64

static const char *socket_at(struct arena *a, const char *path)
{
	struct stat st;
	const char *clean = path && path[0] == '/' ? path_clean(a, path) : NULL;

	return clean && stat(clean, &st) == 0 && S_ISSOCK(st.st_mode) ? clean : NULL;
}

static void find_wayland(struct arena *a, struct host_facts *f)
{
	const char *name = getenv("WAYLAND_DISPLAY");
	const char *dir = getenv("XDG_RUNTIME_DIR");

	if (name && *name && name[0] != '/' && !strchr(name, '/') && dir)
		name = path_join(a, dir, name);
	f->wayland = socket_at(a, name);
}

/* ":0", ":0.1", "unix:0"; a server elsewhere has no socket. */
static void find_x11(struct arena *a, struct host_facts *f)
{
	const char *display = getenv("DISPLAY");
	const char *number;
	size_t n;

	if (!display)
		return;
	number = str_starts(display, "unix:") ? display + 4 : display;
	n = number[0] == ':' ? strspn(number + 1, "0123456789") : 0;
	if (n == 0 || n > 5 || (number[n + 1] != '\0' && number[n + 1] != '.'))
		return;
	f->display = arena_strndup(a, number, n + 1);
	f->x11 = socket_at(a, arena_printf(a, "/tmp/.X11-unix/X%s", f->display + 1));
}

/* ---- the GPU ---- */

static int by_name(const void *a, const void *b)
{
	const char *const *x = a;
	const char *const *y = b;

	return strcmp(*x, *y);
}

static void add_nodes(struct arena *a, const char *dir, const char *const *prefixes,
		      const char **list, size_t *n)
{
	_cleanup_dir_ DIR *d = opendir(dir);
	const struct dirent *entry;

	while (d && (entry = readdir(d)) != NULL && *n < GPU_MAX)
		for (const char *const *p = prefixes; *p && *n < GPU_MAX; p++) {
			const char *path = path_join(a, dir, entry->d_name);
			struct stat st;

			if (str_starts(entry->d_name, *p) && stat(path, &st) == 0 &&
			    S_ISCHR(st.st_mode))
				list[(*n)++] = path;
		}
}

static void find_gpu(struct arena *a, struct host_facts *f)
{
	static const char *const dri[] = {"card", "renderD", NULL};
	static const char *const nvidia[] = {"nvidia", NULL};
	const char **list = arena_alloc(a, (GPU_MAX + 1) * sizeof(*list));
	size_t n = 0;

	add_nodes(a, "/dev/dri", dri, list, &n);
	add_nodes(a, "/dev", nvidia, list, &n);
	list[n] = NULL;
	qsort(list, n, sizeof(*list), by_name);
	f->gpu = n ? list : NULL;
}

void host_share(struct arena *a, const struct profile *p, struct host_facts *f)
{
	if (p->share.ssh_agent.on)
		f->ssh_agent = socket_at(a, getenv("SSH_AUTH_SOCK"));
	if (p->share.wayland.on)
		find_wayland(a, f);
	if (p->share.x11.on)
		find_x11(a, f);
	if (p->share.git.on)
		host_git(a, p, f);
	if (p->share.gpu.on)
		find_gpu(a, f);
}
