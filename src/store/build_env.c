#include "store/build_env.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/env_record.h"

static const char *new_id(struct arena *a)
{
	unsigned long long r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) < 0)
		r = (unsigned long long)time(NULL);
	return arena_printf(a, "build-%ld-%016llx", (long)getpid(), r);
}

static int make_parts(int fd, const struct env *e)
{
	if (mkdirat(fd, e->upper, 0755) < 0 || mkdirat(fd, "work", 0700) < 0 ||
	    mkdirat(fd, "run", 0700) < 0)
		return -1;
	/* It shows as "/" inside, whatever the umask is. */
	return fchmodat(fd, e->upper, 0755, 0);
}

int build_env_make(struct arena *a, const struct store *s, const struct chain *chain,
		   struct env *ret, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct env e = {
		.id = new_id(a),
		.name = "build",
		.rung = -1,
		.created = (int64_t)time(NULL),
		.chain = *chain,
		.below = chain->n,
		.upper_n = 1,
		.upper = env_upper_name(a, 1),
	};
	const char *name = arena_printf(a, "tmp/%s", e.id);

	e.dir = arena_printf(a, "%s/%s", s->dir, name);
	e.project = e.dir;
	if (mkdirat(s->fd, name, 0700) < 0) {
		err_errno(err, errno, "cannot make '%s'", e.dir);
		return store_hint(err);
	}
	fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* Whoever swept in between has taken it for litter, and it is gone. */
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_errno(err, errno, "cannot open '%s'", e.dir);
	if (make_parts(fd, &e) < 0) {
		err_errno(err, errno, "cannot make '%s'", e.dir);
		return store_hint(err);
	}
	if (env_record_write(fd, &e, err) < 0)
		return store_hint(err);
	e.fd = TAKE_FD(fd);
	*ret = e;
	return 0;
}

void build_env_remove(const struct store *s, struct env *e)
{
	_cleanup_fd_ int tmp = -1;

	if (!e->id || e->fd < 0)
		return;
	tmp = openat(s->fd, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (tmp >= 0)
		(void)fs_remove_tree_at(tmp, e->id, NULL);
	env_done(e);
}
