#include "cli/trusted.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/build_recipe.h"
#include "cli/images.h"
#include "cli/lock.h"
#include "cli/open.h"
#include "conf/image.h"
#include "conf/lockfile.h"
#include "conf/port.h"
#include "conf/profile.h"
#include "store/dirs.h"
#include "store/image.h"
#include "store/project.h"

struct looking {
	struct arena *a;
	const struct workplace *w;
	const char *pinned; /* the profile's base as the lock has it; or NULL */
};

static enum trust_image state(void *ctx, const char *ref)
{
	const struct looking *l = ctx;
	const char *base = l->w->profile->base.ref;
	struct err why = {0};
	struct image_ref parts;
	struct image image;

	if (l->pinned && str_eq(ref, base))
		ref = l->pinned;
	if (image_ref_parse(l->a, ref, &parts, NULL) < 0)
		return TRUST_IMAGE_ABSENT;
	if (images_of_registry(l->a, &l->w->store, &parts, &image, &why) == 0)
		return str_eq(image.source, IMAGE_PUBLIC) ? TRUST_IMAGE_PUBLIC : TRUST_IMAGE_OWN;
	/* Of a damaged record nobody knows what it said. */
	return why.errnum == ENOENT ? TRUST_IMAGE_ABSENT : TRUST_IMAGE_OWN;
}

/*
 * The image that sbx.lock names for what [build] makes is taken as it is.  Where it was not built by this project, nor
 * is for everybody, it is one of the user's own: *ret its record.
 */
static bool locked_own(struct arena *a, const struct workplace *w, struct image *ret)
{
	char now[DIGEST_HEX + 1];
	struct lockfile lock;
	struct err why = {0};
	bool there = false;

	if (w->profile->build.n == 0 || lock_read(a, w->project, &lock, &there, &why) < 0 ||
	    !there || !lock.build.image || !lock.build.manifest[0] ||
	    images_of_manifest(a, &w->store, lock.build.manifest, w->project, ret) !=
		    TRUST_IMAGE_OWN)
		return false;
	build_recipe(a, w->profile, w->project, now);
	return strcmp(now, lock.build.steps) == 0;
}

static void add(struct arena *a, struct trusted *t, const struct trust_request *r)
{
	struct trust_request *v = arena_alloc(a, (t->n + 1) * sizeof(*v));

	v[0] = *r;
	if (t->n > 0)
		memcpy(v + 1, t->v, t->n * sizeof(*v));
	t->v = v;
	t->n++;
}

/* What must be, before what may. */
static void sort(struct arena *a, struct trusted *t)
{
	struct trust_request *v = arena_alloc(a, (t->n + 1) * sizeof(*v));
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++)
		if (!t->v[i].optional)
			v[n++] = t->v[i];
	t->n_asked = n;
	for (size_t i = 0; i < t->n; i++)
		if (t->v[i].optional)
			v[n++] = t->v[i];
	t->v = v;
}

static void set_key(const struct workplace *w, const struct image *locked, struct trusted *t)
{
	_cleanup_buf_ struct buf b = {0};

	memcpy(t->key, w->digest, sizeof(t->key));
	if (!locked)
		return;
	buf_printf(&b, "%s %s", w->digest, locked->manifest);
	digest_sha256(b.p, b.len, t->key);
}

/* Code inside that came to write sbx.ini could give itself a way out. */
static void add_network(struct arena *a, const struct workplace *w, struct trusted *t)
{
	const struct profile *p = w->profile;
	struct trust_request r = {.what = "a network, of which it had none when it ran last",
				  .at = p->net.mode_at};

	/* That of the host is asked for in any case. */
	if (p->net.mode != NET_SLIRP || p->net.mode_at.trusted ||
	    !allow_was_closed(&w->store, w->project))
		return;
	if (!r.at.file)
		r.at.file = path_join(a, w->project, PROJECT_FILE);
	add(a, t, &r);
}

int trusted_look(struct arena *a, const struct workplace *w, struct trusted *ret, struct err *err)
{
	struct looking l = {.a = a, .w = w};
	struct trust_facts facts = {.project = w->project, .image = state, .ctx = &l};
	struct trusted t = {0};
	struct image locked;
	struct err none = {0};
	bool own;

	if (dirs_home(a, &facts.home, err) < 0)
		return -1;
	/* What is wrong with the lock is said by who uses it. */
	if (w->profile->base.kind == BASE_REGISTRY &&
	    lock_reference(a, w->profile, w->project, &l.pinned, &none) < 0)
		l.pinned = NULL;
	trust_requests(a, w->profile, &facts, &t.v, &t.n);
	add_network(a, w, &t);
	own = locked_own(a, w, &locked);
	if (own) {
		const struct trust_request r = {
			.what = arena_printf(a,
					     "the image '%s' of your own store, for what [build] "
					     "makes",
					     locked.ref),
			.at = {.file = path_join(a, w->project, LOCKFILE_NAME)},
		};

		add(a, &t, &r);
	}
	sort(a, &t);
	set_key(w, own ? &locked : NULL, &t);
	if (t.n > 0 && allow_get(&w->store, w->project, t.key, &t.allowed, err) < 0)
		return -1;
	*ret = t;
	return 0;
}

static void tell_ports(struct arena *a, const struct workplace *w)
{
	const struct profile *p = w->profile;
	_cleanup_buf_ struct buf b = {0};
	const char *at = NULL;
	struct err why = {0};

	for (size_t i = 0; i < p->net.ports.n; i++) {
		const struct port_value *v = &p->net.ports.v[i];

		if (v->at.trusted || !port_is_loopback(v->address))
			continue;
		buf_printf(&b, "%s%s:%u", b.len > 0 ? ", " : "", port_address(v), v->host);
		at = at ? at : arena_printf(a, "%s:%d", v->at.file, v->at.line);
	}
	if (!at || allow_was_told(&w->store, w->project, w->digest))
		return;
	log_info("%s lead%s into the sandbox, for every user of this machine (%s)", b.p,
		 strchr(b.p, ',') ? "" : "s", at);
	if (allow_set_told(&w->store, w->project, w->digest, &why) < 0)
		log_debug("%s", why.msg);
}

void trusted_begin(struct arena *a, const struct workplace *w)
{
	struct err why = {0};

	if (allow_set_closed(&w->store, w->project, w->profile->net.mode == NET_NONE, &why) < 0)
		log_warn("%s", why.msg);
	if (!w->allowed)
		tell_ports(a, w);
}

int trusted_allow(const struct workplace *w, const struct trusted *t, struct err *err)
{
	return allow_put(&w->store, w->project, t->key, err);
}

const char *trusted_at(struct arena *a, const struct trust_request *r)
{
	return r->at.line > 0 ? arena_printf(a, "%s:%d", r->at.file, r->at.line) : r->at.file;
}
