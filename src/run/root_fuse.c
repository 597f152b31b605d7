/*
 * The root by fuse-overlayfs.
 *
 * The filesystem is mounted here, not by fuse-overlayfs: the mount is there at once, and what
 * looks into it waits in the kernel until fuse-overlayfs has started.  libfuse takes a mounted
 * one as the mount point "/dev/fd/N" (fuse_session_mount, since 3.3).  /dev/fuse has to be
 * opened in the user namespace that mounts (EINVAL else), and nobody but fuse-overlayfs may keep
 * it: the kernel ends the connection, and with it every call that waits, when the last one closes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "plan/plan.h"
#include "run/hostfs.h"
#include "run/root.h"
#include "run/service.h"

int root_fuse(const struct plan *plan, const char *overlay, int lock_fd, struct service *ret_fuse,
	      struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_fd_ int fuse = -1;
	const char *options;

	if (hostfs_device(&fuse, err) < 0)
		return -1;
	options = arena_printf(a,
			       "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,"
			       "allow_other",
			       fuse, (unsigned)getuid(), (unsigned)getgid());
	/* nosuid: under no_new_privs setuid is void anyway, but a program with file capabilities (ping)
	 * that cannot have them is not run at all (EPERM), unless the mount makes them void as well. */
	if (mount("fuse-overlayfs", "root", "fuse.fuse-overlayfs",
		  MS_NODEV | MS_NOSUID | MS_NOATIME, options) < 0)
		return err_errno(err, errno, "cannot mount the root: fuse");

	const char *const argv[] = {
		plan->fuse_overlayfs,
		"-f",
		"-o",
		overlay,
		arena_printf(a, "/dev/fd/%d", fuse),
		NULL,
	};
	const int fds[] = {fuse, lock_fd};
	const struct service_how how = {.argv = argv, .fds = fds, .n_fds = lock_fd < 0 ? 1 : 2};

	return service_start(&how, ret_fuse, err);
}
