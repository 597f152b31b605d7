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
#include "store/tag.h"

#define TAG_SUFFIX ".json"

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

static void damage(struct arena *a, struct roots *r, bool is_tag, const char *name,
		   const struct err *why)
{
	struct root_damage *v = arena_alloc(a, (r->damaged.n + 1) * sizeof(*v));

	if (r->damaged.n > 0)
		memcpy(v, r->damaged.v, r->damaged.n * sizeof(*v));
	v[r->damaged.n++] = (struct root_damage){is_tag, name, arena_strdup(a, why->msg)};
	r->damaged.v = v;
}

static void need_chain(struct arena *a, struct roots *r, const struct chain *c)
{
	for (size_t i = 0; i < c->n; i++)
		strv_push(a, &r->layers, c->v[i].digest);
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
				damage(a, r, false, ids.v[i], &why);
			continue;
		}
		cleanup_fd(&e->fd);
		need_chain(a, r, &e->chain);
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

		if (!str_ends(files.v[i], TAG_SUFFIX))
			continue;
		name = arena_strndup(a, files.v[i], n - strlen(TAG_SUFFIX));
		if (tag_get(a, s, name, t, &why) < 0) {
			if (why.errnum != ENOENT)
				damage(a, r, true, name, &why);
			continue;
		}
		need_chain(a, r, &t->chain);
		r->n_tags++;
	}
	return 0;
}

static int compare(const void *p, const void *q)
{
	const char *const *a = p;
	const char *const *b = q;

	return strcmp(*a, *b);
}

int roots_read(struct arena *a, const struct store *s, struct roots *ret, struct err *err)
{
	struct roots r = {0};
	size_t n = 0;

	if (read_envs(a, s, &r, err) < 0 || read_tags(a, s, &r, err) < 0)
		return -1;
	if (r.layers.n > 0)
		qsort(r.layers.v, r.layers.n, sizeof(*r.layers.v), compare);
	for (size_t i = 0; i < r.layers.n; i++) {
		if (n == 0 || strcmp(r.layers.v[n - 1], r.layers.v[i]) != 0)
			r.layers.v[n++] = r.layers.v[i];
	}
	if (r.layers.v)
		r.layers.v[n] = NULL;
	r.layers.n = n;
	*ret = r;
	return 0;
}

bool roots_need(const struct roots *r, const char *digest)
{
	return r->layers.n > 0 &&
	       bsearch(&digest, r->layers.v, r->layers.n, sizeof(*r->layers.v), compare) != NULL;
}

bool roots_left(const struct roots *r, const char *digest)
{
	return strv_contains(&r->left, digest) == 1;
}
