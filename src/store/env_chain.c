#include "store/env_chain.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/env_kept.h"
#include "store/env_record.h"
#include "store/floating.h"
#include "store/layer_tree.h"

/* For all that goes wrong here. */
static int failed(const struct env *e, struct err *err)
{
	err_prefix(err, "environment '%s'", e->dir);
	return store_hint(err);
}

/* One that is litter from the start. */
#define UPPER_AWAY "upper.away"

static bool is_upper(const char *name)
{
	return str_starts(name, "upper.");
}

/* Call it for each upper folder but the current one; 0, or what it returned. */
static int each_stray(const struct env *e,
		      int (*fn)(const struct env *e, const char *name, struct err *err),
		      struct err *err)
{
	_cleanup_fd_ int fd = openat(e->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d)
		return err_errno(err, errno, "cannot list '%s'", e->dir);
	(void)TAKE_FD(fd);
	while ((errno = 0, entry = readdir(d)) != NULL) {
		int r = 0;

		if (is_upper(entry->d_name) && strcmp(entry->d_name, e->upper) != 0)
			r = fn(e, entry->d_name, err);
		if (r)
			return r;
	}
	return errno ? err_errno(err, errno, "cannot list '%s'", e->dir) : 0;
}

static int tell(const struct env *e, const char *name, struct err *err)
{
	(void)e;
	(void)name;
	(void)err;
	return 1;
}

