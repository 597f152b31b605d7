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

int mount_remember(struct mounting *m, const char *target, int fd, struct err *err)
{
	_cleanup_fd_ int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	if (copy < 0)
		return err_errno(err, errno, "cannot keep the mount at '%s'", target);
	m->own[m->n_own++] = (struct mount_own){.target = target, .fd = TAKE_FD(copy)};
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

static int make_tmpfs(const struct mount_step *step, int *ret_fd, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct mnt_option options[MAX_OPTIONS];

	split_options(arena_strdup(a, step->data ? step->data : ""), options);
	return mnt_new("tmpfs", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, ret_fd, err);
}

static int make_devpts(const struct plan *plan, int *ret_fd, struct err *err)
{
	const bool many = plan->rung == RUNG_SUBIDS;
	const struct mnt_option options[] = {
		{"ptmxmode", "0666"},
		{"mode", "0620"},
		/* One sandbox must not use up the machine's: /proc/sys/kernel/pty/max. */
		{"max", MAX_PTYS},
		{many ? "gid" : NULL, TTY_GID},
		{NULL, NULL},
	};

	return mnt_new("devpts", options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, ret_fd, err);
}

/* What a kernel may lack, or an outer container forbid, and a command can do without. */
static void make_optional(const struct mount_step *step, const char *type, int *ret_fd)
{
	uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	struct err why = {0};

	if (step->readonly)
		attributes |= MOUNT_ATTR_RDONLY;
	if (mnt_new(type, NULL, attributes, ret_fd, &why) < 0)
		log_debug("'%s' is left out: %s", step->target, why.msg);
}

static int make_proc(int *ret_fd, struct err *err)
{
	if (mnt_new("proc", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, ret_fd,
		    err) < 0) {
		/* The kernel gives a new one only to who can see an old one whole:
		 * mount_too_revealing() in fs/namespace.c. */
		if (err && err->errnum == EPERM)
			(void)err_hint(err, "inside a container whose /proc is masked there can "
					    "be no new one; `sbx doctor` says more");
		return -1;
	}
	return 0;
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

static int make_device(const struct mounting *m, const struct mount_step *step, int *ret_fd,
		       struct err *err)
{
	const struct mount_step file = {.kind = MOUNT_FILE, .target = step->target, .mode = 0666};
	_cleanup_fd_ int source = open(step->source, O_PATH | O_CLOEXEC);
	struct stat st;

	if (source < 0 || fstat(source, &st) < 0)
		return err_errno(err, errno, "cannot open the host's '%s'", step->source);
	if (!S_ISCHR(st.st_mode))
		return err_set(err, "cannot use the host's '%s': it is no device", step->source);
	if (step_entry(m, &file, err) < 0)
		return -1;
	return mnt_clone(source, false, ret_fd, err);
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

/* Does a step before it mount something of the host's over its place? */
static bool is_covered(const struct plan *plan, const struct mount_step *step)
{
	for (const struct mount_step *s = plan->mounts; s < step; s++)
		if (s->kind == MOUNT_BIND && path_is_under(step->target, s->target))
			return true;
	return false;
}

static int make_entry(const struct mounting *m, const struct mount_step *step, int *ret_made,
		      struct err *err)
{
	const char *rest;

	if (mount_start(m, step->target, &rest) < 0 || is_covered(m->plan, step))
		return 0;
	if (step->kind == MOUNT_DEV)
		return make_device(m, step, ret_made, err);
	*ret_made = MADE_ALL;
	return step_entry(m, step, err);
}

/* *ret_made stays as it is where the step needs the root. */
static int make(const struct mounting *m, const struct mount_step *step, int *ret_made,
		struct err *err)
{
	switch (step->kind) {
	case MOUNT_TMPFS:
		return make_tmpfs(step, ret_made, err);
	case MOUNT_DEVPTS:
		return make_devpts(m->plan, ret_made, err);
	case MOUNT_PROC:
		return make_proc(ret_made, err);
	case MOUNT_MQUEUE:
	case MOUNT_SYSFS:
		make_optional(step, step->kind == MOUNT_SYSFS ? "sysfs" : "mqueue", ret_made);
		if (*ret_made < 0)
			*ret_made = MADE_ALL;
		return 0;
	case MOUNT_DEV:
	case MOUNT_LINK:
	case MOUNT_DIR:
	case MOUNT_FILE:
		return make_entry(m, step, ret_made, err);
	case MOUNT_BIND:
	case MOUNT_MASK:
	case MOUNT_READONLY:
		return 0;
	}
	return err_set(err, "unknown kind of mount");
}

/* What later steps put into it starts from there. */
static void own_it(struct mounting *m, const struct mount_step *step, int fd)
{
	m->own[m->n_own++] = (struct mount_own){.target = step->target, .fd = fd, .borrowed = true};
}

int mount_make(const struct plan *plan, struct mounting *ret, struct err *err)
{
	struct mounting *m = ret;

	*m = (struct mounting){.plan = plan, .root = -1};
	m->own = xcalloc(plan->n_mounts + 1, sizeof(*m->own));
	m->made = xcalloc(plan->n_mounts + 1, sizeof(*m->made));
	for (size_t i = 0; i < plan->n_mounts; i++)
		m->made[i] = MADE_NOTHING;
	for (size_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];

		if (make(m, step, &m->made[i], err) < 0)
			return source_failed(step, err);
		if (m->made[i] >= 0 && step->kind != MOUNT_DEV)
			own_it(m, step, m->made[i]);
	}
	return 0;
}

static int put_device(const struct mounting *m, const struct mount_step *step, int tree,
		      struct err *err)
{
	_cleanup_fd_ int target = -1;
	const char *rest;
	int start = mount_start(m, step->target, &rest); /* borrowed */

	if (fs_open_in_root(start, rest, O_PATH | O_NOFOLLOW, 0, &target, err) < 0)
		return -1;
	return mnt_attach(tree, target, err);
}

static int put_filesystem(struct mounting *m, const struct mount_step *step, int fd,
			  struct err *err)
{
	_cleanup_fd_ int target = -1;

	if (mount_folder(m, step->target, &target, err) < 0 || mnt_attach(fd, target, err) < 0)
		return -1;
	own_it(m, step, fd);
	return 0;
}

static int put(struct mounting *m, const struct mount_step *step, int *made, int source,
	       struct err *err)
{
	switch (step->kind) {
	case MOUNT_BIND:
		return mount_bind(m, step, source, err);
	case MOUNT_MASK:
	case MOUNT_READONLY:
		return step_cover(m, step, err);
	case MOUNT_DEV:
		if (*made < 0 && make_device(m, step, made, err) < 0)
			return -1;
		return put_device(m, step, *made, err);
	case MOUNT_LINK:
	case MOUNT_DIR:
	case MOUNT_FILE:
		return step_entry(m, step, err);
	case MOUNT_TMPFS:
	case MOUNT_DEVPTS:
	case MOUNT_PROC:
	case MOUNT_MQUEUE:
	case MOUNT_SYSFS:
		return put_filesystem(m, step, *made, err);
	}
	return err_set(err, "unknown kind of mount");
}

int mount_put(struct mounting *m, const struct sources *sources, struct err *err)
{
	const struct plan *plan = m->plan;

	m->root = open("root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (m->root < 0)
		return err_errno(err, errno, "cannot open the root");
	/* In their order again: what one step has mounted the next ones find. */
	m->n_own = 0;
	for (size_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];

		if (m->made[i] != MADE_ALL && put(m, step, &m->made[i], sources->step[i], err) < 0)
			return source_failed(step, err);
	}
	return 0;
}

void mounting_done(struct mounting *m)
{
	/* A zeroed one has made nothing. */
	if (!m || !m->made)
		return;
	for (size_t i = 0; i < m->n_own; i++)
		if (!m->own[i].borrowed)
			cleanup_fd(&m->own[i].fd);
	for (size_t i = 0; i < m->plan->n_mounts; i++)
		if (m->made[i] >= 0)
			cleanup_fd(&m->made[i]);
	cleanup_fd(&m->root);
	free(m->own);
	free(m->made);
	*m = (struct mounting){0};
}

int mount_enter(struct err *err)
{
	/* The new root over the old one, then the old one off: pivot_root(2), "pivot_root(".", ".")". */
	if (chdir("root") < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_errno(err, errno, "cannot change to the new root");
	return mnt_make_private(err);
}
