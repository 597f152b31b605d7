#include "run/source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/proc.h"
#include "base/str.h"
#include "plan/plan.h"
#include "run/mnt.h"

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

static int leads_to(const char *source, const char *real, const char *what, const char *path,
		    struct err *err)
{
	(void)err_set(err, "cannot show '%s': it leads to '%s', and %s is '%s'", source, real, what,
		      path);
	return err_hint(err, "name a folder that has nothing to do with '%s'", path);
}

/*
 * A path of the host's, as the user wrote it; links on the way are his own.  The store is never
 * shown, and what leads to the home or above it must say so in the profile, where
 * `sbx allow` shows it.
 */
static int check_real(struct arena *a, const struct plan *plan, const char *source, int fd,
		      struct err *err)
{
	const char *real = real_path(a, fd);
	const char *envs = arena_strndup(a, plan->env_dir,
					 (size_t)(path_base(plan->env_dir) - plan->env_dir) - 1);
	const char *store = arena_strndup(a, envs, (size_t)(path_base(envs) - envs) - 1);
	const char *home = plan->host_home;

	if (path_is_under(store, real) || path_is_under(real, store))
		return leads_to(source, real, "the store", store, err);
	if (home && path_is_under(home, real) && !path_is_under(home, source))
		return leads_to(source, real, "your home", home, err);
	return 0;
}

/* The profile's outermost writable mount that `source` lies in, or NULL: what is in there, other mounts'
 * folders among it, may have been shaped by what ran in a sandbox, as in the project. */
static const struct mount_step *writable_above(const struct plan *plan, const char *source)
{
	const struct mount_step *found = NULL;

	for (size_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];

		if (step->kind != MOUNT_BIND || step->readonly || step->from_env ||
		    str_eq(step->source, source) || !path_is_under(source, step->source))
			continue;
		if (!found || strlen(step->source) < strlen(found->source))
			found = step;
	}
	return found;
}

static int open_host(struct arena *a, const struct plan *plan, const char *source, int *ret_fd,
		     struct err *err)
{
	const struct mount_step *above = writable_above(plan, source);
	const char *path = above ? above->source : source;
	_cleanup_fd_ int fd = open(path, O_PATH | O_CLOEXEC);
	_cleanup_fd_ int below = -1;

