#include "cli/history.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "conf/profile.h"
#include "plan/host_fingerprint.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/env_chain.h"
#include "store/image.h"
#include "store/layer.h"
#include "store/tag.h"

#define DIGITS_MIN 4
/* 10 times 20 ms. */
#define MOMENTS 10
#define MOMENT_NS 20000000

int history_open(struct arena *a, const struct where *where, bool whole, struct workplace *w,
		 struct err *err)
{
	if (open_project(a, where, w, err) < 0 || (whole && open_profile(a, w, err) < 0))
		return -1;
	if (!whole)
		open_profile_rest(a, w);
	return open_env(a, w, err);
}

const char *const *history_excluded(struct arena *a, const struct workplace *w)
{
	const struct profile *p = w->profile;
	struct strv list = {0};

	for (size_t i = 0; i < p->commit_exclude.n; i++)
		strv_push(a, &list, p->commit_exclude.v[i].s);
	return (const char *const *)list.v;
}

const char *const *history_trees(struct arena *a, const struct store *s, const struct env *e)
{
	const char **v = arena_alloc(a, (e->chain.n + 1) * sizeof(*v));

	for (size_t i = 0; i < e->chain.n; i++) {
		const struct commit *c = &e->chain.v[e->chain.n - 1 - i];

		v[i] = arena_printf(a, "%s/layers/%s/%s", s->dir, c->digest, c->tree);
	}
	return v;
}

int history_plan(struct arena *a, const struct workplace *w, const struct plan **ret,
		 struct err *err)
{
	struct profile *any = ARENA_NEW(a, struct profile);
	struct workplace with = *w;

	profile_defaults(a, any);
	any->net.mode = NET_NONE;
	any->user.as = w->env.as == 1 + AS_ROOT ? AS_ROOT : AS_SELF;
	/* Without an image of its own, it was made before the profile named one. */
	if (w->profile && !profile_is_image(w->profile))
		any->base = w->profile->base;
	with.profile = any;
	return open_plan(a, &with, ret, err);
}

int history_read_anew(struct arena *a, struct workplace *w, struct err *err)
{
	struct env now = {.fd = -1};

	if (env_open_id(a, &w->store, w->env.id, &now, err) < 0) {
		/* Its locks can be had in a folder that `sbx rm` has moved away. */
		if (err->errnum == ENOENT) {
			err_set(err, "the environment '%s' was removed just now", w->env.id);
			err->errnum = ENOENT;
		}
		return -1;
	}
	env_done(&w->env);
	w->env = now;
	return 0;
}

void history_add_pending(struct arena *a, struct env *e)
{
	if (e->stage)
		chain_add(a, &e->chain, &e->pending);
}

const char *history_base(struct arena *a, const struct workplace *w)
{
	const char *ref = w->profile->base.ref;

	if (w->env.image.ref)
		return arena_printf(a, "image:%s", w->env.image.manifest);
	if (w->profile->base.kind == BASE_HOST || profile_is_image(w->profile))
		return "host";
	return arena_printf(a, "dir:%s",
			    ref[0] == '/' ? ref : path_clean(a, path_join(a, w->project, ref)));
}

int history_check_tag(struct arena *a, const struct workplace *w, const char *name, struct err *err)
{
	struct err why = {0};
	struct tag old;

	if (tag_check_name(name, err) < 0)
		return -1;
	if (tag_get(a, &w->store, name, &old, &why) < 0 || str_eq(old.project, w->project))
		return 0;
	err_errno(err, EEXIST, "cannot use the tag '%s': it is one of '%s'", name, old.project);
	return err_hint(err, "choose another name, or remove that one: sbx tag -d %s", name);
}

int history_put_tag(struct arena *a, const struct workplace *w, const char *name,
		    const struct chain *chain, struct err *err)
{
	const struct tag tag = {
		.name = name,
		.base = history_base(a, w),
		.project = w->project,
		.created = (int64_t)time(NULL),
		.chain = *chain,
	};
	_cleanup_fd_ int lock = -1;

	if (history_check_tag(a, w, name, err) < 0)
		return -1;
	/* Between the look at the chain and the tag, no gc. */
	if (layer_lock(&w->store, false, &lock, err) < 0)
		return -1;
	return tag_put(&w->store, &tag, err);
}

