#include "plan/host_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
#define TEXT_LIMIT 65536

const char *host_text(struct arena *a, int root, const char *path, size_t limit)
{
	_cleanup_fd_ int fd = openat(root, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_cleanup_buf_ struct buf text = {0};
	char part[4096];
	ssize_t n;

	if (fd < 0)
		return NULL;
	while ((n = read(fd, part, sizeof(part))) > 0) {
		if ((size_t)n > limit - text.len)
			return NULL;
		buf_add(&text, part, (size_t)n);
	}
	if (n < 0)
		return NULL;
	return text.p ? arena_strndup(a, text.p, text.len) : "";
}

/*
 * newuidmap is of use only with the right to write other people's id maps: setuid
 * root or file capabilities, and both are void on a nosuid mount and under no_new_privs.
 */
static bool has_privilege(int root, const char *path)
{
	_cleanup_fd_ int fd = openat(root, path, O_PATH | O_CLOEXEC);
	struct stat st;
	struct statvfs fs;
	char link[64];

	if (fd < 0 || fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0 || (fs.f_flag & ST_NOSUID))
		return false;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return false;
	if ((st.st_mode & S_ISUID) && st.st_uid == 0)
		return true;
	/* fgetxattr(2) takes no O_PATH fd, and the file may be executable but not readable. */
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return getxattr(link, "security.capability", NULL, 0) > 0;
}

static const char *find_program(struct arena *a, const struct host_source *src, const char *name,
				bool privileged)
{
	const char *p = src->path && src->path[0] ? src->path : DEFAULT_PATH;

	for (size_t n; *p; p += n + (p[n] == ':')) {
		char path[PATH_MAX];
		struct stat st;

		n = strcspn(p, ":");
		/* Relative and empty parts mean the current folder: never run from there. */
		if (n == 0 || p[0] != '/' || n + strlen(name) + 2 > sizeof(path))
			continue;
		(void)snprintf(path, sizeof(path), "%.*s/%s", (int)n, p, name);
		if (faccessat(src->root, path + 1, X_OK, AT_EACCESS) < 0 ||
		    fstatat(src->root, path + 1, &st, 0) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (!privileged || has_privilege(src->root, path + 1))
			return arena_strdup(a, path);
	}
	return NULL;
}

static bool opens(int root, const char *path)
{
	_cleanup_fd_ int fd = openat(root, path, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	return fd >= 0;
}

/* The path behind "0::" in /proc/self/cgroup: cgroups(7). */
static const char *own_cgroup(struct arena *a, int root)
{
	const char *text = host_text(a, root, "proc/self/cgroup", TEXT_LIMIT);
	const char *line = text;

	while (line && *line) {
		size_t n = strcspn(line, "\n");

		if (str_starts(line, "0::/"))
			return arena_strndup(a, line + 3, n - 3);
		line += n + (line[n] == '\n');
	}
	return NULL;
}

static bool cgroup_delegated(struct arena *a, int root)
{
	const char *own;
	const char *dir;
	const char *controllers;

	/* Not there: no version 2, or beside version 1 ("hybrid"), where it has nothing to limit with. */
	if (faccessat(root, "sys/fs/cgroup/cgroup.controllers", F_OK, 0) < 0)
		return false;
	own = own_cgroup(a, root);
	dir = own ? arena_printf(a, "sys/fs/cgroup%s", own) : NULL;
	if (!dir || faccessat(root, dir, W_OK | X_OK, AT_EACCESS) < 0 ||
	    faccessat(root, arena_printf(a, "%s/cgroup.procs", dir), W_OK, AT_EACCESS) < 0)
		return false;
	controllers = host_text(a, root, arena_printf(a, "%s/cgroup.controllers", dir), TEXT_LIMIT);
	return controllers && controllers[strspn(controllers, " \n")] != '\0';
}

void host_parts(struct arena *a, const struct host_source *src, struct host_facts *ret)
{
	const char *boot = host_text(a, src->root, "proc/sys/kernel/random/boot_id", 128);
	const char *resolv = host_text(a, src->root, "etc/resolv.conf", TEXT_LIMIT);
	struct utsname uts;

	ret->boot_id = boot ? str_trim(arena_strdup(a, boot)) : "";
	ret->hostname = arena_strdup(a, uname(&uts) == 0 ? uts.nodename : "localhost");
	ret->resolv_conf = resolv ? resolv : "";
	ret->newuidmap = find_program(a, src, "newuidmap", true);
	ret->newgidmap = find_program(a, src, "newgidmap", true);
	ret->fuse_overlayfs = find_program(a, src, "fuse-overlayfs", false);
	ret->slirp4netns = find_program(a, src, "slirp4netns", false);
	ret->pasta = find_program(a, src, "pasta", false);
	ret->dev_fuse = opens(src->root, "dev/fuse");
	ret->dev_tun = opens(src->root, "dev/net/tun");
	ret->cgroup_delegated = cgroup_delegated(a, src->root);
}
