#include "run/mnt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

/* What the kernel says of a filesystem context, such as "tmpfs: Bad value for 'size'": fsopen(2)
 * keeps it as a message to be read. */
static int context_failed(int context, int errnum, const char *type, struct err *err)
{
	char text[256];
	ssize_t n = read(context, text, sizeof(text) - 1);

	if (n <= 2)
		return err_errno(err, errnum, "cannot make a '%s' filesystem", type);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	/* "e " for an error comes first. */
	return err_errno(err, errnum, "cannot make a '%s' filesystem: %s", type, text + 2);
}

int mnt_new(const char *type, const struct mnt_option *options, uint64_t attributes, int *ret_fd,
	    struct err *err)
{
	_cleanup_fd_ int context = fsopen(type, FSOPEN_CLOEXEC);
	_cleanup_fd_ int fd = -1;

	if (context < 0)
		return err_errno(err, errno, "cannot make a '%s' filesystem", type);
	for (const struct mnt_option *o = options; o && o->key; o++) {
		int r = o->value ? fsconfig(context, FSCONFIG_SET_STRING, o->key, o->value, 0)
				 : fsconfig(context, FSCONFIG_SET_FLAG, o->key, NULL, 0);

		if (r < 0)
			return context_failed(context, errno, type, err);
	}
	if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return context_failed(context, errno, type, err);
	fd = fsmount(context, FSMOUNT_CLOEXEC, (unsigned)attributes);
	if (fd < 0)
		return context_failed(context, errno, type, err);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int mnt_new_tmpfs(const struct mnt_tmpfs *how, int *ret_fd, struct err *err)
{
	char mode[16];
	char uid[16];
	char gid[16];
	const struct mnt_option options[] = {
		{"mode", mode}, {"uid", uid}, {"gid", gid}, {NULL, NULL}};

	(void)snprintf(mode, sizeof(mode), "%o", (unsigned)how->mode);
	(void)snprintf(uid, sizeof(uid), "%u", (unsigned)how->uid);
	(void)snprintf(gid, sizeof(gid), "%u", (unsigned)how->gid);
	return mnt_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, ret_fd, err);
}

int mnt_clone(int fd, bool recursive, int *ret_fd, struct err *err)
{
	const unsigned deep = recursive ? AT_RECURSIVE : 0;
	_cleanup_fd_ int tree =
		open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | deep);

	if (tree < 0)
		return err_errno(err, errno, "cannot clone a mount");
	*ret_fd = TAKE_FD(tree);
	return 0;
}

int mnt_restrict(int fd, uint64_t attributes, bool recursive, struct err *err)
{
	struct mount_attr attr = {.attr_set = attributes};
	unsigned flags = AT_EMPTY_PATH;

	if (recursive)
		flags |= AT_RECURSIVE;
	if (mount_setattr(fd, "", flags, &attr, sizeof(attr)) < 0) {
		int errnum = errno;

		(void)err_errno(err, errnum, "cannot restrict a mount");
		if (errnum == ENOSYS)
			(void)err_hint(err, "sbx needs Linux 5.12 or later");
		return -1;
	}
	return 0;
}

int mnt_attach(int fd, int target_fd, struct err *err)
{
	if (move_mount(fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) <
	    0)
		return err_errno(err, errno, "cannot attach a mount");
	return 0;
}

static int set_propagation(unsigned long how, const char *what, struct err *err)
{
	if (mount(NULL, "/", NULL, MS_REC | how, NULL) < 0)
		return err_errno(err, errno, "cannot make the mounts %s", what);
	return 0;
}

int mnt_make_slave(struct err *err)
{
	return set_propagation(MS_SLAVE, "slaves", err);
}

int mnt_make_private(struct err *err)
{
	return set_propagation(MS_PRIVATE, "private", err);
}
