#include "store/squash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/diff.h"
#include "store/env.h"
#include "store/env_chain.h"
#include "store/layer.h"
#include "store/merge.h"

struct trees {
	int *fds;
	size_t n;
};

static void trees_done(struct trees *t)
{
	for (size_t i = 0; i < t->n; i++)
		cleanup_fd(&t->fds[i]);
}

/* A layer costs two descriptors, and a chain may be as long as COMMIT_CHAIN_MAX. */
static void allow_descriptors(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int open_trees(struct arena *a, const struct commit_input *in, struct trees *ret,
		      struct err *err)
{
	const struct chain *chain = &in->env->chain;

	ret->fds = arena_alloc(a, (chain->n + 1) * sizeof(*ret->fds));
	for (size_t i = in->env->image.n; i < chain->n; i++) {
		if (layer_open_tree(a, in->store, chain->v[i].digest, chain->v[i].tree,
				    &ret->fds[ret->n], err) < 0)
			return -1;
		ret->n++;
	}
	return 0;
}

static struct entries list_of(struct arena *a, const struct merge *m)
{
	struct entries list = {.v = arena_alloc(a, (m->n + 1) * sizeof(*list.v)), .n = m->n};

	for (size_t i = 0; i < m->n; i++)
		list.v[i] = m->v[i].entry;
	return list;
}

static int make_layer(struct arena *a, const struct commit_input *in, const struct layer_stage *st,
		      struct layer_info *ret, struct err *err)
{
	__attribute__((cleanup(trees_done))) struct trees trees = {0};
	_cleanup_fd_ int tree = -1;
	struct merge m = {0};
	struct entries list;

	if (open_trees(a, in, &trees, err) < 0 || layer_stage_tree(st, &tree, err) < 0 ||
	    merge_layers(a, trees.fds, trees.n, &m, err) < 0 ||
	    merge_trim(&m, in->lower, err) < 0 || merge_copy(trees.fds, trees.n, &m, tree, err) < 0)
		return -1;
	list = list_of(a, &m);
	return commit_emit(in, st, tree, &list, ret, err);
}

int squash(struct arena *a, const struct commit_input *in, struct commit_result *ret,
	   struct err *err)
{
	__attribute__((cleanup(layer_stage_done))) struct layer_stage st = {0};
	struct commit_result result = {0};
	struct layer_info info = {0};
	int r;

	allow_descriptors();
	if (layer_stage_make(a, in->store, &st, err) < 0)
		return -1;
	r = make_layer(a, in, &st, &info, err);
	if (r == 0) {
		const struct commit c = commit_entry(a, in, &info);

		r = env_replace_layers(a, in->store, in->env, &st, &c, err);
	}
	layer_stage_remove(in->store, &st);
	if (r < 0)
		return store_hint(err);
	memcpy(result.digest, info.digest, sizeof(result.digest));
	result.bytes = info.bytes;
	*ret = result;
	return 0;
}
