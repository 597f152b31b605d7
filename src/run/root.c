#include "run/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/overlay.h"
#include "base/path.h"
#include "plan/plan.h"
#include "run/mnt.h"
#include "run/sandbox.h"
#include "run/service.h"

static int open_folder(const char *name, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = open(name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "cannot open the folder '%s' of the environment",
				 name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static bool is_needed(const struct plan *plan, const char *place)
{
	if (path_is_under(plan->project, place) || path_is_under(plan->env_dir, place))
		return true;
	if (plan->base_dir && path_is_under(plan->base_dir, place))
		return true;
	for (size_t i = 0; i < plan->n_mounts; i++)
		if (plan->mounts[i].source && path_is_under(plan->mounts[i].source, place))
			return true;
	return false;
}

/*
 * Where the ground is put.  fuse-overlayfs makes absolute paths of what it is given, and takes ':'
 * and '\\' in them for its own: so a place with a plain name, which nothing that is still to
 * be opened lies below.  Only these processes see it covered.
 */
static int open_place(const struct plan *plan, int *ret_fd, struct err *err)
{
	static const char *const places[] = {"/mnt", "/media", "/srv", "/tmp", "/var/tmp", "/home"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		_cleanup_fd_ int fd = -1;

		if (is_needed(plan, places[i]))
			continue;
		fd = open(places[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	return open_folder("run", ret_fd, err);
}

/* The tmpfs, in its place, with the environment's folder in it; the current folder goes there. */
static int make_ground(const struct plan *plan, struct err *err)
{
	static const struct mnt_tmpfs how = {.mode = 0755};
	static const char *const names[] = {"env", "standin", "host", "root", "empty"};
	_cleanup_fd_ int here = -1;
	_cleanup_fd_ int place = -1;
	_cleanup_fd_ int env = -1;
	_cleanup_fd_ int ground = -1;
	_cleanup_fd_ int target = -1;
	_cleanup_fd_ int nothing = -1;

	if (open_folder(".", &here, err) < 0 || open_place(plan, &place, err) < 0)
		return -1;
	/* Before the ground covers a part of it. */
	if (mnt_clone(here, false, &env, err) < 0 || mnt_new_tmpfs(&how, &ground, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (mkdirat(ground, names[i], 0755) < 0)
			return err_errno(err, errno, "cannot make the folder '%s'", names[i]);
	nothing = openat(ground, "nothing", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
	if (nothing < 0)
		return err_errno(err, errno, "cannot make the file 'nothing'");
	if (mnt_attach(ground, place, err) < 0)
		return -1;
	if (fchdir(ground) < 0)
		return err_errno(err, errno, "cannot change to the building ground");
	if (open_folder("env", &target, err) < 0)
		return -1;
	return mnt_attach(env, target, err);
}

/* The owner and mode that a stand-in folder gives to what it is merged with: those of the base. */
static void take_after(const struct plan *plan, int host, const struct standin *s, struct stat *st)
{
	struct stat base;

	if (s->kind != STANDIN_DIR || fstatat(host, s->path + 1, &base, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (!S_ISDIR(base.st_mode))
		return;
	st->st_mode = base.st_mode & 07777;
	/* With one id there is no other that a file could be given to. */
	if (plan->rung == RUNG_SINGLE || s->uid || s->gid)
		return;
	st->st_uid = base.st_uid;
	st->st_gid = base.st_gid;
}

static int make_file(int dir, const char *path, const char *data)
{
	_cleanup_fd_ int fd =
		openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	return data ? fs_write_all(fd, data, strlen(data)) : 0;
}

/* fuse-overlayfs takes this name for "nothing of what lies below shows"; unlike an attribute,
 * a tmpfs of any kernel can hold it. */
static int make_opaque(int dir, const char *path)
{
	_cleanup_fd_ int fd = openat(dir, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -1;
	return make_file(fd, ".wh..wh..opq", NULL);
}

/* The base's file, with its time; nothing where it is gone meanwhile. */
static int copy_file(int dir, int host, const char *path)
{
	_cleanup_fd_ int from = openat(host, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	_cleanup_fd_ int to =
		openat(dir, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct timespec times[2];
	struct stat st;

	if (to < 0)
		return -1;
	if (from < 0 || fstat(from, &st) < 0)
		return 0;
	if (sendfile(to, from, NULL, (size_t)st.st_size) < 0)
		return -1;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	return futimens(to, times);
}

static int make_standin(int dir, int host, const struct standin *s)
{
	const char *path = s->path + 1;

	switch (s->kind) {
	case STANDIN_DIR:
		return mkdirat(dir, path, 0700);
	case STANDIN_OPAQUE:
		return mkdirat(dir, path, 0700) < 0 ? -1 : make_opaque(dir, path);
	case STANDIN_FILE:
		return make_file(dir, path, s->data);
	case STANDIN_LINK:
		return symlinkat(s->data, dir, path);
	case STANDIN_COPY:
		return copy_file(dir, host, path);
	}
	errno = EINVAL;
	return -1;
}

/* On disk, the base's root may have another id than inside. */
static uint32_t owner(const struct plan *plan, uint32_t id)
{
	return id ? id : plan->root_owner;
}

int root_standins(const struct plan *plan, struct err *err)
{
	_cleanup_fd_ int dir = -1;
	_cleanup_fd_ int host = -1;

	if (open_folder("standin", &dir, err) < 0 || open_folder("host", &host, err) < 0)
		return -1;
	if (fchownat(dir, "", plan->root_owner, plan->root_owner, AT_EMPTY_PATH) < 0)
		return err_errno(err, errno, "cannot own the stand-ins");
	for (size_t i = 0; i < plan->n_standins; i++) {
		const struct standin *s = &plan->standins[i];
		struct stat st = {
			.st_mode = s->mode,
			.st_uid = owner(plan, s->self ? sandbox_self_uid(plan) : s->uid),
			.st_gid = owner(plan, s->self ? sandbox_self_gid(plan) : s->gid),
		};

		take_after(plan, host, s, &st);
		if (make_standin(dir, host, s) < 0 ||
		    fchownat(dir, s->path + 1, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0)
			return err_errno(err, errno, "cannot make the stand-in '%s'", s->path);
		if (s->kind != STANDIN_LINK && fchmodat(dir, s->path + 1, st.st_mode, 0) < 0)
			return err_errno(err, errno, "cannot make the stand-in '%s'", s->path);
	}
	return 0;
}

/* What shows as "/" and is written to first is the environment's upper folder: it was made by
 * the user, and is root's. */
static int own_upper(const struct plan *plan, struct err *err)
{
	_cleanup_fd_ int upper = open("env/upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (upper < 0 || fstat(upper, &st) < 0)
		return err_errno(err, errno, "cannot look at '%s/upper'", plan->env_dir);
	if (st.st_uid == plan->root_owner && st.st_gid == plan->root_owner)
		return 0;
	if (fchownat(upper, "", plan->root_owner, plan->root_owner, AT_EMPTY_PATH) < 0)
		return err_errno(err, errno, "cannot give '%s/upper' to root", plan->env_dir);
	return 0;
}

const char *root_options(struct arena *a, const char *more)
{
	static const char *const lower[] = {"standin", "host", NULL};
	const struct overlay o = {
		.lower = lower, .upper = "env/upper", .work = "env/work", .more = more};

	return overlay_options(a, &o);
}

static int mount_kernel(struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();

	if (mount("overlay", "root", "overlay", MS_NODEV, root_options(a, "userxattr")) < 0) {
		(void)err_errno(err, errno, "cannot mount the root with overlayfs");
		return err_hint(err,
				"`sbx doctor` says whether overlayfs works where the store is");
	}
	return 0;
}

int root_build(const struct plan *plan, int lock_fd, struct service *ret_fuse, struct err *err)
{
	if (make_ground(plan, err) < 0 || own_upper(plan, err) < 0 || root_host(plan, err) < 0 ||
	    root_standins(plan, err) < 0)
		return -1;
	if (plan->driver == ROOT_KERNEL)
		return mount_kernel(err);
	return root_fuse(plan, lock_fd, ret_fuse, err);
}
