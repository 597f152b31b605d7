#include "store/roots.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/str.h"
#include "store/image.h"
#include "store/layer.h"
#include "store/pin.h"
#include "store/record.h"
#include "store/tag.h"

#define SUFFIX ".json"
#define CACHE_VERSION 1

/* The names in a folder of the store, sorted. */
static int list(struct arena *a, const struct store *s, const char *folder, struct strv *ret,
		struct err *err)
{
	_cleanup_fd_ int fd = openat(s->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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

static void damage(struct arena *a, struct roots *r, enum root_kind kind, const char *name,
		   const struct err *why)
{
	struct root_damage *v = arena_alloc(a, (r->damaged.n + 1) * sizeof(*v));

	if (r->damaged.n > 0)
		memcpy(v, r->damaged.v, r->damaged.n * sizeof(*v));
	v[r->damaged.n++] = (struct root_damage){kind, name, arena_strdup(a, why->msg)};
	r->damaged.v = v;
}

static void need_chain(struct arena *a, struct roots *r, const struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		strv_push(a, &r->layers, c->v[i].digest);
}

static void need_packed(struct arena *a, struct roots *r, const char *blob, const char *layer)
{
	struct root_blob *v = r->packed.v;

	if (r->packed.n == r->packed.cap) {
		r->packed.cap = r->packed.cap ? r->packed.cap * 2 : 16;
		v = arena_alloc(a, r->packed.cap * sizeof(*v));
		if (r->packed.n > 0)
			memcpy(v, r->packed.v, r->packed.n * sizeof(*v));
		r->packed.v = v;
	}
	v[r->packed.n++] = (struct root_blob){arena_strdup(a, blob), arena_strdup(a, layer)};
}

/* What a manifest names: -1 where it cannot be told. */
static int need_manifest(struct arena *a, const struct store *s, struct roots *r,
			 const char *manifest, struct err *err)
{
	struct image_info info;

	strv_push(a, &r->blobs, manifest);
	if (image_info(a, s, manifest, &info, err) < 0)
		return -1;
	strv_push(a, &r->blobs, info.manifest.config.digest);
	for (size_t i = 0; i < info.manifest.n; i++) {
		strv_push(a, &r->layers, info.config.diff_ids[i]);
		need_packed(a, r, info.manifest.layers[i].digest, info.config.diff_ids[i]);
	}
	return 0;
}

/* The image that it stands on is needed for a save or push that gives the same digests; its layers are in the chain. */
static void need_env_image(struct arena *a, const struct store *s, struct roots *r,
			   const struct env *e)
{
	struct err why = {0};

	if (e->image.ref)
		(void)need_manifest(a, s, r, e->image.manifest, &why);
}

static int read_envs(struct arena *a, const struct store *s, struct roots *r, struct err *err)
{
	struct strv ids = {0};

	if (list(a, s, "envs", &ids, err) < 0)
		return -1;
	r->envs = arena_alloc(a, (ids.n + 1) * sizeof(*r->envs));
	for (size_t i = 0; i < ids.n; i++) {
		struct env *e = &r->envs[r->n_envs];
		struct err why = {0};

		if (env_open_id(a, s, ids.v[i], e, &why) < 0) {
			/* Removed just now. */
			if (why.errnum != ENOENT)
				damage(a, r, ROOT_ENVIRONMENT, ids.v[i], &why);
			continue;
		}
		cleanup_fd(&e->fd);
		need_chain(a, r, &e->chain);
		need_env_image(a, s, r, e);
		for (size_t k = 0; k < e->previous.n; k++)
			strv_push(a, &r->left, e->previous.v[k].digest);
		if (e->stage) {
			strv_push(a, &r->pending, e->stage);
			strv_push(a, &r->layers, e->pending.digest);
		}
		r->n_envs++;
	}
	return 0;
}

static int read_tags(struct arena *a, const struct store *s, struct roots *r, struct err *err)
{
	struct strv files = {0};

	if (list(a, s, "tags", &files, err) < 0)
		return -1;
	r->tags = arena_alloc(a, (files.n + 1) * sizeof(*r->tags));
	for (size_t i = 0; i < files.n; i++) {
		struct tag *t = &r->tags[r->n_tags];
		size_t n = strlen(files.v[i]);
		struct err why = {0};
		char *name;

		if (!str_ends(files.v[i], SUFFIX))
			continue;
		name = arena_strndup(a, files.v[i], n - strlen(SUFFIX));
		if (tag_get(a, s, name, t, &why) < 0) {
			if (why.errnum != ENOENT)
				damage(a, r, ROOT_TAG, name, &why);
			continue;
		}
		need_chain(a, r, &t->chain);
		r->n_tags++;
	}
	return 0;
}

static int read_images(struct arena *a, const struct store *s, struct roots *r, struct err *err)
{
	struct strv files = {0};

	if (image_files(a, s, &files, err) < 0)
		return -1;
	r->images = arena_alloc(a, (files.n + 1) * sizeof(*r->images));
	for (size_t i = 0; i < files.n; i++) {
		struct image *image = &r->images[r->n_images];
		struct err why = {0};

		if (image_get_file(a, s, files.v[i], image, &why) < 0) {
			if (why.errnum != ENOENT)
				damage(a, r, ROOT_IMAGE, files.v[i], &why);
			continue;
		}
		r->n_images++;
		if (need_manifest(a, s, r, image->manifest, &why) < 0)
			damage(a, r, ROOT_IMAGE, image->ref, &why);
	}
	return 0;
}

/* What one of the build cache says; one that cannot be read is none. */
static int read_cache(struct arena *a, const struct store *s, struct roots *r, struct err *err)
{
	struct strv files = {0};

	if (list(a, s, "cache", &files, err) < 0)
		return -1;
	for (size_t i = 0; i < files.n; i++) {
		json_auto_t *obj = NULL;
		struct err why = {0};
		const char *layer;

		if (record_load(s->fd, arena_printf(a, "cache/%s", files.v[i]), CACHE_VERSION, &obj,
				&why) < 0)
			continue;
		layer = json_string_value(json_object_get(obj, "layer"));
		if (layer && layer_is_digest(layer))
			strv_push(a, &r->cached, layer);
	}
	return 0;
}

/* What commands at work keep: it may be a layer or a blob.  One that ends meanwhile has named it by a record. */
static int read_pins(struct arena *a, const struct store *s, struct roots *r, struct err *err)
{
	struct strv names = {0};

	if (list(a, s, "tmp", &names, err) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		struct strv pinned = {0};
		struct err why = {0};

		/* Of one that was killed nothing is kept, or it would take a second gc. */
		if (!str_starts(names.v[i], PIN_PREFIX) || !pin_is_held(s, names.v[i]) ||
		    list(a, s, arena_printf(a, "tmp/%s", names.v[i]), &pinned, &why) < 0)
			continue;
		for (size_t k = 0; k < pinned.n; k++) {
			strv_push(a, &r->layers, pinned.v[k]);
			strv_push(a, &r->blobs, pinned.v[k]);
		}
	}
	return 0;
}

static int compare(const void *p, const void *q)
{
	const char *const *a = p;
	const char *const *b = q;

	return strcmp(*a, *b);
}

/* Each once, in order. */
static void sort(struct strv *list)
{
	size_t n = 0;

	if (list->n == 0)
		return;
	qsort(list->v, list->n, sizeof(*list->v), compare);
	for (size_t i = 0; i < list->n; i++) {
		if (n == 0 || strcmp(list->v[n - 1], list->v[i]) != 0)
			list->v[n++] = list->v[i];
	}
	list->v[n] = NULL;
	list->n = n;
}

static bool has(const struct strv *list, const char *digest)
{
	return list->n > 0 && bsearch(&digest, list->v, list->n, sizeof(*list->v), compare) != NULL;
}

int roots_read(struct arena *a, const struct store *s, struct roots *ret, struct err *err)
{
	struct roots r = {0};

	/* The pins come first: who ends meanwhile has put a record before that. */
	if (read_pins(a, s, &r, err) < 0 || read_envs(a, s, &r, err) < 0 ||
	    read_tags(a, s, &r, err) < 0 || read_images(a, s, &r, err) < 0 ||
	    read_cache(a, s, &r, err) < 0)
		return -1;
	sort(&r.layers);
	sort(&r.blobs);
	sort(&r.cached);
	*ret = r;
	return 0;
}

bool roots_need(const struct roots *r, const char *digest)
{
	return has(&r->layers, digest);
}

bool roots_need_blob(const struct roots *r, const char *digest)
{
	return has(&r->blobs, digest);
}

bool roots_cached(const struct roots *r, const char *digest)
{
	return has(&r->cached, digest);
}

bool roots_left(const struct roots *r, const char *digest)
{
	return strv_contains(&r->left, digest) == 1;
}
