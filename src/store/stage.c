#include "store/stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "store/env.h"

#define BOOT_DIGITS 8

/* The first digits of the boot id: after a reboot a pid and a lock mean nothing any more. */
static void boot_digits(char ret[BOOT_DIGITS + 1])
{
	_cleanup_fd_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, ret, BOOT_DIGITS) != BOOT_DIGITS)
		memcpy(ret, "unknown-", BOOT_DIGITS);
	ret[BOOT_DIGITS] = '\0';
}

static int make_once(int tmp_fd, const char *name, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (mkdirat(tmp_fd, name, 0700) < 0)
		return err_errno(err, errno, "cannot make the staging folder 'tmp/%s'", name);
	fd = openat(tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open the staging folder 'tmp/%s'", name);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_errno(err, errno, "cannot lock the staging folder 'tmp/%s'", name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int stage_make(const struct store *s, const char *prefix, char ret_name[STAGE_NAME], int *ret_fd,
	       struct err *err)
{
	_cleanup_fd_ int tmp_fd = openat(s->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char boot[BOOT_DIGITS + 1];
	char name[STAGE_NAME];

	if (tmp_fd < 0)
		return err_errno(err, errno, "cannot open '%s/tmp'", s->dir);
	boot_digits(boot);
	/* Between mkdir and flock somebody may have taken it for litter: it is new ground each time. */
	for (int i = 0; i < 5; i++) {
		unsigned long long r = 0;

		if (getrandom(&r, sizeof(r), 0) < 0)
			return err_errno(err, errno, "cannot get random bytes");
		(void)snprintf(name, sizeof(name), "%.8s-%s-%ld-%016llx", prefix, boot,
			       (long)getpid(), r);
		if (make_once(tmp_fd, name, ret_fd, err) == 0) {
			memcpy(ret_name, name, sizeof(name));
			return 0;
		}
		if (!err || (err->errnum != ENOENT && err->errnum != EWOULDBLOCK))
			break;
	}
	return store_hint(err);
}
