#include "store/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "store/env.h"
#include "store/layer.h"

int pin_make(const struct store *s, struct pin *ret, struct err *err)
{
	struct pin p = {.store = s, .fd = -1};

	if (stage_make(s, "pin", p.name, &p.fd, err) < 0)
		return -1;
	*ret = p;
	return 0;
}

int pin_add(const struct pin *p, const char *hex, struct err *err)
{
	_cleanup_fd_ int lock = -1;
	_cleanup_fd_ int fd = -1;

	if (!layer_is_digest(hex))
		return err_set(err, "cannot keep '%s': it is no digest", hex);
	if (layer_lock(p->store, false, &lock, err) < 0)
		return -1;
	fd = openat(p->fd, hex, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		err_errno(err, errno, "cannot make 'tmp/%s/%s'", p->name, hex);
		return store_hint(err);
	}
	return 0;
}

bool pin_is_held(const struct store *s, const char *name)
{
	_cleanup_free_ char *path = xasprintf("tmp/%s", name);
	_cleanup_fd_ int fd = -1;

	if (fs_open_beneath(s->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, NULL) < 0)
		return false;
	return flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

void pin_done(const struct store *s, struct pin *p)
{
	_cleanup_free_ char *path = NULL;

	if (!p || !p->store)
		return;
	path = xasprintf("tmp/%s", p->name);
	/* Where that fails it is litter, as soon as it is not locked. */
	(void)fs_remove_tree_at(s->fd, path, NULL);
	cleanup_fd(&p->fd);
	p->store = NULL;
}
