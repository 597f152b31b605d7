#include "store/fsck.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/tag.h"

#define INFO_FILE "layer.json"
#define OTHER_TREE LAYER_TREE "-"
#define SHORT 12 /* digits of a digest in a text */

void findings_add(struct findings *f, const struct finding *finding)
{
	struct finding *to;

	if (f->n == f->cap) {
		struct finding *v;

		f->cap = f->cap ? f->cap * 2 : 16;
		v = arena_alloc(f->a, f->cap * sizeof(*v));
		if (f->n > 0)
			memcpy(v, f->v, f->n * sizeof(*v));
		f->v = v;
	}
	to = &f->v[f->n++];
	to->kind = finding->kind;
	to->name = arena_strdup(f->a, finding->name);
	to->tree = arena_strdup(f->a, finding->tree);
	to->what = arena_strdup(f->a, finding->what);
	to->hint = arena_strdup(f->a, finding->hint);
}

static void add_layer(struct findings *f, const char *digest, const char *what)
{
	findings_add(f, &(struct finding){.kind = FSCK_LAYER, .name = digest, .what = what});
}

static void add_job(struct arena *a, struct fsck_jobs *jobs, const struct fsck_job *job)
{
	if (jobs->n == jobs->cap) {
		struct fsck_job *v;

		jobs->cap = jobs->cap ? jobs->cap * 2 : 16;
		v = arena_alloc(a, jobs->cap * sizeof(*v));
		if (jobs->n > 0)
			memcpy(v, jobs->v, jobs->n * sizeof(*v));
		jobs->v = v;
	}
	jobs->v[jobs->n++] = *job;
}

