#include "cli/build_layer.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/build_config.h"
#include "cli/care.h"
#include "cli/history.h"
#include "cli/progress.h"
#include "plan/host.h"
#include "plan/host_fingerprint.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/build_cache.h"
#include "store/build_env.h"
#include "store/commit.h"
#include "store/env_chain.h"
#include "store/layer.h"
#include "store/layer_tree.h"

/* Of a long command the start says which it is. */
#define TOLD_MAX 100

void build_tell(const struct build *b, const char *text, const char *mark)
{
	size_t n = strcspn(text, "\n");
	bool cut = n > TOLD_MAX || text[n];

	if (b->cached_only)
		return;
	if (n > TOLD_MAX)
		n = TOLD_MAX;
	log_info("[%zu/%zu] %.*s%s%s%s", b->step, b->n_steps, (int)n, text, cut ? "…" : "",
		 *mark ? "  " : "", mark);
}

/* ---- the plan ---- */

int build_plan(struct build *b, const struct build_stage *stage, struct env *env, bool network,
	       const struct plan **ret, struct err *err)
{
	struct profile *p = ARENA_NEW(b->a, struct profile);
	struct host_facts facts = {0};
	const struct plan_image image = {
		.ref = stage->from,
		.digest = stage->base.info.digest,
		.layers = stage->base.chain.n,
		.over_host = stage->over_host,
	};
	const struct plan_env in = {
		.env_id = env->id,
		.env_dir = env->dir,
		.store_dir = b->store->dir,
		.project = *b->context ? b->context : env->dir,
		.name = "build",
		.kept_rung = env->rung,
		.kept_as = env->as,
		.layers = history_trees(b->a, b->store, env),
		.image = &image,
		.upper = env->upper,
		.build = true,
		.build_project = network && b->of_profile,
	};

	profile_defaults(b->a, p);
	if (b->of_profile)
		p->limits = b->profile->limits;
	p->net.mode = network && b->profile ? b->profile->net.mode : network ? NET_SLIRP : NET_NONE;
	p->sandbox.linger_ms = 0;
	if (host_probe(b->a, b->store->fd, stage->over_host, &facts, err) < 0)
		return -1;
	return plan_make(b->a, p, &facts, &in, ret, err);
}

/* An environment on the stage's layers; *ret_plan is for what is done in it. */
static int make_env(struct build *b, const struct build_stage *stage, bool network, struct env *ret,
		    const struct plan **ret_plan, struct err *err)
{
	if (build_env_make(b->a, b->store, &stage->chain, ret, err) < 0)
		return -1;
	if (build_plan(b, stage, ret, network, ret_plan, err) == 0 &&
	    env_set_used(ret, (int)(*ret_plan)->rung, 1 + AS_SELF, (*ret_plan)->driver == ROOT_FUSE,
			 err) == 0)
		return 0;
	build_env_remove(b->store, ret);
	return -1;
}

int build_look(struct build *b, const struct build_stage *stage, struct env *ret,
	       const struct plan **ret_plan, struct err *err)
{
	return make_env(b, stage, false, ret, ret_plan, err);
}

/* ---- the key ---- */

void build_key_chain(const struct build_stage *stage, struct buf *key)
{
	buf_printf(key, "layers %zu", stage->chain.n);
	for (size_t i = 0; i < stage->chain.n; i++)
		buf_printf(key, " %s", stage->chain.v[i].digest);
	buf_adds(key, "\n");
}

/* All that the step depends on.  The number counts up where a step of the same words comes to mean something else. */
static void make_key(struct build *b, const struct build_stage *stage,
		     const struct build_work *work, char ret[DIGEST_HEX + 1])
{
	struct oci_config config = stage->config;
	_cleanup_buf_ struct buf key = {0};

	buf_printf(&key, "sbx build 1\nrung %d\nnewest %" PRId64 "\n", (int)b->any->rung,
		   b->newest);
	buf_printf(&key, "base %s\n", stage->over_host ? fingerprint_host(b->a) : "none");
	build_key_chain(stage, &key);
	config.history = NULL;
	config.n_history = 0;
	config.n_diff_ids = 0;
	config.created = NULL;
	oci_write_config(&config, &key);
	buf_adds(&key, "\n");
	for (size_t i = 0; i < stage->args.n; i++)
		buf_add(&key, stage->args.v[i], strlen(stage->args.v[i]) + 1);
	buf_printf(&key, "\nnetwork %d\n",
		   work->network ? (int)(b->profile ? b->profile->net.mode : NET_SLIRP) : -1);
	buf_add(&key, work->key->p ? work->key->p : "", work->key->len);
	digest_sha256(key.p, key.len, ret);
}

/* ---- the layer ---- */

struct committing {
	struct commit_input in;
	struct commit_result *result; /* shared */
	struct progress progress;
};

