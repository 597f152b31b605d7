#include "run/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "run/mnt.h"
#include "run/sandbox.h"
#include "run/source.h"

/* The group "tty" of every distribution: write(1) and its kin want terminals of it. */
#define TTY_GID "5"

#define MAX_PTYS "512"

#define MAX_OPTIONS 8

int mount_start(const struct mounting *m, const char *target, const char **ret_rest)
{
	int fd = m->root; /* borrowed */
	size_t longest = 0;

	*ret_rest = target;
	for (size_t i = 0; i < m->n_own; i++) {
		size_t n = strlen(m->own[i].target);

		if (n <= longest || !path_is_under(target, m->own[i].target))
			continue;
		longest = n;
		fd = m->own[i].fd;
		*ret_rest = target[n] == '/' ? target + n : "/";
	}
	return fd;
}

int mount_folder(const struct mounting *m, const char *target, int *ret_fd, struct err *err)
{
	const char *rest;
	int start = mount_start(m, target, &rest); /* borrowed */
	struct err why = {0};

	/* Nearly always it is there: one call instead of one for each part. */
	if (fs_open_in_root(start, rest, O_PATH | O_DIRECTORY, 0, ret_fd, &why) == 0)
		return 0;
	if (why.errnum != ENOENT) {
		if (err)
			*err = why;
		return -1;
	}
	return fs_mkdirs_in_root(start, rest, 0755, ret_fd, err);
}

/* Attach it at the step's target, and remember it. */
static int put_own(struct mounting *m, const struct mount_step *step, int *fd, struct err *err)
{
	_cleanup_fd_ int target = -1;

	if (mount_folder(m, step->target, &target, err) < 0 || mnt_attach(*fd, target, err) < 0)
		return -1;
	m->own[m->n_own++] = (struct mount_own){step->target, TAKE_FD(*fd)};
	return 0;
}

int mount_remember(struct mounting *m, const char *target, int fd, struct err *err)
{
	_cleanup_fd_ int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return err_errno(err, errno, "cannot keep the mount at '%s'", target);
	m->own[m->n_own++] = (struct mount_own){target, TAKE_FD(copy)};
	return 0;
}

/* "mode=755,size=1G" as options; cuts `data`, which is in the arena. */
static void split_options(char *data, struct mnt_option ret_options[MAX_OPTIONS])
{
	char *save = NULL;
	size_t n = 0;

	for (char *word = strtok_r(data, ",", &save); word && n < MAX_OPTIONS - 3;
	     word = strtok_r(NULL, ",", &save)) {
		char *equals = strchr(word, '=');

		if (equals)
			*equals = '\0';
		ret_options[n++] = (struct mnt_option){word, equals ? equals + 1 : NULL};
	}
	ret_options[n++] = (struct mnt_option){"uid", "0"};
	ret_options[n++] = (struct mnt_option){"gid", "0"};
	ret_options[n] = (struct mnt_option){NULL, NULL};
}

static int step_tmpfs(struct mounting *m, const struct mount_step *step, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct mnt_option options[MAX_OPTIONS];
	_cleanup_fd_ int fd = -1;

	split_options(arena_strdup(a, step->data ? step->data : ""), options);
	if (mnt_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, &fd, err) < 0)
		return -1;
	return put_own(m, step, &fd, err);
}

