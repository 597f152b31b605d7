#include "store/gc_blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/gc.h"
#include "store/layer.h"
#include "store/record.h"

#define SUFFIX ".json"
#define CACHE_VERSION 1

/* The names in a folder of the store that are not hidden. */
static int names_in(struct arena *a, const struct store *s, const char *folder, struct strv *ret,
		    struct err *err)
{
	_cleanup_fd_ int fd =
		openat(s->fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d)
		return err_errno(err, errno, "cannot list '%s/%s'", s->dir, folder);
	(void)TAKE_FD(fd);
	while ((errno = 0, entry = readdir(d)) != NULL) {
		if (entry->d_name[0] != '.')
			strv_push(a, ret, entry->d_name);
	}
	return errno ? err_errno(err, errno, "cannot list '%s/%s'", s->dir, folder) : 0;
}

/* Is the layer there, and stays? */
static bool stays(struct arena *a, const struct store *s, const struct gc_result *r,
		  const char *digest)
{
	for (size_t i = 0; i < r->n; i++) {
		if (str_eq(r->layers[i], digest))
			return false;
	}
	return faccessat(s->fd, arena_printf(a, "layers/%s", digest), F_OK, AT_SYMLINK_NOFOLLOW) ==
	       0;
}

/* An image's layer needs its blob where that is all there is of it, whatever else is asked for. */
static bool is_needed(struct arena *a, const struct store *s, unsigned how,
		      const struct gc_result *r, const char *digest)
{
	if (roots_need_blob(&r->roots, digest))
		return true;
	for (size_t i = 0; i < r->roots.packed.n; i++) {
		const struct root_blob *p = &r->roots.packed.v[i];

		if (str_eq(p->blob, digest) && (!(how & GC_BLOBS) || !stays(a, s, r, p->layer)))
			return true;
	}
	return false;
}

static int sweep_blobs(struct arena *a, const struct store *s, unsigned how, struct gc_result *r,
		       struct err *err)
{
	struct strv gone = {0};
	struct strv all = {0};

	if (names_in(a, s, "blobs", &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++) {
		if (!layer_is_digest(all.v[i]) || is_needed(a, s, how, r, all.v[i]))
			continue;
		if (!(how & GC_DRY_RUN) && gc_sweep(a, s, "blobs", all.v[i], err) < 0)
			return -1;
		strv_push(a, &gone, all.v[i]);
	}
	r->blobs = gone.v;
	r->n_blobs = gone.n;
	return 0;
}

/* Who goes on with one has it locked (blob.h). */
static int sweep_partial(struct arena *a, const struct store *s, bool dry_run, struct gc_result *r,
			 struct err *err)
{
	struct strv gone = {0};
	struct strv all = {0};

	if (names_in(a, s, "blobs/partial", &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++) {
		const char *path = arena_printf(a, "blobs/partial/%s", all.v[i]);
		_cleanup_fd_ int fd = openat(s->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
			continue;
		if (!dry_run && unlinkat(s->fd, path, 0) < 0 && errno != ENOENT)
			return err_errno(err, errno, "cannot remove '%s/%s'", s->dir, path);
		strv_push(a, &gone, all.v[i]);
	}
	r->partial = gone.v;
	r->n_partial = gone.n;
	return 0;
}

/* forms/DIFFID.json: made again when the layer is. */
static int sweep_forms(struct arena *a, const struct store *s, const struct gc_result *r,
		       struct err *err)
{
	struct strv all = {0};

	if (names_in(a, s, "forms", &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++) {
		size_t n = strlen(all.v[i]);
		const char *digest;

		if (!str_ends(all.v[i], SUFFIX))
			continue;
		digest = arena_strndup(a, all.v[i], n - strlen(SUFFIX));
		if (!roots_need(&r->roots, digest) && !stays(a, s, r, digest))
			(void)unlinkat(s->fd, arena_printf(a, "forms/%s", all.v[i]), 0);
	}
	return 0;
}

/* The entries of the build cache whose layer is not there any more; with GC_ALL all of them. */
static int sweep_cache(struct arena *a, const struct store *s, unsigned how,
		       const struct gc_result *r, struct err *err)
{
	struct strv all = {0};

	if (names_in(a, s, "cache", &all, err) < 0)
		return -1;
	for (size_t i = 0; i < all.n; i++) {
		const char *path = arena_printf(a, "cache/%s", all.v[i]);
		json_auto_t *obj = NULL;
		struct err why = {0};
		const char *layer = NULL;

		if (record_load(s->fd, path, CACHE_VERSION, &obj, &why) == 0)
			layer = json_string_value(json_object_get(obj, "layer"));
		/* "empty" is a step that changed nothing. */
		if ((how & GC_ALL) || !layer || (layer_is_digest(layer) && !stays(a, s, r, layer)))
			(void)unlinkat(s->fd, path, 0);
	}
	return 0;
}

int gc_blobs(struct arena *a, const struct store *s, unsigned how, struct gc_result *r,
	     struct err *err)
{
	bool dry_run = how & GC_DRY_RUN;

	if (sweep_blobs(a, s, how, r, err) < 0 || sweep_partial(a, s, dry_run, r, err) < 0)
		return -1;
	if (dry_run)
		return 0;
	if (sweep_forms(a, s, r, err) < 0)
		return -1;
	return sweep_cache(a, s, how, r, err);
}

int gc_forget_blobs(struct arena *a, const struct store *s, const struct gc_result *r,
		    const struct strv *blobs, struct err *err)
{
	for (size_t i = 0; i < blobs->n; i++) {
		const char *path = arena_printf(a, "blobs/%s", blobs->v[i]);

		if (is_needed(a, s, 0, r, blobs->v[i]) ||
		    faccessat(s->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (gc_sweep(a, s, "blobs", blobs->v[i], err) < 0)
			return -1;
	}
	return 0;
}
