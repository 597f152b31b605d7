#include "cli/create.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"

/* Give the finished file its name.  -1 with errno; EEXIST: the name is taken. */
static int name_it(int dir_fd, const char *temp, const char *name)
{
	if (renameat2(dir_fd, temp, dir_fd, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* NFS and some FUSE know no such rename; a second link refuses a taken name as well. */
	if (linkat(dir_fd, temp, dir_fd, name, 0) < 0)
		return -1;
	(void)unlinkat(dir_fd, temp, 0);
	return 0;
}

int create_file(const char *dir, const char *name, const struct buf *text, struct err *err)
{
	_cleanup_fd_ int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int fd = -1;
	char temp[64];
	int errnum = 0;

	if (dir_fd < 0)
		return err_errno(err, errno, "cannot open the folder '%s'", dir);
	/* Told before anything is written, so that a read-only folder says the same. */
	if (faccessat(dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_errno(err, EEXIST, "cannot make '%s/%s'", dir, name);
	(void)snprintf(temp, sizeof(temp), ".sbx-new-%ld", (long)getpid());
	fd = openat(dir_fd, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	if (fd < 0)
		return err_errno(err, errno, "cannot make '%s/%s'", dir, name);
	if (fs_write_all(fd, text->p, text->len) < 0 || fsync(fd) < 0 ||
	    name_it(dir_fd, temp, name) < 0)
		errnum = errno;
	if (errnum) {
		(void)unlinkat(dir_fd, temp, 0);
		return err_errno(err, errnum, "cannot make '%s/%s'", dir, name);
	}
	return 0;
}
