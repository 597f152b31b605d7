/* Binds of host paths: the home, the project, the profile's mounts, and what rules the sandbox. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "run/mnt.h"
#include "run/mount.h"

/* Where it really is, as this mount namespace sees it; in the arena. */
static const char *real_path(struct arena *a, int fd)
{
	char link[64];
	char path[PATH_MAX];
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	return n > 0 ? arena_strndup(a, path, (size_t)n) : "";
}

/*
 * The project is at a path that holds no link: it came from getcwd(3).  Where there is one now,
 * somebody has put it there meanwhile, such as a sandbox whose project is a folder above: A2.
 */
static int open_project(struct arena *a, const struct plan *plan, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = open(plan->project, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "cannot open the project '%s'", plan->project);
	if (!str_eq(real_path(a, fd), plan->project))
		return err_set(err, "cannot use the project '%s': it leads to '%s' now",
			       plan->project, real_path(a, fd));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* What lies in the project may have been shaped by what ran in a sandbox: no link in it leads out. */
static int open_in_project(struct arena *a, const struct plan *plan, const char *source, int flags,
			   int *ret_fd, struct err *err)
{
	_cleanup_fd_ int project = -1;

	if (open_project(a, plan, &project, err) < 0)
		return -1;
	if (str_eq(source, plan->project)) {
		*ret_fd = TAKE_FD(project);
		return 0;
	}
	return fs_open_beneath(project, source + strlen(plan->project) + 1, O_PATH | flags, 0,
			       ret_fd, err);
}

/* A path of the host's, as the user wrote it; links are his own.  Only the store is never shown. */
static int open_host(struct arena *a, const struct plan *plan, const char *source, int *ret_fd,
		     struct err *err)
{
	_cleanup_fd_ int fd = open(source, O_PATH | O_CLOEXEC);
	const char *envs = arena_strndup(a, plan->env_dir,
					 (size_t)(path_base(plan->env_dir) - plan->env_dir) - 1);
	const char *store = arena_strndup(a, envs, (size_t)(path_base(envs) - envs) - 1);
	const char *real;

	if (fd < 0)
		return err_errno(err, errno, "cannot open '%s'", source);
	real = real_path(a, fd);
	if (path_is_under(store, real) || path_is_under(real, store)) {
		(void)err_set(err, "cannot mount '%s': it leads to '%s', and the store is '%s'",
			      source, real, store);
		return err_hint(err, "mount a folder that has nothing to do with '%s'", store);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* sbx.ini and its like: never through a link, or what is protected would be something else. */
static bool is_policy(const struct plan *plan, const struct mount_step *step)
{
	static const char *const names[] = {"sbx.ini", "sbx.lock", ".sbx"};
	size_t n = strlen(plan->project);

	if (!path_is_under(step->source, plan->project) || step->source[n] != '/')
		return false;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (str_eq(step->source + n + 1, names[i]))
			return true;
	return false;
}

static int open_source(struct arena *a, const struct plan *plan, const struct mount_step *step,
		       int *ret_fd, struct err *err)
{
	if (step->from_env) {
		_cleanup_fd_ int env = open("env", O_PATH | O_DIRECTORY | O_CLOEXEC);

		if (env < 0)
			return err_errno(err, errno, "cannot open the environment's folder");
		return fs_open_beneath(env, step->source, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0,
				       ret_fd, err);
	}
	if (path_is_under(step->source, plan->project))
		return open_in_project(a, plan, step->source,
				       is_policy(plan, step) ? O_NOFOLLOW : 0, ret_fd, err);
	return open_host(a, plan, step->source, ret_fd, err);
}

/* An empty file to mount a file on, where there is none. */
static int make_file_target(const struct mounting *m, const char *target, int *ret_fd,
			    struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *name = path_base(target);
	_cleanup_fd_ int parent = -1;
	_cleanup_fd_ int file = -1;

	if (mount_folder(m,
			 name > target + 1 ? arena_strndup(a, target, (size_t)(name - target) - 1)
					   : "/",
			 &parent, err) < 0)
		return -1;
	file = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (file < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make the file '%s'", target);
	return fs_open_beneath(parent, name, O_PATH | O_NOFOLLOW, 0, ret_fd, err);
}

static int open_target(const struct mounting *m, const struct mount_step *step, bool folder,
		       int *ret_fd, struct err *err)
{
	const char *rest;
	int start = mount_start(m, step->target, &rest); /* borrowed */
	int flags = is_policy(m->plan, step) ? O_PATH | O_NOFOLLOW : O_PATH;
	struct err why = {0};

	if (folder && !is_policy(m->plan, step))
		return mount_folder(m, step->target, ret_fd, err);
	if (fs_open_in_root(start, rest, flags, 0, ret_fd, &why) == 0)
		return 0;
	if (why.errnum == ENOENT)
		return make_file_target(m, step->target, ret_fd, err);
	if (err)
		*err = why;
	return -1;
}

static int check_policy(const struct mount_step *step, const struct stat *st, struct err *err)
{
	if (!S_ISLNK(st->st_mode))
		return 0;
	(void)err_set(err, "cannot protect '%s': it is a symbolic link", step->source);
	return err_hint(err, "put the file itself there: what runs inside could change the link");
}

int mount_bind(const struct mounting *m, const struct mount_step *step, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	_cleanup_fd_ int source = -1;
	_cleanup_fd_ int tree = -1;
	_cleanup_fd_ int target = -1;
	struct err why = {0};
	struct stat st;

	if (open_source(a, m->plan, step, &source, &why) < 0) {
		if (step->optional && why.errnum == ENOENT)
			return 0;
		if (err)
			*err = why;
		return -1;
	}
	if (fstat(source, &st) < 0)
		return err_errno(err, errno, "cannot look at '%s'", step->source);
	if (is_policy(m->plan, step) && check_policy(step, &st, err) < 0)
		return -1;
	if (open_target(m, step, S_ISDIR(st.st_mode), &target, err) < 0 ||
	    mnt_clone(source, true, &tree, err) < 0)
		return -1;
	if (step->readonly)
		attributes |= MOUNT_ATTR_RDONLY;
	if (mnt_restrict(tree, attributes, true, err) < 0)
		return -1;
	return mnt_attach(tree, target, err);
}
