#include "store/whiteout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/str.h"
#include "store/whiteout_internal.h"

/*
 * What fuse-overlayfs 1.10 was seen to write, by an ordinary user in a user namespace:
 *
 *   rm x, of a lower one    x: a 0:0 device, mode 0700 (mknod) or 0 (RENAME_WHITEOUT, when it was copied
 *                           up before).  Where mknod is refused: an empty file `.wh.x`.
 *   mkdir d, any at all     user.fuseoverlayfs.opaque=y and an empty file `.wh..wh..opq`, also where
 *                           the lower has no d.
 *   mkdir d, was deleted    the same, and a 0:0 device `.wh..opq`: it took `.wh..wh..opq`, which it had
 *                           just made, for the whiteout of a file `.wh..opq` to be hidden.
 *   copied up, renamed      user.fuseoverlayfs.origin
 *   a user's `.wh.x`        touch gives EINVAL.  `mkdir .wh.x` makes the folder, and from then on it is
 *                           the whiteout of x to it, as anything of such a name is, of whatever type.
 *
 * Where x and `.wh.x` are both there, x is deleted.
 */

#define PREFIX ".wh."
#define PREFIX_LEN (sizeof(PREFIX) - 1)

bool whiteout_is_device(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

enum whiteout whiteout_entry(enum whiteout_dialect dialect, const char *name, const struct stat *st,
			     const char **ret_name)
{
	if (dialect == WHITEOUT_FUSE && str_starts(name, PREFIX)) {
		/* Of such a name, a device can only be the one told of above. */
		if (strcmp(name, WHITEOUT_FUSE_MARK) == 0 || whiteout_is_device(st) ||
		    !name[PREFIX_LEN])
			return WHITEOUT_MARK;
		*ret_name = name + PREFIX_LEN;
		return WHITEOUT_DELETE;
	}
	if (!whiteout_is_device(st))
		return WHITEOUT_NONE;
	*ret_name = name;
	return WHITEOUT_DELETE;
}

/* 1: it says yes, 0: there is none or it says something else, -1 with errno. */
static int says_opaque(int dir_fd, const char *xattr)
{
	char value[2];
	ssize_t n = fgetxattr(dir_fd, xattr, value, sizeof(value));

	if (n >= 0)
		return n == 1 && value[0] == 'y';
	return errno == ENODATA || errno == ENOTSUP || errno == ERANGE ? 0 : -1;
}

int whiteout_opaque(enum whiteout_dialect dialect, int dir_fd, bool *ret, struct err *err)
{
	/* trusted: what fuse-overlayfs writes as the real root. */
	static const char *const xattrs[] = {WHITEOUT_OPAQUE, WHITEOUT_FUSE_OPAQUE,
					     WHITEOUT_ROOT_OPAQUE};
	size_t n = dialect == WHITEOUT_FUSE ? sizeof(xattrs) / sizeof(xattrs[0]) : 1;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++)
		r = says_opaque(dir_fd, xattrs[i]);
	if (r == 0 && dialect == WHITEOUT_FUSE) {
		struct stat st;

		r = fstatat(dir_fd, WHITEOUT_FUSE_MARK, &st, AT_SYMLINK_NOFOLLOW) == 0 ? 1 : -1;
		if (r < 0 && errno == ENOENT)
			r = 0;
	}
	if (r < 0)
		return err_errno(err, errno, "cannot tell whether a folder of the upper is opaque");
	*ret = r;
	return 0;
}

bool whiteout_is_overlay_xattr(const char *name)
{
	return str_starts(name, "user.overlay.") || str_starts(name, "user.fuseoverlayfs.") ||
	       str_starts(name, "trusted.overlay.") || str_starts(name, "user.containers.");
}

int whiteout_make(int dir_fd, const char *name, struct err *err)
{
	if (mknodat(dir_fd, name, S_IFCHR, makedev(0, 0)) < 0)
		return err_errno(err, errno, "cannot make the whiteout '%s'", name);
	return 0;
}

int whiteout_make_opaque(int dir_fd, struct err *err)
{
	if (fsetxattr(dir_fd, WHITEOUT_OPAQUE, "y", 1, 0) == 0)
		return 0;
	err_errno(err, errno, "cannot mark a folder as opaque by the attribute " WHITEOUT_OPAQUE);
	if (errno == ENOTSUP)
		err_hint(err, "the store needs a filesystem with user attributes (user.*)");
	return -1;
}
