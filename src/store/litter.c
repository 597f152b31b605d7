#include "store/litter.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "store/env.h"
#include "store/layer.h"
#include "store/roots.h"
#include "store/tree.h"

#define STAGE_PREFIX "layer-" /* layer_stage_make */

void litter_done(struct litter *l)
{
	if (!l)
		return;
	for (size_t i = 0; i < l->n; i++)
		cleanup_fd(&l->fds[i]);
	l->n = 0;
}

/* "new-ID-PID-RANDOM": an environment that is being made. */
static bool is_being_made(const char *name)
{
	const char *end = strrchr(name, '-');
	const char *from = end;
	char digits[24];
	uint64_t pid;

	if (!str_starts(name, "new-") || !end)
		return false;
	while (from > name && from[-1] != '-')
		from--;
	if ((size_t)(end - from) >= sizeof(digits))
		return false;
	memcpy(digits, from, (size_t)(end - from));
	digits[end - from] = '\0';
	if (num_u64(digits, 1, INT32_MAX, &pid, NULL) < 0)
		return false;
	return kill((pid_t)pid, 0) == 0 || errno != ESRCH;
}

/* Lock it, if nobody has; *ret_fd -1 where it is no folder.  1: it is litter. */
static int try_lock(int tmp_fd, const char *name, int *ret_fd)
{
	_cleanup_fd_ int fd = openat(tmp_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	struct stat now;

	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP;
	if (is_being_made(name) || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return 0;
	/* It may have been renamed to its place in between. */
	if (fstat(fd, &st) < 0 || fstatat(tmp_fd, name, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_ino != now.st_ino)
		return 0;
	*ret_fd = TAKE_FD(fd);
	return 1;
}

static void add(struct arena *a, struct litter *l, const char *name, int fd)
{
	if (!l->names) {
		l->names = arena_alloc(a, LITTER_MAX * sizeof(*l->names));
		l->fds = arena_alloc(a, LITTER_MAX * sizeof(*l->fds));
	}
	l->names[l->n] = arena_strdup(a, name);
	l->fds[l->n] = fd;
	l->n++;
}

static int list(struct arena *a, const struct store *s, struct litter *l, struct err *err)
{
	_cleanup_fd_ int fd = openat(s->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d)
		return err_errno(err, errno, "cannot list '%s/tmp'", s->dir);
	(void)TAKE_FD(fd);
	while (l->n < LITTER_MAX && (errno = 0, entry = readdir(d)) != NULL) {
		_cleanup_fd_ int locked = -1;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (try_lock(dirfd(d), entry->d_name, &locked))
			add(a, l, entry->d_name, TAKE_FD(locked));
	}
	return l->n < LITTER_MAX && errno ? err_errno(err, errno, "cannot list '%s/tmp'", s->dir)
					  : 0;
}

/* Take what is pending out of the list: it is looked for after the locks were had, so that a commit which
 * has just let go of one is seen. */
static int spare_pending(struct arena *a, const struct store *s, struct litter *l, struct err *err)
{
	struct roots roots;
	size_t n = 0;

	if (roots_read(a, s, &roots, err) < 0)
		return -1;
	for (size_t i = 0; i < l->n; i++) {
		bool staged = str_starts(l->names[i], STAGE_PREFIX);

		/* Where an environment cannot be read, nobody knows what is pending. */
		if ((staged && roots.damaged.n > 0) || strv_contains(&roots.pending, l->names[i])) {
			cleanup_fd(&l->fds[i]);
			continue;
		}
		l->names[n] = l->names[i];
		l->fds[n] = l->fds[i];
		n++;
	}
	l->n = n;
	return 0;
}

int litter_find(struct arena *a, const struct store *s, struct litter *ret, struct err *err)
{
	struct litter l = {0};

	if (list(a, s, &l, err) < 0 || (l.n > 0 && spare_pending(a, s, &l, err) < 0)) {
		litter_done(&l);
		return -1;
	}
	*ret = l;
	return 0;
}

int litter_remove(const struct store *s, const struct litter *l, uint64_t *ret_bytes,
		  struct err *err)
{
	_cleanup_fd_ int tmp_fd = openat(s->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint64_t all = 0;
	int r = 0;

	if (tmp_fd < 0)
		return err_errno(err, errno, "cannot open '%s/tmp'", s->dir);
	for (size_t i = 0; i < l->n; i++) {
		uint64_t bytes = 0;
		struct err why = {0};

		if (ret_bytes && tree_usage(tmp_fd, l->names[i], &bytes, &why) == 0)
			all += bytes;
		/* One that cannot be removed does not keep the others. */
		why = (struct err){0};
		if (fs_remove_tree_at(tmp_fd, l->names[i], &why) < 0 && r == 0) {
			if (err)
				*err = why;
			r = err_prefix(err, "%s/tmp", s->dir);
		}
	}
	if (ret_bytes)
		*ret_bytes = all;
	return r;
}