struct settle {
	const struct store *store;
	struct env *env;
};

static int settle_inside(void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct settle *s = arg;

	return env_settle(a, s->store, s->env, err);
}

static int settle_held(struct arena *a, struct workplace *w, struct err *err)
{
	struct settle s = {.store = &w->store, .env = &w->env};
	const struct plan *plan;

	if (history_read_anew(a, w, err) < 0)
		return -1;
	if (env_is_settled(&w->env))
		return 0;
	if (history_plan(a, w, &plan, err) < 0 || userns_call(plan, settle_inside, &s, err) < 0)
		return -1;
	return history_read_anew(a, w, err);
}

int history_settle(struct arena *a, struct workplace *w, struct err *err)
{
	__attribute__((cleanup(client_hold_done))) struct client_hold held = CLIENT_HOLD_NONE;
	_cleanup_fd_ int sock = -1;
	struct err why = {0};

	/* Where it runs, what is not settled is in nobody's way; and its lock is not to be had. */
	if (env_is_settled(&w->env) || client_connect(&w->env, &sock, &why) == 0)
		return 0;
	if (client_hold(&w->env, &held, &why) < 0) {
		if (why.errnum == EBUSY)
			return 0;
		*err = why;
		return -1;
	}
	return settle_held(a, w, err);
}

/*
 * How many commands run in it, and how many processes.  A command whose exit status its caller has just
 * been given still counts for a moment: it is given that moment.
 */
static int count_running(const struct env *env, uint32_t *ret_commands, uint32_t *ret_processes,
			 struct err *err)
{
	const struct timespec moment = {.tv_nsec = MOMENT_NS};

	for (int i = 0; i < MOMENTS; i++) {
		_cleanup_fd_ int sock = -1;
		struct client_info info;

		if (client_connect(env, &sock, err) < 0 || client_info(sock, &info, err) < 0)
			return -1;
		*ret_commands = info.commands;
		*ret_processes = info.processes;
		if (info.commands + info.processes == 0)
			break;
		(void)nanosleep(&moment, NULL);
	}
	return 0;
}

int history_end_idle(const struct workplace *w, const char *why, struct err *err)
{
	uint32_t processes;
	uint32_t commands;

	if (count_running(&w->env, &commands, &processes, err) < 0)
		return err->errnum == ENOENT || err->errnum == EAGAIN ? 0 : -1;
	if (commands > 0) {
		err_set(err, "cannot %s '%s': %u command%s in it", why, w->env_name, commands,
			commands == 1 ? " runs" : "s run");
		err->errnum = EBUSY;
		return err_hint(err, "end it first: sbx stop");
	}
	if (processes > 0) {
		err_set(err, "cannot %s '%s': %u process%s in it", why, w->env_name, processes,
			processes == 1 ? " runs" : "es run");
		err->errnum = EBUSY;
		return err_hint(err, "end it first: sbx stop");
	}
	log_debug("ending the sandbox, in which nothing runs");
	if (client_stop(&w->env, err) < 0 && err->errnum != ENOENT)
		return -1;
	return 0;
}

int history_hold(struct arena *a, struct workplace *w, const char *why, struct client_hold *ret,
		 struct err *err)
{
	/* It is asked first: to wait for the lock of one that runs takes its time. */
	for (int i = 0; i < 3; i++) {
		*err = (struct err){0};
		if (history_end_idle(w, why, err) < 0)
			return -1;
		*err = (struct err){0};
		if (client_hold(&w->env, ret, err) == 0)
			return settle_held(a, w, err);
		if (err->errnum != EBUSY)
			return -1;
	}
	err_errno(err, EBUSY, "cannot %s '%s': it is being started again and again", why,
		  w->env_name);
	return err_hint(err, "end it first: sbx stop");
}

