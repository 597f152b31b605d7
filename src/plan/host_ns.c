/*
 * Whether namespaces work is tried, in a child process: what forbids them
 * (sysctls, AppArmor, seccomp, an outer container) has no common place to ask.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/overlay.h"
#include "base/proc.h"
#include "base/str.h"
#include "plan/host_parts.h"

/* In the child: a user namespace with one id, and a mount namespace that is its own. */
static int enter_userns(void)
{
	unsigned uid = geteuid();
	unsigned gid = getegid();
	char map[64];

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return errno;
	(void)fs_write_knob("/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "0 %u 1", uid);
	if (fs_write_knob("/proc/self/uid_map", map) < 0)
		return HOST_NO_CAPS;
	(void)snprintf(map, sizeof(map), "0 %u 1", gid);
	if (fs_write_knob("/proc/self/gid_map", map) < 0)
		return HOST_NO_CAPS;
	return 0;
}

static int try_userns(void *arg)
{
	int status = enter_userns();

	(void)arg;
	if (status)
		return status;
	/* AppArmor lets Ubuntu's users make the namespace, and takes its capabilities away. */
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", "/", "tmpfs", 0, "size=4k") < 0)
		return HOST_NO_CAPS;
	return 0;
}

/* Everything that a root needs: copy up, whiteout, opaque folder.  Current folder: the scratch. */
static int use_overlay(void)
{
	char value[2];
	_cleanup_fd_ int fd = open("m/file", O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || write(fd, "x", 1) != 1)
		return errno;
	if (unlink("m/file") < 0 || rmdir("m/dir") < 0 || mkdir("m/dir", 0755) < 0)
		return errno;
	if (getxattr("u/dir", "user.overlay.opaque", value, sizeof(value)) < 1)
		return errno;
	return 0;
}

static int try_overlay(void *arg)
{
	static const char *const lower[] = {"l", NULL};
	const struct overlay o = {.lower = lower, .upper = "u", .work = "w", .more = "userxattr"};
	_cleanup_arena_ struct arena *a = arena_new();
	const int *fd = arg;
	int status;

	/*
	 * Relative paths: nothing in the store's own path needs escaping in the options.
	 * First this: unshare(2) moves the current folder to the new namespace's
	 * mounts, where alone one may mount; an fd stays with the old ones.
	 */
	if (fchdir(*fd) < 0)
		return errno;
	status = enter_userns();
	if (status)
		return status;
	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("overlay", "m", "overlay", 0, overlay_options(a, &o)) < 0)
		return errno;
	return use_overlay();
}

static long long knob(struct arena *a, int root, const char *path)
{
	const char *text = host_text(a, root, path, 64);

	if (!text || text[0] == '\0')
		return -1;
	return text[0] == '0' ? 0 : 1;
}

const char *host_userns_cause(struct arena *a, int root, int status)
{
	if (status == 0)
		return NULL;
	if (knob(a, root, "proc/sys/user/max_user_namespaces") == 0)
		return "user.max_user_namespaces is 0";
	if (geteuid() != 0 && knob(a, root, "proc/sys/kernel/unprivileged_userns_clone") == 0)
		return "kernel.unprivileged_userns_clone is 0";
	if (knob(a, root, "proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		return "AppArmor forbids it: kernel.apparmor_restrict_unprivileged_userns is 1";
	switch (status) {
	case HOST_NO_CAPS:
		return "a security module takes its capabilities away";
	case EPERM:
	case EACCES:
		return "a seccomp filter, a container or a security module forbids it";
	case ENOSPC:
	case EUSERS:
		return "there are too many already: the limit is user.max_user_namespaces";
	case EINVAL:
	case ENOSYS:
		return "the kernel was built without user namespaces";
	default:
		return arena_printf(a, "unshare: %s", strerror(status));
	}
}

void host_userns(struct arena *a, int root, struct host_facts *ret)
{
	int status = proc_call(try_userns, NULL);

	if (status < 0)
		status = errno;
	ret->userns = status == 0;
	ret->userns_why = host_userns_cause(a, root, status);
}

static int make_scratch(int dir_fd)
{
	static const char *const names[] = {"l", "l/dir", "u", "w", "m"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (mkdirat(dir_fd, names[i], 0700) < 0)
			return -1;
	}
	return mknodat(dir_fd, "l/file", S_IFREG | 0600, 0);
}

bool host_overlay(int scratch_dir_fd)
{
	_cleanup_fd_ int fd = -1;
	char name[64];
	bool works;

	/* In the store itself: whether it works depends on the filesystem of the upper. */
	(void)snprintf(name, sizeof(name), "probe-%ld", (long)getpid());
	if (mkdirat(scratch_dir_fd, name, 0700) < 0)
		return false;
	fd = openat(scratch_dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	works = fd >= 0 && make_scratch(fd) == 0 && proc_call(try_overlay, &fd) == 0;
	(void)fs_remove_tree_at(scratch_dir_fd, name, NULL);
	return works;
}