static int commit_inside(const struct view *v, void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct committing *c = arg;
	int r;

	c->in.lower = v->lower;
	c->in.upper = v->upper;
	progress_begin(&c->progress, "committing");
	r = commit_make(a, &c->in, c->result, err);
	progress_end(&c->progress);
	return r;
}

/* Its tree for the map in use, made where it is missing. */
static int tree_of(struct build *b, const char *digest, const struct env *env, const char **ret,
		   struct err *err)
{
	struct layer_tree t = {
		.store = b->store,
		.digest = digest,
		.map = env_map_name(env),
		.owners = b->any->rung == RUNG_SUBIDS,
	};
	bool there;

	if (layer_tree_find(b->a, &t, ret, &there, err) < 0)
		return -1;
	return there ? 0 : userns_call(b->any, layer_tree_make, &t, err);
}

static int add_layer(struct build *b, struct build_stage *stage, const struct build_work *work,
		     const struct build_cached *c, const struct env *env, struct err *err)
{
	struct commit commit = {
		.digest = arena_strdup(b->a, c->layer),
		.message = work->text,
		.by = "sbx build",
		.created = c->created,
	};

	if (c->layer[0]) {
		if (tree_of(b, commit.digest, env, &commit.tree, err) < 0)
			return -1;
		chain_add(b->a, &stage->chain, &commit);
	}
	build_history(b, stage, work->text, c->created, !c->layer[0]);
	b->made[b->n_made++] = (struct build_made){
		.file = work->step->file,
		.line = work->step->line,
		.text = work->text,
		.digest = commit.digest,
		.tree = commit.tree,
	};
	return 0;
}

static int commit(struct build *b, const struct build_stage *stage, const struct build_work *work,
		  struct env *env, struct build_cached *ret, struct err *err)
{
	struct committing c = {
		.in =
			{
				.store = b->store,
				.env = env,
				.owners = b->any->rung == RUNG_SUBIDS,
				.now = (int64_t)time(NULL),
				.newest = b->newest,
				.message = work->text,
				.by = "sbx build",
				.host = stage->over_host ? fingerprint_host(b->a) : NULL,
				.progress = progress_tell,
			},
		.result = care_shared(sizeof(*c.result)),
	};
	_cleanup_fd_ int lock = -1;
	const struct plan *plan;

	c.in.progress_ctx = &c.progress;
	if (build_plan(b, stage, env, false, &plan, err) < 0)
		return -1;
	/* Until it is pinned, nothing names the layer: gc waits so long. */
	if (layer_lock(b->store, false, &lock, err) < 0 ||
	    view_call(plan, &(struct view_job){.fn = commit_inside, .arg = &c}, err) < 0)
		return -1;
	ret->created = c.in.now;
	if (c.result->empty)
		return 0;
	memcpy(ret->layer, c.result->digest, sizeof(ret->layer));
	return pin_add(&b->pin, ret->layer, err);
}

/* Known, and its layer is there. */
static bool is_cached(struct build *b, const char *key, struct build_cached *ret)
{
	struct err why = {0};

	if (b->no_cache || build_cache_get(b->store, key, ret, &why) < 0)
		return false;
	if (!ret->layer[0])
		return true;
	return pin_add(&b->pin, ret->layer, &why) == 0 && layer_has(b->a, b->store, ret->layer);
}

static int do_work(struct build *b, struct build_stage *stage, const struct build_work *work,
		   struct env *env, struct build_cached *ret, struct err *err)
{
	const struct plan *plan;

	if (build_plan(b, stage, env, work->network, &plan, err) < 0)
		return -1;
	if (work->fn(b, stage, env, plan, work->arg, err) < 0)
		return -1;
	return commit(b, stage, work, env, ret, err);
}

int build_layer(struct build *b, struct build_stage *stage, const struct build_work *work,
		struct err *err)
{
	struct build_cached c = {0};
	char key[DIGEST_HEX + 1];
	struct env env = {.fd = -1};
	const struct plan *plan;
	int r;

	make_key(b, stage, work, key);
	if (is_cached(b, key, &c)) {
		const struct env like = {.rung = (int)b->any->rung, .as = 1 + AS_SELF};

		build_tell(b, work->text, "CACHED");
		b->cached++;
		return add_layer(b, stage, work, &c, &like, err);
	}
	if (b->cached_only)
		return err_errno(err, ENOENT, "the step '%s' is not built", work->text);
	build_tell(b, work->text, "");
	c = (struct build_cached){0};
	if (stage->chain.n >= COMMIT_CHAIN_MAX)
		return err_set(err, "the image would have more than %d layers", COMMIT_CHAIN_MAX);
	if (make_env(b, stage, work->network, &env, &plan, err) < 0)
		return -1;
	r = do_work(b, stage, work, &env, &c, err);
	if (r == 0) {
		memcpy(c.key, key, sizeof(c.key));
		r = build_cache_put(b->store, &c, err);
	}
	if (r == 0)
		r = add_layer(b, stage, work, &c, &env, err);
	build_env_remove(b->store, &env);
	return r;
}
