/*
 * The stand-ins: a folder of the building ground, which lies right over the base and gives what that
 * lacks, made anew at each start.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "plan/host.h"
#include "plan/plan.h"
#include "run/root.h"
#include "run/sandbox.h"

/* The folders that lie right below the stand-ins: an image's layers, the topmost first, and the base. */
struct below {
	int *fd;
	size_t n;
};

static void below_done(struct below *b)
{
	for (size_t i = 0; i < b->n; i++)
		cleanup_fd(&b->fd[i]);
}

static int open_below(struct arena *a, const struct plan *plan, struct below *ret, struct err *err)
{
	size_t layers = 0;

	while (plan->layers[layers])
		layers++;
	ret->fd = arena_alloc(a, (plan->n_image + 1) * sizeof(*ret->fd));
	for (size_t i = layers - plan->n_image; i <= layers; i++) {
		const char *name = i < layers ? arena_printf(a, "%zu", i) : "base";
		_cleanup_fd_ int fd = open(name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			return err_errno(err, errno, "cannot open the folder '%s'", name);
		ret->fd[ret->n++] = TAKE_FD(fd);
	}
	return 0;
}

/* May the base have it?  What the host's root shows at its top is known without a question to its server. */
static bool may_be_there(const struct plan *plan, const char *path)
{
	size_t n = strcspn(path, "/");

	for (size_t i = 0; i < plan->n_entries; i++)
		if (strlen(plan->entries[i].name) == n &&
		    strncmp(plan->entries[i].name, path, n) == 0)
			return true;
	return plan->base_dir != NULL || plan->n_image > 0;
}

/* Of what lies right below the stand-ins, the topmost that has it; links on the way stay in there. */
static bool look_below(const struct below *below, const char *path, struct stat *ret)
{
	for (size_t i = 0; i < below->n; i++) {
		_cleanup_fd_ int fd = -1;

		if (fs_open_beneath(below->fd[i], path, O_PATH | O_NOFOLLOW, 0, &fd, NULL) == 0)
			return fstat(fd, ret) == 0 && S_ISDIR(ret->st_mode);
	}
	return false;
}

/* The owner and mode that a stand-in folder gives to what it is merged with: those of the base. */
static void take_after(const struct plan *plan, const struct below *below, const struct standin *s,
		       struct stat *st)
{
	struct stat base;

	if (s->kind != STANDIN_DIR || !may_be_there(plan, s->path + 1) ||
	    !look_below(below, s->path + 1, &base))
		return;
	st->st_mode = base.st_mode & 07777;
	st->st_atim = base.st_atim;
	st->st_mtim = base.st_mtim;
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

static int make_standin(int dir, const struct standin *s)
{
	const char *path = s->path + 1;

	switch (s->kind) {
	case STANDIN_DIR:
		return mkdirat(dir, path, 0700);
	case STANDIN_FILE:
		return make_file(dir, path, s->data);
	case STANDIN_LINK:
		return symlinkat(s->data, dir, path);
	}
	errno = EINVAL;
	return -1;
}

/* Without the time of the base's, a folder would seem to be changed at every start. */
static int set_look(int dir, const struct standin *s, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	const char *path = s->path + 1;

	if (fchownat(dir, path, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return -1;
	if (s->kind == STANDIN_LINK)
		return 0;
	if (fchmodat(dir, path, st->st_mode, 0) < 0)
		return -1;
	return st->st_mtim.tv_sec ? utimensat(dir, path, times, AT_SYMLINK_NOFOLLOW) : 0;
}

/*
 * At the top the base is known to have no such folder: so nothing below this one is looked for, which would
 * be a question to the server of the host's root for each.  A tmpfs has had such marks since Linux 6.6; without,
 * it is asked.
 */
static void end_search(const struct plan *plan, const struct standin *s)
{
	_cleanup_free_ char *name = NULL;

	if (plan->driver != ROOT_KERNEL || s->kind != STANDIN_DIR || strchr(s->path + 1, '/') ||
	    may_be_there(plan, s->path + 1))
		return;
	name = xasprintf("%s%s", ROOT_STANDIN, s->path);
	(void)lsetxattr(name, "user.overlay.opaque", "y", 1, 0);
}

int root_standins(const struct plan *plan, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	__attribute__((cleanup(below_done))) struct below below = {0};
	_cleanup_fd_ int dir = open(ROOT_STANDIN, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return err_errno(err, errno, "cannot open the folder of the stand-ins");
	if (open_below(a, plan, &below, err) < 0)
		return -1;
	for (size_t i = 0; i < plan->n_standins; i++) {
		const struct standin *s = &plan->standins[i];

		if (make_standin(dir, s) < 0)
			return err_errno(err, errno, "cannot make the stand-in '%s'", s->path);
		end_search(plan, s);
	}
	/* Backwards, since what is made in a folder changes its time. */
	for (size_t i = plan->n_standins; i > 0; i--) {
		const struct standin *s = &plan->standins[i - 1];
		struct stat st = {
			.st_mode = s->mode,
			.st_uid = s->self ? sandbox_self_uid(plan) : s->uid,
			.st_gid = s->self ? sandbox_self_gid(plan) : s->gid,
		};

		take_after(plan, &below, s, &st);
		if (set_look(dir, s, &st) < 0)
			return err_errno(err, errno, "cannot own the stand-in '%s'", s->path);
	}
	return 0;
}
