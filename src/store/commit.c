#include "store/commit.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "store/commit_select.h"
#include "store/copy.h"
#include "store/descent.h"
#include "store/env_chain.h"
#include "store/env_kept.h"
#include "store/floating.h"
#include "store/layer.h"

#define KEPT_MODE 0600

static int find_changes(struct arena *a, const struct commit_input *in, struct entries *ret,
			struct err *err)
{
	const struct diff_input diff = {
		.lower = in->lower,
		.upper = in->upper,
		.dialect = in->env->fuse ? WHITEOUT_FUSE : WHITEOUT_KERNEL,
		.owners = in->owners,
		.exclude = in->exclude,
	};

	return floating_diff(a, in->store, in->env, &diff, ret, err);
}

/* Leave out what vanished before it was copied; of the others, what the copy is. */
static int look_again(int tree, struct entries *list, struct err *err)
{
	_cleanup_descent_ struct descent d = DESCENT_EMPTY;
	size_t n = 0;

	if (descent_begin(&d, tree, O_RDONLY) < 0)
		return err_errno(err, errno, "cannot open the layer's tree");
	for (size_t i = 0; i < list->n; i++) {
		struct entry *e = &list->v[i];
		struct stat st;

		if (descent_to_parent(&d, e->path) < 0 ||
		    fstatat(d.fd, path_base(e->path), &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno != ENOENT && errno != ENOTDIR)
				return err_errno(err, errno, "cannot look at '/%s'", e->path);
			continue;
		}
		if (e->verdict != ENTRY_DELETED)
			e->st = st;
		list->v[n++] = *e;
	}
	list->n = n;
	return 0;
}

/* What stays uncommitted, as a file of the staging folder. */
static int write_kept(int upper, const struct layer_stage *st, const struct buf *paths,
		      struct err *err)
{
	_cleanup_descent_ struct descent d = DESCENT_EMPTY;
	_cleanup_buf_ struct buf list = {0};

	if (paths->len == 0)
		return 0;
	if (descent_begin(&d, upper, O_RDONLY) < 0)
		return err_errno(err, errno, "cannot open the upper folder");
	for (size_t at = 0; at < paths->len; at += strlen(paths->p + at) + 1) {
		const char *path = paths->p + at;

		if (descent_to_parent(&d, path) < 0)
			return err_errno(err, errno, "cannot keep '/%s'", path);
		if (env_kept_add(&list, path, d.fd, err) < 0)
			return -1;
	}
	return fs_write_atomic(st->fd, CHAIN_KEPT, list.p ? list.p : "", list.len, KEPT_MODE, err);
}

int commit_emit(const struct commit_input *in, const struct layer_stage *st, int tree,
		const struct entries *list, struct layer_info *ret, struct err *err)
{
	const struct emit emit = {
		.tree = tree,
		.list = list,
		.owners = in->owners,
		.newest = in->newest,
		.skeleton_at = st->fd,
		.progress = in->progress,
		.progress_ctx = in->progress_ctx,
	};

	ret->map = env_map_name(in->env);
	ret->host = in->host;
	ret->created = in->now;
	if (emit_layer(&emit, ret, err) < 0 || layer_stage_info(st, ret, err) < 0)
		return -1;
	/* All at once: one fsync(2) a file would take as many turns of the disk. */
	if (syncfs(st->fd) < 0)
		return err_errno(err, errno, "cannot write the layer to the disk");
	return 0;
}

struct commit commit_entry(struct arena *a, const struct commit_input *in,
			   const struct layer_info *info)
{
	return (struct commit){
		.digest = arena_strdup(a, info->digest),
		.message = in->message,
		.by = in->by,
		.created = in->now,
		.tree = LAYER_TREE,
	};
}

static int commit_stopped(struct arena *a, const struct commit_input *in,
			  const struct layer_stage *st, struct selection *s, struct layer_info *ret,
			  struct err *err)
{
	/* Not the view's: that is another mount, between which and the store nothing can be renamed. */
	_cleanup_fd_ int upper = openat(in->env->fd, in->env->upper,
					O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct commit c;

	if (upper < 0)
		return err_errno(err, errno, "cannot open '%s'", in->env->upper);
	if (commit_tidy(upper, s, in->newest, in->env->fd, err) < 0 ||
	    write_kept(upper, st, &s->kept, err) < 0 ||
	    commit_emit(in, st, upper, &s->taken, ret, err) < 0)
		return -1;
	c = commit_entry(a, in, ret);
	return env_commit_upper(a, in->store, in->env, st, &c, err);
}

static int commit_running(struct arena *a, const struct commit_input *in,
			  const struct layer_stage *st, struct selection *s, struct layer_info *ret,
			  struct err *err)
{
	_cleanup_fd_ int tree = -1;
	struct selection copied = {.taken = s->taken};
	struct commit c;

	if (layer_stage_tree(st, &tree, err) < 0 ||
	    copy_entries(in->upper, tree, &s->taken, err) < 0 ||
	    look_again(tree, &copied.taken, err) < 0 ||
	    commit_tidy(tree, &copied, in->newest, -1, err) < 0 ||
	    commit_emit(in, st, tree, &copied.taken, ret, err) < 0)
		return -1;
	c = commit_entry(a, in, ret);
	return env_commit_layer(a, in->store, in->env, st, &c, err);
}

static int check_depth(const struct commit_input *in, struct err *err)
{
	if (in->env->chain.n < COMMIT_CHAIN_MAX)
		return 0;
	err_set(err, "cannot commit: the environment '%s' has %zu layers already, %d is the most",
		in->env->id, in->env->chain.n, COMMIT_CHAIN_MAX);
	return err_hint(err, "make one of them: sbx squash");
}

int commit_make(struct arena *a, const struct commit_input *in, struct commit_result *ret,
		struct err *err)
{
	_cleanup_selection_ struct selection s = {0};
	__attribute__((cleanup(layer_stage_done))) struct layer_stage st = {0};
	struct commit_result result = {0};
	struct layer_info info = {0};
	struct entries all;
	int r;

	if (check_depth(in, err) < 0)
		return -1;
	if (!in->running && in->env->fuse && whiteout_normalise(in->upper, err) < 0)
		return -1;
	if (find_changes(a, in, &all, err) < 0)
		return -1;
	commit_select(a, &all, &s, &result);
	if (result.added + result.modified + result.deleted == 0) {
		result.empty = true;
		*ret = result;
		return 0;
	}
	if (layer_stage_make(a, in->store, &st, err) < 0)
		return -1;
	r = in->running ? commit_running(a, in, &st, &s, &info, err)
			: commit_stopped(a, in, &st, &s, &info, err);
	/* What is left of it: nothing, or what failed. */
	if (!in->env->stage)
		layer_stage_remove(in->store, &st);
	if (r < 0)
		return store_hint(err);
	memcpy(result.digest, info.digest, sizeof(result.digest));
	result.bytes = info.bytes;
	*ret = result;
	return 0;
}