	if (fd < 0)
		return err_errno(err, errno, "cannot open '%s'", path);
	if (check_real(a, plan, path, fd, err) < 0)
		return -1;
	if (!above) {
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	if (fs_open_beneath(fd, source + strlen(path) + 1, O_PATH, 0, &below, err) < 0)
		return -1;
	*ret_fd = TAKE_FD(below);
	return 0;
}

static int open_source(struct arena *a, const struct plan *plan, const struct mount_step *step,
		       int *ret_fd, struct err *err)
{
	if (path_is_under(step->source, plan->project))
		return open_in_project(a, plan, step->source, step->policy ? O_NOFOLLOW : 0, ret_fd,
				       err);
	return open_host(a, plan, step->source, ret_fd, err);
}

/* A root folder shows all that is in it, so it must hold nothing of the user's. */
static int open_base(struct arena *a, const struct plan *plan, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	const char *real;

	if (path_is_under(plan->base_dir, plan->project)) {
		if (open_in_project(a, plan, plan->base_dir, O_DIRECTORY, &fd, err) < 0)
			return -1;
	} else {
		fd = open(plan->base_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err_errno(err, errno, "cannot open the root folder '%s'",
					 plan->base_dir);
	}
	if (check_real(a, plan, plan->base_dir, fd, err) < 0)
		return -1;
	real = real_path(a, fd);
	if (path_is_under(plan->project, real))
		return leads_to(plan->base_dir, real, "the project", plan->project, err);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int check_policy(const struct mount_step *step, int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot look at '%s'", step->source);
	if (!S_ISLNK(st.st_mode))
		return 0;
	(void)err_set(err, "cannot protect '%s': it is a symbolic link", step->source);
	return err_hint(err, "put the file itself there: what runs inside could change the link");
}

static int open_step(struct arena *a, const struct plan *plan, const struct mount_step *step,
		     int *ret_tree, struct err *err)
{
	uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	_cleanup_fd_ int fd = -1;
	_cleanup_fd_ int tree = -1;
	struct err why = {0};

	if (open_source(a, plan, step, &fd, &why) < 0) {
		if (step->optional && why.errnum == ENOENT)
			return 0;
		if (err)
			*err = why;
		return -1;
	}
	if (step->policy && check_policy(step, fd, err) < 0)
		return -1;
	if (mnt_clone(fd, true, &tree, err) < 0)
		return -1;
	if (step->readonly)
		attributes |= MOUNT_ATTR_RDONLY;
	if (mnt_restrict(tree, attributes, true, err) < 0)
		return -1;
	*ret_tree = TAKE_FD(tree);
	return 0;
}

int source_failed(const struct mount_step *step, struct err *err)
{
	if (step->at.file)
		return err_prefix(err, "%s:%d: cannot mount at '%s'", step->at.file, step->at.line,
				  step->target);
	return err_prefix(err, "cannot mount '%s'", step->target);
}

static int clone_base(struct arena *a, const struct plan *plan, struct sources *s, struct err *err)
{
	_cleanup_fd_ int base = -1;

	if (!plan->base_dir)
		return 0;
	if (open_base(a, plan, &base, err) < 0)
		return -1;
	/* Recursive: the kernel does not let a user namespace take a mount apart from those on it
	 * (EINVAL), since they may hide something. */
	return mnt_clone(base, true, &s->base, err);
}

static int clone_layers(const struct plan *plan, struct sources *s, struct err *err)
{
	for (size_t i = 0; plan->layers[i]; i++) {
		_cleanup_fd_ int fd =
			open(plan->layers[i], O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			return err_errno(err, errno, "cannot open the layer '%s'", plan->layers[i]);
		if (mnt_clone(fd, false, &s->layer[i], err) < 0)
			return err_prefix(err, "cannot show the layer '%s'", plan->layers[i]);
	}
	return 0;
}

static int open_all(struct arena *a, const struct plan *plan, struct sources *s, struct err *err)
{
	for (size_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *step = &plan->mounts[i];

		if (step->kind != MOUNT_BIND || step->from_env)
			continue;
		if (open_step(a, plan, step, &s->step[i], err) < 0)
			return source_failed(step, err);
	}
	return 0;
}

/* Room for all, and nothing opened yet. */
static struct sources none_of(const struct plan *plan, size_t n_steps)
{
	struct sources s = {.n = n_steps, .base = -1};
	size_t n = 0;

	while (plan->layers[n])
		n++;
	s.step = xcalloc(s.n + 1, sizeof(*s.step));
	s.layer = xcalloc(n + 1, sizeof(*s.layer));
	for (size_t i = 0; i < s.n; i++)
		s.step[i] = -1;
	for (size_t i = 0; i <= n; i++)
		s.layer[i] = -1;
	return s;
}

int sources_open_root(const struct plan *plan, struct sources *ret, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct sources s = none_of(plan, 0);

	if (clone_base(a, plan, &s, err) < 0 ||
	    (s.base >= 0 && mnt_restrict(s.base, MOUNT_ATTR_RDONLY, true, err) < 0) ||
	    clone_layers(plan, &s, err) < 0) {
		sources_done(&s);
		return -1;
	}
	*ret = s;
	return 0;
}

int sources_open(const struct plan *plan, struct sources *ret, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct sources s = none_of(plan, plan->n_mounts);

	if (open_all(a, plan, &s, err) < 0 || clone_base(a, plan, &s, err) < 0 ||
	    clone_layers(plan, &s, err) < 0) {
		sources_done(&s);
		return -1;
	}
	*ret = s;
	return 0;
}

/* One message: which steps its descriptors are of. */
struct batch {
	uint32_t n;
	uint32_t last; /* no other follows */
	uint32_t step[PROC_MAX_FDS];
};

int sources_send(const struct sources *s, int sock)
{
	struct batch batch = {0};
	int fds[PROC_MAX_FDS];
	size_t i = 0;

	while (!batch.last) {
		for (batch.n = 0; i < s->n && batch.n < PROC_MAX_FDS; i++) {
			if (s->step[i] < 0)
				continue;
			fds[batch.n] = s->step[i];
			batch.step[batch.n++] = (uint32_t)i;
		}
		batch.last = i == s->n;
		if (proc_send(sock, &batch, sizeof(batch), fds, batch.n) < 0)
			return -1;
	}
	return 0;
}

/* One message; -1 with errno. */
static int receive_batch(int sock, struct sources *s, bool *ret_last)
{
	struct batch batch = {0};
	int fds[PROC_MAX_FDS];
	size_t n = 0;
	ssize_t got = proc_recv(sock, &batch, sizeof(batch), fds, &n);
	bool good = got == (ssize_t)sizeof(batch) && batch.n == n;

	for (size_t i = 0; i < n; i++) {
		good = good && batch.step[i] < s->n && s->step[batch.step[i]] < 0;
		if (good)
			s->step[batch.step[i]] = fds[i];
		else
			(void)close(fds[i]);
	}
	*ret_last = batch.last != 0;
	if (!good)
		errno = got < 0 ? errno : EPROTO;
	return good ? 0 : -1;
}

int sources_receive(const struct plan *plan, int sock, struct sources *ret)
{
	struct sources s = none_of(plan, plan->n_mounts);
	bool last = false;

	while (!last) {
		if (receive_batch(sock, &s, &last) < 0) {
			sources_done(&s);
			return -1;
		}
	}
	*ret = s;
	return 0;
}

void sources_done(struct sources *s)
{
	/* A zeroed one was never opened. */
	if (!s || !s->step)
		return;
	for (size_t i = 0; i < s->n; i++)
		cleanup_fd(&s->step[i]);
	for (int *layer = s->layer; *layer >= 0; layer++)
		cleanup_fd(layer);
	cleanup_fd(&s->base);
	free(s->step);
	free(s->layer);
	*s = (struct sources){0};
}
