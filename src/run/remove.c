#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/proc.h"
#include "run/launch.h"
#include "run/userns.h"

/* In the namespace: the files are its own, whatever subordinate id they belong to. */
_Noreturn static void child(const char *path, int mapped, int report)
{
	struct err err = {0};
	char byte;

	if (read(mapped, &byte, 1) == 1 && fs_remove_tree_at(AT_FDCWD, path, &err) < 0)
		err_send(&err, report);
	_exit(0);
}

int launch_remove_tree(const struct plan *plan, const char *path, struct err *err)
{
	_cleanup_fd_ int mapped_read = -1;
	_cleanup_fd_ int mapped_write = -1;
	_cleanup_fd_ int report_read = -1;
	_cleanup_fd_ int report_write = -1;
	int ends[2];
	int status;
	pid_t pid;
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	mapped_read = ends[0];
	mapped_write = ends[1];
	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	report_read = ends[0];
	report_write = ends[1];
	if (userns_fork_new(&pid, err) < 0)
		return -1;
	if (pid == 0) {
		cleanup_fd(&mapped_write);
		child(path, mapped_read, report_write);
	}
	cleanup_fd(&report_write);
	r = userns_map_outer(plan, pid, err);
	if (r == 0 && write(mapped_write, "1", 1) != 1)
		r = err_errno(err, errno, "cannot talk to the child that removes '%s'", path);
	cleanup_fd(&mapped_write);
	if (r == 0)
		r = err_receive(report_read, err);
	if (proc_wait(pid, &status, r < 0 ? NULL : err) < 0)
		return -1;
	if (r == 0 && proc_exit_status(status) != 0)
		return err_set(err, "cannot remove '%s': the child that does was killed", path);
	return r;
}