bool env_is_settled(const struct env *e)
{
	struct err why = {0};

	return !e->stage && e->below == e->chain.n &&
	       faccessat(e->fd, e->upper, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	       each_stray(e, tell, &why) == 0;
}

static bool same_chain(const struct chain *x, const struct chain *y)
{
	if (x->n != y->n)
		return false;
	for (size_t i = 0; i < x->n; i++) {
		if (strcmp(x->v[i].digest, y->v[i].digest) != 0)
			return false;
	}
	return true;
}

int env_check_current(const struct env *e, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct env now = {.dir = e->dir};

	if (env_record_read(a, e->fd, &now, err) < 0)
		return -1;
	if (now.upper_n == e->upper_n && same_chain(&now.chain, &e->chain) &&
	    str_eq(now.stage, e->stage))
		return 0;
	return err_errno(err, ESTALE, "environment '%s' was changed just now", e->dir);
}

static int make_upper(const struct env *e, const char *name, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (mkdirat(e->fd, name, 0755) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make '%s'", name);
	fd = openat(e->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* It shows as "/" inside, and belongs to root from the first start on. */
	if (fd < 0 || fchmod(fd, 0755) < 0)
		return err_errno(err, errno, "cannot open '%s'", name);
	return 0;
}

static int remove_stray(const struct env *e, const char *name, struct err *err)
{
	return fs_remove_tree_at(e->fd, name, err);
}

void chain_add(struct arena *a, struct chain *chain, const struct commit *c)
{
	struct commit *v = arena_alloc(a, (chain->n + 1) * sizeof(*v));

	if (chain->n > 0)
		memcpy(v, chain->v, chain->n * sizeof(*v));
	v[chain->n] = *c;
	chain->v = v;
	chain->n++;
}

/* The next upper folder, with what stays uncommitted; the old one is left behind. */
static int carry_over(struct arena *a, const struct env *e, int stage_fd, struct err *err)
{
	const char *next = env_upper_name(a, e->upper_n + 1);
	_cleanup_fd_ int from = -1;
	_cleanup_fd_ int to = -1;

	if (make_upper(e, next, err) < 0)
		return -1;
	from = openat(e->fd, e->upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0)
		return errno == ENOENT ? 0 : err_errno(err, errno, "cannot open '%s'", e->upper);
	to = openat(e->fd, next, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (to < 0)
		return err_errno(err, errno, "cannot open '%s'", next);
	return env_kept_move(stage_fd, CHAIN_KEPT, from, to, err);
}

/* A folder becomes a layer's tree, unless it was moved before. */
static int move_tree(int from_fd, const char *from, int to_fd, const char *to, struct err *err)
{
	if (renameat(from_fd, from, to_fd, to) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot move '%s' into the layer", from);
	if (fsync(to_fd) < 0)
		return err_errno(err, errno, "cannot write the layer to the disk");
	return 0;
}

/* A folder that may become the tree of a layer for the map. */
struct tree_at {
	int fd; /* borrowed */
	const char *name;
	const char *map;
};

/*
 * The same layer was there before.  Where it has no tree for this map, it gets `tree` (which
 * may be gone already); else that is not needed.  Sets the tree of `c`.
 */
static int join_layer(struct arena *a, const struct store *s, const struct tree_at *tree,
		      struct commit *c, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct layer_info info;

	if (layer_open(a, s, c->digest, &fd, &info, err) < 0)
		return -1;
	c->tree = layer_tree_name(a, &info, tree->map);
	if (str_eq(info.map, tree->map) || faccessat(fd, c->tree, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return move_tree(tree->fd, tree->name, fd, c->tree, err);
}

/* The staging folder, with the upper as its tree, becomes the layer. */
static int publish(struct arena *a, const struct store *s, struct env *e, struct err *err)
{
	const char *path = arena_printf(a, "tmp/%s", e->stage);
	struct layer_stage st = {.name = e->stage, .fd = -1};
	const char *layer = arena_printf(a, "layers/%s", e->pending.digest);
	_cleanup_fd_ int fd = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool fresh;

	if (fd < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot open '%s'", path);
	if (fd >= 0 && carry_over(a, e, fd, err) < 0)
		return -1;
	if (faccessat(s->fd, layer, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return join_layer(a, s, &(struct tree_at){e->fd, e->upper, env_map_name(e)},
				  &e->pending, err);
	if (fd < 0)
		return err_errno(err, ENOENT, "cannot open '%s'", path);
	st.fd = fd;
	if (move_tree(e->fd, e->upper, fd, LAYER_TREE, err) < 0)
		return -1;
	(void)unlinkat(fd, CHAIN_KEPT, 0);
	return layer_publish(s, &st, e->pending.digest, &fresh, err);
}

/* Neither staging folder nor layer, and the upper is in its place: nothing had been moved. */
static bool can_roll_back(struct arena *a, const struct store *s, const struct env *e)
{
	const char *stage = arena_printf(a, "tmp/%s", e->stage);
	const char *layer = arena_printf(a, "layers/%s", e->pending.digest);

	return faccessat(s->fd, stage, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	       faccessat(s->fd, layer, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	       faccessat(e->fd, e->upper, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int roll_back(struct env *e, struct err *err)
{
	struct env next = *e;

	next.stage = NULL;
	if (env_record_write(e->fd, &next, err) < 0)
		return -1;
	*e = next;
	return 0;
}

/* From "pending" to the new chain.  Each step may have been done before. */
static int finish_pending(struct arena *a, const struct store *s, struct env *e, struct err *err)
{
	_cleanup_fd_ int lock = -1;
	struct env next;

	if (can_roll_back(a, s, e))
		return roll_back(e, err);
	if (layer_lock(s, false, &lock, err) < 0 || publish(a, s, e, err) < 0)
		return -1;
	next = *e;
	chain_add(a, &next.chain, &e->pending);
	next.upper_n++;
	next.upper = env_upper_name(a, next.upper_n);
	next.below = next.chain.n;
	next.stage = NULL;
	next.fuse = false;
	if (make_upper(e, next.upper, err) < 0 || env_record_write(e->fd, &next, err) < 0)
		return -1;
	*e = next;
	return 0;
}

/* The upper lies on the layers, too, that were committed while it ran. */
static int land(struct arena *a, const struct store *s, struct env *e, struct err *err)
{
	struct env next = *e;

	next.below = e->chain.n;
	if (floating_settle(a, s, e, err) < 0 || env_record_write(e->fd, &next, err) < 0)
		return -1;
	*e = next;
	return 0;
}

int env_settle(struct arena *a, const struct store *s, struct env *e, struct err *err)
{
	if (e->stage && finish_pending(a, s, e, err) < 0)
		return failed(e, err);
	if (e->below < e->chain.n && land(a, s, e, err) < 0)
		return failed(e, err);
	if (make_upper(e, e->upper, err) < 0 || each_stray(e, remove_stray, err) < 0)
		return failed(e, err);
	return 0;
}

int env_commit_upper(struct arena *a, const struct store *s, struct env *e,
		     const struct layer_stage *st, const struct commit *c, struct err *err)
{
	e->stage = st->name;
	e->pending = *c;
	e->pending.tree = LAYER_TREE;
	/* Failing, it may be written all the same (a disk that gives up between rename and sync): the
	 * staging folder has to stay. */
	if (env_record_write(e->fd, e, err) < 0)
		return failed(e, err);
	return env_settle(a, s, e, err);
}

/* A layer that is complete in its staging folder. */
struct layering {
	const struct store *s;
	const struct layer_stage *st;
	const struct commit *c;
};

/* Publish it, and let the chain `on` grow by it. */
static int put_layer(struct arena *a, const struct layering *l, struct env *e,
		     const struct chain *on, struct err *err)
{
	_cleanup_fd_ int lock = -1;
	const struct tree_at tree = {l->st->fd, LAYER_TREE, env_map_name(e)};
	struct commit joined = *l->c;
	struct env next = *e;
	bool fresh;

	if (layer_lock(l->s, false, &lock, err) < 0 ||
	    layer_publish(l->s, l->st, l->c->digest, &fresh, err) < 0)
		return failed(e, err);
	joined.tree = LAYER_TREE;
	if (!fresh && join_layer(a, l->s, &tree, &joined, err) < 0)
		return failed(e, err);
	next.chain = *on;
	chain_add(a, &next.chain, &joined);
	if (env_record_write(e->fd, &next, err) < 0)
		return failed(e, err);
	*e = next;
	return 0;
}

int env_commit_layer(struct arena *a, const struct store *s, struct env *e,
		     const struct layer_stage *st, const struct commit *c, struct err *err)
{
	return put_layer(a, &(struct layering){s, st, c}, e, &e->chain, err);
}

int env_replace_layers(struct arena *a, const struct store *s, struct env *e,
		       const struct layer_stage *st, const struct commit *c, struct err *err)
{
	const struct chain image = {e->chain.v, e->image.n};

	e->below = image.n + 1;
	return put_layer(a, &(struct layering){s, st, c}, e, &image, err);
}

/* Is all of x in y, from the lowest on? */
static bool is_prefix(const struct chain *x, const struct chain *y)
{
	return x->n <= y->n && same_chain(x, &(struct chain){y->v, x->n});
}

static int switch_to(struct env *e, const struct env *next, struct err *err)
{
	/* First the folder: env.json never names one that is not there. */
	if (make_upper(e, next->upper, err) < 0 || env_record_write(e->fd, next, err) < 0)
		return -1;
	*e = *next;
	return 0;
}

/*
 * On a full disk not even env.json can be written; and what fills it may be what is to go.  Without its
 * upper folder, an environment gets an empty one (env_settle): that is the same, where the chain stays.
 */
static int make_room(struct env *e, struct err *err)
{
	if (renameat(e->fd, e->upper, e->fd, UPPER_AWAY) < 0)
		return err_errno(err, errno, "cannot throw '%s' away", e->upper);
	return each_stray(e, remove_stray, err);
}

/* To an empty upper folder, on what `next` has by now. */
static int start_over(struct arena *a, const struct store *s, struct env *e, struct env *next,
		      struct err *err)
{
	int r;

	next->below = next->chain.n;
	next->upper_n++;
	next->upper = env_upper_name(a, next->upper_n);
	next->fuse = false;
	r = switch_to(e, next, err);
	if (r < 0 && (err->errnum == ENOSPC || err->errnum == EDQUOT) &&
	    same_chain(&next->chain, &e->chain) && make_room(e, err) == 0)
		r = switch_to(e, next, err);
	return r < 0 ? failed(e, err) : env_settle(a, s, e, err);
}

int env_set_chain(struct arena *a, const struct store *s, struct env *e, const struct chain *chain,
		  struct err *err)
{
	struct env next = *e;

	next.chain = *chain;
	if (!is_prefix(&e->chain, chain))
		next.previous = e->chain;
	return start_over(a, s, e, &next, err);
}

int env_set_image(struct arena *a, const struct store *s, struct env *e,
		  const struct env_from *from, struct err *err)
{
	struct env next = *e;

	next.image = from ? from->image : (struct env_image){0};
	next.chain = from ? from->chain : (struct chain){0};
	next.previous = (struct chain){0};
	return start_over(a, s, e, &next, err);
}