/* What is in the folder of the layer: its trees, and nothing that does not belong there. */
static int look_inside(int layer_fd, const struct layer_info *info, struct findings *f,
		       struct fsck_jobs *jobs, struct err *err)
{
	_cleanup_fd_ int fd = openat(layer_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const char *digest = arena_strdup(f->a, info->digest);
	struct fsck_job job = {.digest = digest, .tar_size = info->tar_size};
	const struct dirent *entry;
	bool tree = false;

	if (!d)
		return err_errno(err, errno, "cannot list the layer %s", digest);
	(void)TAKE_FD(fd);
	while ((errno = 0, entry = readdir(d)) != NULL) {
		const char *name = entry->d_name;

		job.main = str_eq(name, LAYER_TREE);
		tree |= job.main;
		if (job.main || str_starts(name, OTHER_TREE)) {
			job.tree = arena_strdup(f->a, name);
			job.map = job.main ? info->map : job.tree + strlen(OTHER_TREE);
			add_job(f->a, jobs, &job);
		} else if (name[0] != '.' && !str_eq(name, INFO_FILE) &&
			   !str_eq(name, LAYER_SKELETON)) {
			add_layer(f, digest,
				  arena_printf(f->a, "'%s' does not belong there", name));
		}
	}
	if (errno)
		return err_errno(err, errno, "cannot list the layer %s", digest);
	if (!tree)
		add_layer(f, digest, "its folder '" LAYER_TREE "' is missing");
	return 0;
}

int fsck_layers(const struct store *s, struct findings *f, struct fsck_jobs *ret, struct err *err)
{
	char **digests = NULL;
	size_t n = 0;

	if (layer_list(f->a, s, &digests, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		_cleanup_fd_ int fd = -1;
		struct layer_info info;
		struct err why = {0};

		if (layer_open(f->a, s, digests[i], &fd, &info, &why) < 0) {
			const char *path = arena_printf(f->a, "layers/%s", digests[i]);

			/* Unless gc was here meanwhile. */
			if (faccessat(s->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
				add_layer(f, digests[i], why.msg);
			continue;
		}
		if (look_inside(fd, &info, f, ret, err) < 0)
			return -1;
	}
	return 0;
}

/* Why the layer cannot be used; NULL where nothing was found. */
static const char *lacks(const struct store *s, const struct findings *f, const struct commit *c)
{
	const char *path = arena_printf(f->a, "layers/%s", c->digest);

	for (size_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->v[i];

		if (x->kind == FSCK_LAYER && !x->tree && str_eq(x->name, c->digest))
			return "is damaged";
		if (x->kind == FSCK_LAYER && str_eq(x->name, c->digest) && str_eq(x->tree, c->tree))
			return "is damaged";
	}
	if (faccessat(s->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return "is not there";
	return NULL;
}

/* The lowest layer of the chain that is not right; chain->n where all are. */
static size_t first_bad(const struct store *s, const struct findings *f, const struct chain *c,
			const char **ret_why)
{
	for (size_t i = 0; i < c->n; i++) {
		*ret_why = lacks(s, f, &c->v[i]);
		if (*ret_why)
			return i;
	}
	return c->n;
}

/* Did a command change it since it was read?  What it needed then may be gone by now. */
static bool has_changed(const struct store *s, const struct env *e, struct findings *f)
{
	struct env now = {.fd = -1};
	struct err why = {0};
	bool same;

	if (env_open_id(f->a, s, e->id, &now, &why) < 0)
		return why.errnum == ENOENT;
	same = now.upper_n == e->upper_n && now.chain.n == e->chain.n && !now.stage == !e->stage;
	env_done(&now);
	return !same;
}

static void check_env(const struct store *s, const struct env *e, struct findings *f)
{
	_cleanup_buf_ struct buf where = {0};
	const char *why = NULL;
	size_t bad = first_bad(s, f, &e->chain, &why);
	struct finding x = {.kind = FSCK_ENVIRONMENT, .name = e->id};

	if (bad < e->chain.n && !has_changed(s, e, f)) {
		str_shell_quote(&where, e->project);
		x.what = arena_printf(f->a, "its layer %.*s (%s) %s", SHORT, e->chain.v[bad].digest,
				      e->chain.v[bad].message, why);
		x.hint = arena_printf(
			f->a, "sbx reset -C %s -e %s %.*s goes back to what lies below", where.p,
			e->name, SHORT, bad > 0 ? e->chain.v[bad - 1].digest : "base");
		findings_add(f, &x);
	}
	if (!e->stage &&
	    faccessat(s->fd, arena_printf(f->a, "envs/%s/%s", e->id, e->upper), F_OK,
		      AT_SYMLINK_NOFOLLOW) < 0 &&
	    !has_changed(s, e, f)) {
		x.what = arena_printf(f->a, "its folder '%s' is missing", e->upper);
		x.hint = "what was not committed is lost; the next start makes an empty one";
		findings_add(f, &x);
	}
}

static void check_tag(const struct store *s, const struct tag *t, struct findings *f)
{
	struct finding x = {.kind = FSCK_TAG, .name = t->name};
	const char *why = NULL;
	struct chain any = t->chain;
	size_t bad;

	/* A tag's layers are wanted in whatever map: tree/ it is. */
	for (size_t i = 0; i < any.n; i++)
		any.v[i].tree = LAYER_TREE;
	bad = first_bad(s, f, &any, &why);
	if (bad == any.n)
		return;
	x.what = arena_printf(f->a, "its layer %.*s (%s) %s", SHORT, any.v[bad].digest,
			      any.v[bad].message, why);
	x.hint = arena_printf(f->a, "sbx tag -d %s forgets it", t->name);
	findings_add(f, &x);
}

static void tell_damaged(const struct root_damage *d, struct findings *f)
{
	struct finding x = {.name = d->name, .what = d->why};

	switch (d->kind) {
	case ROOT_ENVIRONMENT:
		x.kind = FSCK_ENVIRONMENT;
		x.hint = "move its folder out of the store";
		break;
	case ROOT_TAG:
		x.kind = FSCK_TAG;
		x.hint = arena_printf(f->a, "sbx tag -d %s forgets it", d->name);
		break;
	case ROOT_IMAGE:
		x.kind = FSCK_IMAGE;
		x.hint = "get it again, or forget it: sbx images -d REF";
		break;
	}
	findings_add(f, &x);
}

void fsck_roots(const struct store *s, const struct roots *roots, struct findings *f)
{
	for (size_t i = 0; i < roots->damaged.n; i++)
		tell_damaged(&roots->damaged.v[i], f);
	for (size_t i = 0; i < roots->n_envs; i++)
		check_env(s, &roots->envs[i], f);
	for (size_t i = 0; i < roots->n_tags; i++)
		check_tag(s, &roots->tags[i], f);
}

static int sync_folder(const struct store *s, const char *name, struct err *err)
{
	_cleanup_fd_ int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return err_errno(err, errno, "cannot write '%s' to the disk", name);
	return 0;
}

/* 1: it was moved. */
static int put_aside(const struct store *s, const struct finding *x, struct arena *a, long long now,
		     struct err *err)
{
	bool blob = x->kind == FSCK_BLOB;
	const char *from = arena_printf(a, "%s/%s", blob ? "blobs" : "layers", x->name);
	const char *to =
		arena_printf(a, FSCK_QUARANTINE "/%s%s-%lld", blob ? "blob-" : "", x->name, now);

	if ((x->kind != FSCK_LAYER && !blob) || x->tree)
		return 0;
	if (renameat(s->fd, from, s->fd, to) == 0)
		return 1;
	if (errno == ENOENT) /* more than one finding of the same */
		return 0;
	return err_errno(err, errno, "cannot put the %s %s aside", blob ? "blob" : "layer",
			 x->name);
}

int fsck_quarantine(const struct store *s, const struct findings *f, struct fsck_aside *ret,
		    struct err *err)
{
	_cleanup_fd_ int lock = -1;
	long long now = (long long)time(NULL);
	struct fsck_aside n = {0};

	if (layer_lock(s, true, &lock, err) < 0)
		return -1;
	if (mkdirat(s->fd, FSCK_QUARANTINE, 0700) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make '%s/%s'", s->dir, FSCK_QUARANTINE);
	for (size_t i = 0; i < f->n; i++) {
		int moved = put_aside(s, &f->v[i], f->a, now, err);

		if (moved < 0)
			return -1;
		if (f->v[i].kind == FSCK_BLOB)
			n.blobs += (size_t)moved;
		else
			n.layers += (size_t)moved;
	}
	*ret = n;
	if (sync_folder(s, FSCK_QUARANTINE, err) < 0 || sync_folder(s, "blobs", err) < 0)
		return -1;
	return sync_folder(s, "layers", err);
}

int fsck_drop_trees(const struct store *s, const struct findings *f, const char *map,
		    struct err *err)
{
	for (size_t i = 0; i < f->n; i++) {
		const struct finding *x = &f->v[i];
		unsigned long long r = 0;

		if (!x->tree || !str_eq(x->tree, arena_printf(f->a, OTHER_TREE "%s", map)))
			continue;
		if (getrandom(&r, sizeof(r), 0) < 0)
			return err_errno(err, errno, "cannot get random bytes");
		if (renameat(s->fd, arena_printf(f->a, "layers/%s/%s", x->name, x->tree), s->fd,
			     arena_printf(f->a, "tmp/gone-tree-%016llx", r)) < 0 &&
		    errno != ENOENT)
			return err_errno(err, errno, "cannot remove '%s' of the layer %s", x->tree,
					 x->name);
	}
	return 0;
}
