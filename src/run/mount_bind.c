/* Binds of host paths: the home, the project, the profile's mounts, and what rules the sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "run/mnt.h"
#include "run/mount.h"

/* The home lies in the environment, which the building ground has. */
static int clone_home(const struct mount_step *step, int *ret_tree, struct err *err)
{
	_cleanup_fd_ int env = open("env", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int fd = -1;
	_cleanup_fd_ int tree = -1;

	if (env < 0)
		return err_errno(err, errno, "cannot open the environment's folder");
	if (fs_open_beneath(env, step->source, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, &fd, err) <
		    0 ||
	    mnt_clone(fd, true, &tree, err) < 0 ||
	    mnt_restrict(tree, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, true, err) < 0)
		return -1;
	*ret_tree = TAKE_FD(tree);
	return 0;
}

/* An empty file to mount a file on, where there is none. */
static int make_file_target(const struct mounting *m, const char *target, int *ret_fd,
			    struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *name = path_base(target);
	const char *dir =
		name > target + 1 ? arena_strndup(a, target, (size_t)(name - target) - 1) : "/";
	_cleanup_fd_ int parent = -1;
	_cleanup_fd_ int file = -1;

	if (mount_folder(m, dir, &parent, err) < 0)
		return -1;
	file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (file < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make the file '%s'", target);
	return fs_open_beneath(parent, name, O_PATH | O_NOFOLLOW, 0, ret_fd, err);
}

/*
 * What rules the sandbox is covered in the very folder that was mounted before, and nowhere else: by
 * its fd, through no link, and only itself.  A path would be looked up in places (the
 * private home, the upper folder) that what runs inside has shaped.
 */
static int open_policy_target(const struct mounting *m, const struct mount_step *step, int tree,
			      int *ret_fd, struct err *err)
{
	const char *rest;
	int start = mount_start(m, step->target, &rest); /* borrowed */
	_cleanup_fd_ int fd = -1;
	struct stat ours;
	struct stat theirs;

	if (start == m->root)
		return err_set(err, "cannot protect '%s': its folder is not mounted", step->target);
	if (fs_open_beneath(start, rest + 1, O_PATH | O_NOFOLLOW, 0, &fd, err) < 0)
		return -1;
	if (fstat(fd, &theirs) < 0 || fstat(tree, &ours) < 0)
		return err_errno(err, errno, "cannot look at '%s'", step->target);
	if (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino)
		return err_set(err, "cannot protect '%s': it was changed just now", step->target);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int open_target(const struct mounting *m, const struct mount_step *step, bool folder,
		       int *ret_fd, struct err *err)
{
	const char *rest;
	int start = mount_start(m, step->target, &rest); /* borrowed */
	struct err why = {0};

	if (folder)
		return mount_folder(m, step->target, ret_fd, err);
	if (fs_open_in_root(start, rest, O_PATH, 0, ret_fd, &why) == 0)
		return 0;
	if (why.errnum == ENOENT)
		return make_file_target(m, step->target, ret_fd, err);
	if (err)
		*err = why;
	return -1;
}

int mount_bind(struct mounting *m, const struct mount_step *step, int tree, struct err *err)
{
	_cleanup_fd_ int home = -1;
	_cleanup_fd_ int target = -1;
	struct stat st;
	int r;

	if (step->from_env) {
		if (clone_home(step, &home, err) < 0)
			return -1;
		tree = home;
	}
	/* Optional, and not there. */
	if (tree < 0)
		return 0;
	if (fstat(tree, &st) < 0)
		return err_errno(err, errno, "cannot look at '%s'", step->source);
	if (step->policy)
		r = open_policy_target(m, step, tree, &target, err);
	else
		r = open_target(m, step, S_ISDIR(st.st_mode), &target, err);
	if (r < 0 || mnt_attach(tree, target, err) < 0)
		return -1;
	/* What is mounted below it later starts from it. */
	return S_ISDIR(st.st_mode) ? mount_remember(m, step->target, tree, err) : 0;
}
