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
#include "run/root.h"
#include "run/service.h"

/*
 * fuse-overlayfs reads a folder whole when it first looks into it, and opens each entry to tell
 * its inode by number and device: /usr/bin and the libraries take longer than all else of a start.
 * With fast_ino it takes the numbers that readdir(3) gives and no device; that is as good where
 * there is one filesystem, and where there are more it would take one file for another.
 */
static const char *options_of(struct arena *a, const struct plan *plan,
			      const struct root_base *base)
{
	const char *fast = base->one_filesystem ? "fast_ino=1" : "";
	const char *comma = fast[0] && plan->fuse_options[0] ? "," : "";

	return root_options(a, plan, base,
			    arena_printf(a, "%s%s%s", fast, comma, plan->fuse_options));
}

int root_fuse(const struct plan *plan, const struct root_base *base, int lock_fd,
	      struct service *ret_fuse, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_fd_ int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	const char *options;

	if (fuse < 0) {
		(void)err_errno(err, errno, "cannot mount the root: cannot open '/dev/fuse'");
		return err_hint(err, "sudo modprobe fuse && sudo chmod 0666 /dev/fuse; "
				     "`sbx doctor` checks it");
	}
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
		options_of(a, plan, base),
		arena_printf(a, "/dev/fd/%d", fuse),
		NULL,
	};
	const int fds[] = {fuse, lock_fd};
	const struct service_how how = {.argv = argv, .fds = fds, .n_fds = 2};

	return service_start(&how, ret_fuse, err);
}
