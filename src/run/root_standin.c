/*
 * The stand-ins: the topmost lower of the root, a folder that gives what the base lacks and covers
 * what cannot be shown as it is.
 *
 * It is made once and kept in the environment (standin/NAME), for one boot and as long as the plan
 * and what it copies stay the same: NAME is the digest of all that.  It is a cache that nobody but
 * this file writes to, made under another name and renamed when it is whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"
#include "plan/plan.h"
#include "run/root.h"
#include "run/sandbox.h"

#define FOLDER "env/standin"
#define HALF_MADE "new"

/* Of the digest; enough to tell the few that one environment has. */
#define NAME_LEN 32

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

static int make_all(const struct plan *plan, int dir, int host, struct err *err)
{
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
			return err_errno(err, errno, "cannot make the stand-in '%s' in '%s'",
					 s->path, plan->env_dir);
		if (s->kind != STANDIN_LINK && fchmodat(dir, s->path + 1, st.st_mode, 0) < 0)
			return err_errno(err, errno, "cannot make the stand-in '%s' in '%s'",
					 s->path, plan->env_dir);
	}
	return 0;
}

/* Everything that what is made depends on. */
static void name_of(const struct plan *plan, int host, char ret_name[NAME_LEN + 1])
{
	_cleanup_buf_ struct buf key = {0};
	char hex[DIGEST_HEX + 1];

	/* After a power cut what was never synced may be half there.  A container may hide the id. */
	(void)fs_read_at(AT_FDCWD, "/proc/sys/kernel/random/boot_id", 128, &key, NULL);
	buf_printf(&key, "%d %u %u %u\n", (int)plan->rung, (unsigned)plan->root_owner,
		   (unsigned)sandbox_self_uid(plan), (unsigned)sandbox_self_gid(plan));
	for (size_t i = 0; i < plan->n_standins; i++) {
		const struct standin *s = &plan->standins[i];
		struct stat st = {0};

		buf_printf(&key, "%d %o %d %u %u ", (int)s->kind, (unsigned)s->mode, s->self,
			   (unsigned)s->uid, (unsigned)s->gid);
		buf_add(&key, s->path, strlen(s->path) + 1);
		if (s->data)
			buf_add(&key, s->data, strlen(s->data) + 1);
		if ((s->kind == STANDIN_COPY || s->kind == STANDIN_DIR) &&
		    fstatat(host, s->path + 1, &st, AT_SYMLINK_NOFOLLOW) == 0)
			buf_printf(&key, "%o %u %u", (unsigned)st.st_mode, (unsigned)st.st_uid,
				   (unsigned)st.st_gid);
		if (s->kind == STANDIN_COPY)
			buf_printf(&key, " %lld %lld.%09ld", (long long)st.st_size,
				   (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	}
	digest_sha256(key.p, key.len, hex);
	(void)snprintf(ret_name, NAME_LEN + 1, "%.*s", NAME_LEN, hex);
}

/* Whatever was kept so far makes room: the lock of the environment is ours. */
static int make_anew(const struct plan *plan, int host, const char *name, struct err *err)
{
	_cleanup_fd_ int env = open("env", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int all = -1;
	_cleanup_fd_ int dir = -1;

	if (env < 0)
		return err_errno(err, errno, "cannot open '%s'", plan->env_dir);
	if (fs_remove_tree_at(env, "standin", err) < 0)
		return -1;
	if (mkdirat(env, "standin", 0700) < 0)
		return err_errno(err, errno, "cannot make '%s/standin'", plan->env_dir);
	all = openat(env, "standin", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (all < 0 || mkdirat(all, HALF_MADE, 0755) < 0)
		return err_errno(err, errno, "cannot make '%s/standin'", plan->env_dir);
	dir = openat(all, HALF_MADE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return err_errno(err, errno, "cannot open '%s/standin'", plan->env_dir);
	if (make_all(plan, dir, host, err) < 0)
		return -1;
	if (renameat(all, HALF_MADE, all, name) < 0)
		return err_errno(err, errno, "cannot make '%s/standin/%s'", plan->env_dir, name);
	return 0;
}

int root_standins(const struct plan *plan, struct root_base *ret_base, struct err *err)
{
	_cleanup_fd_ int host = open(ROOT_BASE, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	char name[NAME_LEN + 1];
	struct stat st;

	if (host < 0)
		return err_errno(err, errno, "cannot open the base");
	name_of(plan, host, name);
	(void)snprintf(ret_base->standin, sizeof(ret_base->standin), FOLDER "/%s", name);
	if (lstat(ret_base->standin, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return make_anew(plan, host, name, err);
}
