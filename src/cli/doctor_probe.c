#include <errno.h>
#include <sched.h>
#include <sys/mount.h>

#include "base/err.h"
#include "base/proc.h"
#include "cli/doctor.h"

static int mount_proc(void *arg)
{
	(void)arg;
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return errno;
	return 0;
}

static int in_namespaces(void *arg)
{
	(void)arg;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID) < 0)
		return errno;
	/* The new pid namespace begins with the next child, and only what is in it may mount its /proc. */
	return proc_call(mount_proc, NULL);
}

int doctor_probe_proc(struct err *err)
{
	int errnum = proc_call(in_namespaces, NULL);

	if (errnum < 0)
		return err_errno(err, errno, "cannot start a process");
	if (errnum == EPERM)
		return err_set(err, "cannot mount a fresh /proc: parts of this one are masked");
	if (errnum > 0)
		return err_errno(err, errnum, "cannot mount a fresh /proc");
	return 0;
}
