#include "store/gc.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/gc_blobs.h"
#include "store/layer.h"

int gc_sweep(struct arena *a, const struct store *s, const char *folder, const char *digest,
	     struct err *err)
{
	unsigned long long r = 0;
	const char *from = arena_printf(a, "%s/%s", folder, digest);
	const char *to;

	if (getrandom(&r, sizeof(r), 0) < 0)
		return err_errno(err, errno, "cannot get random bytes");
	to = arena_printf(a, "tmp/gone-%.12s-%016llx", digest, r);
	if (renameat(s->fd, from, s->fd, to) < 0) {
		err_errno(err, errno, "cannot remove '%s/%s'", s->dir, from);
		return store_hint(err);
	}
	return 0;
}

static bool is_needed(const struct roots *r, unsigned how, const char *digest)
{
	return roots_need(r, digest) ||
	       (!(how & GC_ALL) && (roots_left(r, digest) || roots_cached(r, digest)));
}

int gc_layers(struct arena *a, const struct store *s, unsigned how, struct gc_result *ret,
	      struct err *err)
{
	_cleanup_fd_ int lock = -1;
	struct gc_result r = {0};
	struct strv gone = {0};
	char **all = NULL;
	size_t n = 0;

	if (layer_lock(s, true, &lock, err) < 0 || roots_read(a, s, &r.roots, err) < 0 ||
	    layer_list(a, s, &all, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n && r.roots.damaged.n == 0; i++) {
		if (is_needed(&r.roots, how, all[i]))
			continue;
		if (!(how & GC_DRY_RUN) && gc_sweep(a, s, "layers", all[i], err) < 0)
			return -1;
		strv_push(a, &gone, all[i]);
	}
	r.layers = gone.v;
	r.n = gone.n;
	if (r.roots.damaged.n == 0 && gc_blobs(a, s, how, &r, err) < 0)
		return -1;
	*ret = r;
	return 0;
}

int gc_forget(struct arena *a, const struct store *s, const struct strv *layers,
	      const struct strv *blobs, struct err *err)
{
	_cleanup_fd_ int lock = -1;
	struct gc_result r = {0};

	if (layers->n == 0 && blobs->n == 0)
		return 0;
	if (layer_lock(s, true, &lock, err) < 0 || roots_read(a, s, &r.roots, err) < 0)
		return -1;
	if (r.roots.damaged.n > 0)
		return 0;
	for (size_t i = 0; i < layers->n; i++) {
		const char *path = arena_printf(a, "layers/%s", layers->v[i]);

		if (is_needed(&r.roots, 0, layers->v[i]) ||
		    faccessat(s->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (gc_sweep(a, s, "layers", layers->v[i], err) < 0)
			return -1;
	}
	return gc_forget_blobs(a, s, &r, blobs, err);
}

/* ".NAME.RANDOM.tmp", as fs_write_atomic makes them. */
static bool is_temp(const char *name)
{
	return name[0] == '.' && str_ends(name, ".tmp") && strlen(name) > 21;
}

static int remove_temps(int dir_fd, const char *name, bool dry_run, size_t *n, struct err *err)
{
	_cleanup_fd_ int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct stat st;

	if (!d)
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : err_errno(err, errno, "cannot list '%s'", name);
	(void)TAKE_FD(fd);
	while ((errno = 0, entry = readdir(d)) != NULL) {
		if (!is_temp(entry->d_name) ||
		    fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISREG(st.st_mode) || st.st_mtim.tv_sec > time(NULL) - GC_TEMP_AGE)
			continue;
		if (!dry_run && unlinkat(dirfd(d), entry->d_name, 0) < 0 && errno != ENOENT)
			return err_errno(err, errno, "cannot remove '%s/%s'", name, entry->d_name);
		(*n)++;
	}
	return errno ? err_errno(err, errno, "cannot list '%s'", name) : 0;
}

int gc_temps(const struct store *s, bool dry_run, size_t *ret_n, struct err *err)
{
	static const char *const folders[] = {".", "tags", "allow", "images", "cache", "forms"};
	_cleanup_fd_ int fd = openat(s->fd, "envs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *envs = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	size_t n = 0;

	if (!envs)
		return err_errno(err, errno, "cannot list '%s/envs'", s->dir);
	(void)TAKE_FD(fd);
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		if (remove_temps(s->fd, folders[i], dry_run, &n, err) < 0)
			return -1;
	}
	while ((errno = 0, entry = readdir(envs)) != NULL) {
		if (entry->d_name[0] != '.' &&
		    remove_temps(dirfd(envs), entry->d_name, dry_run, &n, err) < 0)
			return -1;
	}
	*ret_n = n;
	return 0;
}
