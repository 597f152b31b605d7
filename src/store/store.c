#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"
#include "store/dirs.h"
#include "store/env.h"

/* The form of the whole store; raised only when an older sbx would do harm in it. */
#define STORE_VERSION 2

int store_hint(struct err *err)
{
	if (!err)
		return -1;
	switch (err->errnum) {
	case EROFS:
	case EACCES:
	case EPERM:
		return err_hint(err, "make the folder writable for you, or set XDG_DATA_HOME to a "
				     "folder that is");
	case ENOSPC:
	case EDQUOT:
		return err_hint(err,
				"free some space ('sbx gc' removes what nothing needs, 'sbx du' "
				"shows what there is), or set "
				"XDG_DATA_HOME to a folder on another filesystem");
	case ENOTSUP:
		return err_hint(err,
				"the store needs a filesystem with user attributes (user.*): set "
				"XDG_DATA_HOME to a folder on one");
	case ENOTDIR:
	case EEXIST:
		return err_hint(err, "move away what is in the way, or set XDG_DATA_HOME to "
				     "another folder");
	default:
		return -1;
	}
}

/* What runs inside may hold setuid files and secrets: nobody else may reach, let alone change it. */
static int check_owner(int fd, const char *dir, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot look at the store '%s'", dir);
	if (st.st_uid != geteuid()) {
		err_set(err, "cannot use the store '%s': it belongs to user %u, you are user %u",
			dir, (unsigned)st.st_uid, (unsigned)geteuid());
		return err_hint(err, "set XDG_DATA_HOME to a folder of your own; under sudo, use "
				     "'sudo -H' or leave sudo out: sbx needs no root");
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		err_set(err, "cannot use the store '%s': others may write to it (mode %04o)", dir,
			(unsigned)st.st_mode & 07777U);
		return err_hint(err, "see that nobody has changed it, then run: chmod 700 '%s'",
				dir);
	}
	if ((st.st_mode & 0777U) != 0700U && fchmod(fd, 0700) < 0) {
		err_errno(err, errno, "cannot make the store '%s' private", dir);
		return store_hint(err);
	}
	return 0;
}

static int make_folders(int fd, const char *dir, struct err *err)
{
	static const char *const names[] = {"envs",  "tmp",           "allow",  "layers", "tags",
					    "blobs", "blobs/partial", "images", "cache",  "forms"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (mkdirat(fd, names[i], 0700) < 0 && errno != EEXIST) {
			err_errno(err, errno, "cannot make '%s/%s'", dir, names[i]);
			return store_hint(err);
		}
	}
	return 0;
}

static int check_version(int fd, const char *dir, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	struct err why = {0};
	uint64_t version;

	if (fs_read_at(fd, "version", 64, &text, &why) < 0) {
		static const char first[] = "2\n";

		if (why.errnum != ENOENT)
			return err_errno(err, why.errnum, "cannot read '%s/version'", dir);
		if (fs_write_atomic(fd, "version", first, sizeof(first) - 1, 0600, err) < 0)
			return store_hint(err);
		return 0;
	}
	if (num_u64(str_trim(text.p ? text.p : (char[]){""}), 1, UINT32_MAX, &version, NULL) < 0) {
		err_set(err, "cannot use the store '%s': its file 'version' is damaged", dir);
		return err_hint(err, "write the line '%d' into '%s/version'", STORE_VERSION, dir);
	}
	if (version < STORE_VERSION) {
		err_set(err, "cannot use the store '%s': an sbx that knew no layers made it", dir);
		return err_hint(err, "move it away: what was installed in it has to be once more");
	}
	if (version > STORE_VERSION) {
		err_set(err,
			"cannot use the store '%s': it has version %llu, this sbx knows up to %d",
			dir, (unsigned long long)version, STORE_VERSION);
		return err_hint(err, "use the newer sbx that made it, or set XDG_DATA_HOME to "
				     "another folder");
	}
	return 0;
}

static int open_dir(const char *dir, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		if (fs_mkdirs(dir, 0700, err) < 0)
			return store_hint(err);
		fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (fd < 0) {
		err_errno(err, errno, "cannot open the store '%s'", dir);
		return store_hint(err);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int store_open(struct arena *a, struct store *ret, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_free_ char *real = NULL;
	const char *data;
	const char *dir;

	if (dirs_data(a, &data, err) < 0)
		return -1;
	dir = path_join(a, data, "sbx");
	if (open_dir(dir, &fd, err) < 0)
		return -1;
	/* Without a link in its path, as the paths of projects are, with which it is compared. */
	real = realpath(dir, NULL);
	if (!real)
		return err_errno(err, errno, "cannot tell where the store '%s' is", dir);
	dir = arena_strdup(a, real);
	if (check_owner(fd, dir, err) < 0 || check_version(fd, dir, err) < 0 ||
	    make_folders(fd, dir, err) < 0)
		return -1;
	ret->dir = dir;
	ret->fd = TAKE_FD(fd);
	return 0;
}

void store_done(struct store *s)
{
	/* A zeroed one was never opened: its fd is not ours. */
	if (!s || !s->dir)
		return;
	cleanup_fd(&s->fd);
	s->dir = NULL;
}