static struct chain part_of(const struct chain *c, size_t n)
{
	return (struct chain){.v = c->v, .n = n};
}

/* How many layers of the environment's begin with these digits; the highest of them. */
static size_t find_digits(const struct chain *c, const char *digits, size_t *ret_at)
{
	size_t found = 0;

	if (strlen(digits) < DIGITS_MIN || digits[strspn(digits, "0123456789abcdef")] != '\0')
		return 0;
	for (size_t i = 0; i < c->n; i++) {
		bool again = found > 0 && strcmp(c->v[i].digest, c->v[*ret_at].digest) == 0;

		if (!str_starts(c->v[i].digest, digits))
			continue;
		*ret_at = i;
		found += !again;
	}
	return found;
}

/* What lies on an image has its layers: on another base they would be in the way, or missing. */
static int check_tag_base(struct arena *a, const struct workplace *w, const struct tag *tag,
			  struct err *err)
{
	const char *image = "image:";

	if (!str_starts(tag->base, image) && !w->env.image.ref)
		return 0;
	if (w->env.image.ref && str_eq(tag->base, history_base(a, w)))
		return 0;
	err_kind(err, ERR_USAGE, "the tag '%s' lies on another base: %s", tag->name, tag->base);
	return err_hint(err, "an environment on that base can have it");
}

int history_chain(struct arena *a, const struct workplace *w, const char *word, struct chain *ret,
		  struct err *err)
{
	const struct chain *chain = &w->env.chain;
	struct err why = {0};
	struct tag tag;
	size_t at = 0;
	size_t n;

	if (strcmp(word, "base") == 0) {
		*ret = part_of(chain, w->env.image.n);
		return 0;
	}
	if (strcmp(word, "-") == 0 && w->env.previous.n > 0) {
		*ret = w->env.previous;
		return 0;
	}
	n = find_digits(chain, word, &at);
	if (n == 0) {
		chain = &w->env.previous;
		n = find_digits(chain, word, &at);
	}
	if (n == 1 && at + 1 < w->env.image.n) {
		err_kind(err, ERR_USAGE, "'%s' is a layer within the image '%s'", word,
			 w->env.image.ref);
		return err_hint(err, "'base' is the whole of it");
	}
	if (n == 1) {
		*ret = part_of(chain, at + 1);
		return 0;
	}
	if (tag_get(a, &w->store, word, &tag, &why) == 0) {
		*ret = tag.chain;
		return check_tag_base(a, w, &tag, err);
	}
	if (n > 1) {
		err_kind(err, ERR_USAGE, "'%s' begins more than one layer", word);
		return err_hint(err, "give more digits: 'sbx log' shows them");
	}
	if (why.errnum != ENOENT && why.kind != ERR_USAGE) {
		*err = why;
		return -1;
	}
	err_kind(err, ERR_USAGE, "no layer and no tag '%s'", word);
	return err_hint(err, "'sbx log' shows the layers, 'sbx tag' the tags");
}

/* What the last layer was made over: what it says itself or, of one that came, the image it came with. */
static const char *made_over(struct arena *a, const struct workplace *w)
{
	const struct chain *c = &w->env.chain;
	_cleanup_fd_ int fd = -1;
	struct layer_info info;
	struct image_info image;
	struct err why = {0};

	if (c->n == 0 || layer_open(a, &w->store, c->v[c->n - 1].digest, &fd, &info, &why) < 0)
		return NULL;
	if (info.host)
		return info.host;
	if (!w->env.image.ref || image_info(a, &w->store, w->env.image.manifest, &image, &why) < 0)
		return NULL;
	return image.host;
}

const char *history_other_host(struct arena *a, const struct workplace *w, bool packages)
{
	const char *host;

	if (!(w->env.image.ref ? w->env.image.over_host : w->profile->base.kind == BASE_HOST))
		return NULL;
	host = made_over(a, w);
	if (!host)
		return NULL;
	if (packages)
		return strcmp(host, fingerprint_host(a)) == 0 ? NULL : host;
	return str_starts(host, fingerprint_system(a)) ? NULL : host;
}
