#include "run/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/overlay.h"
#include "base/path.h"
#include "plan/plan.h"
#include "run/hostfs.h"
#include "run/mnt.h"
#include "run/service.h"
#include "run/source.h"

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
	static const char *const names[] = {"env", "base", "root", "empty", ROOT_STANDIN};
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

/* Put the detached mount `fd` over the folder `name` of the ground. */
static int place(int fd, const char *name, struct err *err)
{
	_cleanup_fd_ int at = -1;

	if (open_folder(name, &at, err) < 0)
		return -1;
	return mnt_attach(fd, at, err);
}

static int show_base(const struct plan *plan, const struct root_parts *parts, struct err *err)
{
	_cleanup_fd_ int host = -1;

	if (plan->base_dir) {
		if (place(parts->sources->base, "base", err) < 0)
			return err_prefix(err, "cannot show the root folder '%s'", plan->base_dir);
		return 0;
	}
	/* Below an image there is nothing: the folder is empty. */
	if (plan->base != BASE_HOST)
		return 0;
	if (hostfs_mount(parts->hostfs, &host, err) < 0)
		return -1;
	return place(host, "base", err);
}

static int show_layers(const struct plan *plan, const struct root_parts *parts, struct err *err)
{
	for (size_t i = 0; plan->layers[i]; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "%zu", i);
		if (mkdirat(AT_FDCWD, name, 0755) < 0)
			return err_errno(err, errno, "cannot make the folder '%s'", name);
		if (place(parts->sources->layer[i], name, err) < 0)
			return err_prefix(err, "cannot show the layer '%s'", plan->layers[i]);
	}
	return 0;
}

/* What shows as "/" and is written to first is the environment's upper folder: it was made by
 * the user, and is root's. */
static int own_upper(const struct plan *plan, struct err *err)
{
	_cleanup_free_ char *name = xasprintf("env/%s", plan->upper);
	_cleanup_fd_ int upper = open(name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (upper < 0 || fstat(upper, &st) < 0)
		return err_errno(err, errno, "cannot look at '%s/%s'", plan->env_dir, plan->upper);
	if (st.st_uid == 0 && st.st_gid == 0)
		return 0;
	if (fchownat(upper, "", 0, 0, AT_EMPTY_PATH) == 0)
		return 0;
	(void)err_errno(err, errno, "cannot give '%s/%s' to root", plan->env_dir, plan->upper);
	if (errno != EPERM)
		return -1;
	return err_hint(err, "its filesystem knows no subordinate ids (NFS does not): set "
			     "XDG_DATA_HOME to a folder on a local one");
}

/* The folders below the upper one, the topmost first.  The stand-ins lie right over the base, or the image. */
static const char *const *lower_of(struct arena *a, const struct plan *plan, bool standins)
{
	const char **lower;
	size_t layers = 0;
	size_t n = 0;

	while (plan->layers[layers])
		layers++;
	lower = arena_alloc(a, (layers + 3) * sizeof(*lower));
	for (size_t i = 0; i <= layers; i++) {
		if (standins && i == layers - plan->n_image)
			lower[n++] = ROOT_STANDIN;
		if (i < layers)
			lower[n++] = arena_printf(a, "%zu", i);
	}
	lower[n++] = "base";
	lower[n] = NULL;
	return lower;
}

/* root/, by either driver: the options are the same. */
static int mount_overlay(const struct plan *plan, const struct overlay *o, int lock_fd,
			 struct service *ret_fuse, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();

	if (plan->driver == ROOT_FUSE)
		return root_fuse(plan, overlay_options(a, o), lock_fd, ret_fuse, err);
	if (mount("overlay", "root", "overlay", MS_NODEV | MS_NOSUID, overlay_options(a, o)) < 0)
		return err_errno(err, errno, "cannot mount the root with overlayfs");
	return 0;
}

/* No layer's marks of where its files came from are followed: in a layer they may be anybody's. */
#define KERNEL_OPTIONS "userxattr,xino=off"

int root_build(const struct plan *plan, const struct root_parts *parts, struct service *ret_fuse,
	       struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct overlay o = {
		.lower = lower_of(a, plan, true),
		.upper = arena_printf(a, "env/%s", plan->upper),
		.work = "env/work",
		.more = plan->driver == ROOT_KERNEL ? KERNEL_OPTIONS : plan->fuse_options,
	};

	if (make_ground(plan, err) < 0 || own_upper(plan, err) < 0 ||
	    show_base(plan, parts, err) < 0 || show_layers(plan, parts, err) < 0 ||
	    root_standins(plan, err) < 0)
		return -1;
	return mount_overlay(plan, &o, parts->lock_fd, ret_fuse, err);
}

int root_build_lower(const struct plan *plan, const struct root_parts *parts, int *ret_fd,
		     struct service *ret_fuse, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct overlay o = {
		.lower = lower_of(a, plan, false),
		.more = plan->driver == ROOT_KERNEL ? KERNEL_OPTIONS : plan->fuse_options,
	};
	const bool alone = plan->layers[0] == NULL;
	_cleanup_fd_ int fd = -1;

	if (make_ground(plan, err) < 0 || show_base(plan, parts, err) < 0 ||
	    show_layers(plan, parts, err) < 0)
		return -1;
	if (!alone && mount_overlay(plan, &o, parts->lock_fd, ret_fuse, err) < 0)
		return -1;
	fd = open(alone ? "base" : "root", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open the base of '%s'", plan->env_dir);
	*ret_fd = TAKE_FD(fd);
	return 0;
}