static int step_devpts(struct mounting *m, const struct mount_step *step, struct err *err)
{
	const bool many = m->plan->rung == RUNG_SUBIDS;
	const struct mnt_option options[] = {
		{"ptmxmode", "0666"},
		{"mode", "0620"},
		/* One sandbox must not use up the machine's: /proc/sys/kernel/pty/max. */
		{"max", MAX_PTYS},
		{many ? "gid" : NULL, TTY_GID},
		{NULL, NULL},
	};
	_cleanup_fd_ int fd = -1;

	if (mnt_new("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, &fd, err) < 0)
		return -1;
	return put_own(m, step, &fd, err);
}

/* What a kernel may lack, or an outer container forbid, and a command can do without. */
static int step_optional(struct mounting *m, const struct mount_step *step, const char *type,
			 struct err *err)
{
	uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	_cleanup_fd_ int fd = -1;
	struct err why = {0};

	if (step->readonly)
		attributes |= MOUNT_ATTR_RDONLY;
	if (mnt_new(type, NULL, attributes, &fd, &why) < 0) {
		log_debug("'%s' is left out: %s", step->target, why.msg);
		return 0;
	}
	return put_own(m, step, &fd, err);
}

static int step_proc(struct mounting *m, const struct mount_step *step, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (mnt_new("proc", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &fd,
		    err) < 0) {
		/* The kernel gives a new one only to who can see an old one whole:
		 * mount_too_revealing() in fs/namespace.c. */
		if (err && err->errnum == EPERM)
			(void)err_hint(err, "inside a container whose /proc is masked there can "
					    "be no new one; `sbx doctor` says more");
		return -1;
	}
	return put_own(m, step, &fd, err);
}

/* The folder of ours that holds `target`, and its last part. */
static int open_parent(const struct mounting *m, const char *target, int *ret_fd, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *name = path_base(target);
	const char *rest;
	int start = mount_start(m, arena_strndup(a, target, (size_t)(name - target) - 1),
				&rest); /* borrowed */

	return fs_open_in_root(start, rest, O_PATH | O_DIRECTORY, 0, ret_fd, err);
}

static int own(const struct mounting *m, int parent, const struct mount_step *step)
{
	uint32_t uid = step->self ? sandbox_self_uid(m->plan) : 0;
	uint32_t gid = step->self ? sandbox_self_gid(m->plan) : 0;

	return fchownat(parent, path_base(step->target), uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* Links, folders and files on a tmpfs made before. */
static int step_entry(const struct mounting *m, const struct mount_step *step, struct err *err)
{
	const char *name = path_base(step->target);
	_cleanup_fd_ int parent = -1;
	_cleanup_fd_ int fd = -1;
	int r = 0;

	if (open_parent(m, step->target, &parent, err) < 0)
		return -1;
	if (step->kind == MOUNT_LINK) {
		r = symlinkat(step->source, parent, name);
	} else if (step->kind == MOUNT_DIR) {
		r = mkdirat(parent, name, 0700);
	} else {
		fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0600);
		r = fd < 0 ? -1 : 0;
		if (r == 0 && step->data)
			r = fs_write_all(fd, step->data, strlen(step->data));
	}
	if (r == 0)
		r = own(m, parent, step);
	if (r == 0 && step->kind != MOUNT_LINK)
		r = fchmodat(parent, name, step->mode, 0);
	if (r < 0)
		return err_errno(err, errno, "cannot make '%s'", step->target);
	return 0;
}

static int step_device(const struct mounting *m, const struct mount_step *step, struct err *err)
{
	const struct mount_step file = {.kind = MOUNT_FILE, .target = step->target, .mode = 0666};
	_cleanup_fd_ int source = open(step->source, O_PATH | O_CLOEXEC);
	_cleanup_fd_ int tree = -1;
	_cleanup_fd_ int target = -1;
	const char *rest;
	int start = mount_start(m, step->target, &rest); /* borrowed */
	struct stat st;

	if (source < 0 || fstat(source, &st) < 0)
		return err_errno(err, errno, "cannot open the host's '%s'", step->source);
	if (!S_ISCHR(st.st_mode))
		return err_set(err, "cannot use the host's '%s': it is no device", step->source);
	if (step_entry(m, &file, err) < 0 || mnt_clone(source, false, &tree, err) < 0 ||
	    fs_open_in_root(start, rest, O_PATH | O_NOFOLLOW, 0, &target, err) < 0)
		return -1;
	return mnt_attach(tree, target, err);
}

/* Cover it with something empty; `protect`: with itself, read-only.  What is not there needs none. */
static int step_cover(const struct mounting *m, const struct mount_step *step, struct err *err)
{
	const bool protect = step->kind == MOUNT_READONLY;
	_cleanup_fd_ int target = -1;
	_cleanup_fd_ int source = -1;
	_cleanup_fd_ int tree = -1;
	struct err why = {0};
	struct stat st;
	const char *rest;
	int start = mount_start(m, step->target, &rest); /* borrowed */

	if (fs_open_in_root(start, rest, O_PATH | O_NOFOLLOW, 0, &target, &why) < 0) {
		if (why.errnum == ENOENT)
			return 0;
		if (err)
			*err = why;
		return -1;
	}
	if (fstat(target, &st) < 0)
		return err_errno(err, errno, "cannot look at '%s'", step->target);
	/* Of the building ground: the kernel clones no part of a mount that is not attached. */
	if (!protect) {
		source = open(S_ISDIR(st.st_mode) ? "empty" : "nothing",
			      O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (source < 0)
			return err_errno(err, errno, "cannot open the mask of '%s'", step->target);
	}
	if (mnt_clone(protect ? target : source, false, &tree, err) < 0 ||
	    mnt_restrict(tree, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, false,
			 err) < 0)
		return -1;
	return mnt_attach(tree, target, err);
}

static int do_step(struct mounting *m, const struct mount_step *step, int source, struct err *err)
{
	switch (step->kind) {
	case MOUNT_TMPFS:
		return step_tmpfs(m, step, err);
	case MOUNT_BIND:
		return mount_bind(m, step, source, err);
	case MOUNT_DEV:
		return step_device(m, step, err);
	case MOUNT_DEVPTS:
		return step_devpts(m, step, err);
	case MOUNT_MQUEUE:
		return step_optional(m, step, "mqueue", err);
	case MOUNT_SYSFS:
		return step_optional(m, step, "sysfs", err);
	case MOUNT_PROC:
		return step_proc(m, step, err);
	case MOUNT_MASK:
	case MOUNT_READONLY:
		return step_cover(m, step, err);
	case MOUNT_LINK:
	case MOUNT_DIR:
	case MOUNT_FILE:
		return step_entry(m, step, err);
	}
	return err_set(err, "unknown kind of mount");
}

static void mounting_done(struct mounting *m)
{
	for (size_t i = 0; i < m->n_own; i++)
		cleanup_fd(&m->own[i].fd);
	cleanup_fd(&m->root);
	free(m->own);
}

int mount_all(const struct plan *plan, const struct sources *sources, struct err *err)
{
	__attribute__((cleanup(mounting_done))) struct mounting m = {
		.plan = plan, .root = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC)};

	m.own = xcalloc(plan->n_mounts + 1, sizeof(*m.own));
	if (m.root < 0)
		return err_errno(err, errno, "cannot open the root");
	for (size_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];

		if (do_step(&m, step, sources->step[i], err) < 0)
			return source_failed(step, err);
	}
	return 0;
}

int mount_enter(struct err *err)
{
	/* The new root over the old one, then the old one off: pivot_root(2), "pivot_root(".", ".")". */
	if (chdir("root") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_errno(err, errno, "cannot change to the new root");
	return mnt_make_private(err);
}
