#include "cli/build_profile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/build.h"
#include "cli/build_check.h"
#include "cli/build_recipe.h"
#include "cli/care.h"
#include "cli/images.h"
#include "cli/lock.h"
#include "conf/lockfile.h"
#include "conf/profile.h"
#include "store/blob.h"
#include "store/project.h"

/* ---- steps ---- */

static int make_step(struct build *b, const struct build_value *v, struct cf_step *ret,
		     struct err *err)
{
	const char **argv;

	if (containerfile_step(b->a, v->kind, v->s, ret, err) < 0)
		return -1;
	ret->file = v->at.file;
	ret->line = v->at.line;
	ret->text = arena_printf(b->a, "%s = %s", build_step_name(v->kind), v->s);
	if (v->kind != CF_RUN)
		return 0;
	argv = arena_alloc(b->a, 4 * sizeof(*argv));
	argv[0] = "/bin/sh";
	argv[1] = "-ec";
	argv[2] = v->s;
	ret->exec = true;
	ret->args = argv;
	ret->n_args = 3;
	return 0;
}

/* As if it were a Containerfile: one stage, on the profile's base. */
static int make_file(struct build *b, struct err *err)
{
	const struct profile *p = b->profile;
	struct containerfile *file = ARENA_NEW(b->a, struct containerfile);
	struct cf_step *v = arena_alloc(b->a, (p->build.n + 1) * sizeof(*v));
	const char **from = arena_alloc(b->a, 2 * sizeof(*from));

	from[0] = profile_base(b->a, p);
	v[0] = (struct cf_step){
		.kind = CF_FROM,
		.file = p->base.at.file,
		.line = p->base.at.line,
		.text = arena_printf(b->a, "image = %s", from[0]),
		.args = from,
		.n_args = 1,
	};
	for (size_t i = 0; i < p->build.n; i++)
		if (make_step(b, &p->build.v[i], &v[i + 1], err) < 0)
			return -1;
	*file = (struct containerfile){
		.file = path_join(b->a, b->context, PROJECT_FILE),
		.v = v,
		.n = p->build.n + 1,
		.escape = '\\',
	};
	b->file = file;
	return 0;
}

static int refuse_dir(const struct profile *p, struct err *err)
{
	if (p->base.kind != BASE_DIR)
		return 0;
	(void)err_set(err, "cannot build on a folder, 'dir:%s'", p->base.ref);
	(void)err_hint(err, "use an image: `image = tar:FILE` takes a tar of that folder");
	return p->base.at.file ? err_prefix(err, "%s:%d", p->base.at.file, p->base.at.line) : -1;
}

/* ---- streams ---- */

/* What runs inside may say anything, and read nothing: neither is the caller's. */
struct streams {
	int in, out;
	mode_t mask;
};

static int streams_away(struct streams *s, struct err *err)
{
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	_cleanup_fd_ int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	if (null_fd < 0 || in < 0 || out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
	    dup2(null_fd, STDIN_FILENO) < 0)
		return err_errno(err, errno, "cannot arrange the standard streams");
	s->in = TAKE_FD(in);
	s->out = TAKE_FD(out);
	s->mask = umask(022);
	return 0;
}

static int streams_back(struct streams *s, struct err *err)
{
	int r = 0;

	(void)umask(s->mask);
	if (dup2(s->in, STDIN_FILENO) < 0 || dup2(s->out, STDOUT_FILENO) < 0)
		r = err_errno(err, errno, "cannot bring the standard streams back");
	cleanup_fd(&s->in);
	cleanup_fd(&s->out);
	return r;
}

/* ---- building ---- */

/*
 * localhost/FOLDER:latest; where another project whose folder is called so has that name for its own, with some digits
 * of this one's path.
 */
static const char *own_ref(struct build *b, const char *project)
{
	const char *ref = build_default_ref(b->a, project);
	const char *colon = strrchr(ref, ':');
	const char *by = images_built_by(b->a, "");
	char digest[DIGEST_HEX + 1];
	struct image other;

	if (image_get(b->a, b->store, ref, &other, NULL) < 0 || !str_starts(other.source, by))
		return ref;
	/* What a project that is gone has left, anybody's may take the place of. */
	if (str_eq(other.source + strlen(by), project) ||
	    access(other.source + strlen(by), F_OK) < 0)
		return ref;
	digest_sha256(project, strlen(project), digest);
	return arena_printf(b->a, "%.*s-%.8s%s", (int)(colon - ref), ref, digest, colon);
}

static int build_it(struct build *b, const struct build_profile *in, struct base *ret,
		    struct err *err)
{
	const char *ref = in->ref ? in->ref : own_ref(b, in->project);
	const struct build_stage *stage;
	char manifest[DIGEST_HEX + 1];

	if (build_stages(b, &stage, err) < 0)
		return -1;
	if (in->check && build_check(b, err) < 0)
		return -1;
	if (build_image(b, stage, in->cached_only ? NULL : ref, manifest, err) < 0)
		return -1;
	if (!in->cached_only)
		log_info("built '%s': %zu layer%s, %zu step%s from the cache", ref, stage->chain.n,
			 stage->chain.n == 1 ? "" : "s", b->cached, b->cached == 1 ? "" : "s");
	ret->ref = profile_base(b->a, in->profile);
	build_recipe(b->a, in->profile, in->project, ret->build);
	return image_info(b->a, b->store, manifest, &ret->info, err);
}

static int begin(struct build *b, const struct build_profile *in, struct err *err)
{
	if (images_plan(b->a, b->store, &b->any, err) < 0)
		return -1;
	if (refuse_dir(in->profile, err) < 0 || build_open_context(b, in->project, err) < 0 ||
	    make_file(b, err) < 0)
		return -1;
	return build_read_epoch(b, in->check, err);
}

static int run(struct build *b, const struct build_profile *in, struct base *ret, struct err *err)
{
	struct streams streams = {-1, -1, 0};
	struct err why = {0};
	int r;

	if (begin(b, in, err) < 0 || streams_away(&streams, err) < 0)
		return -1;
	r = build_it(b, in, ret, err);
	if (streams_back(&streams, &why) < 0 && r == 0) {
		*err = why;
		return -1;
	}
	if (r < 0)
		return -1;
	return images_unpack(b->a, b->store, in->plan ? in->plan : b->any, &ret->info, &ret->chain,
			     err);
}

int build_profile(struct arena *a, const struct build_profile *in, struct base *ret,
		  struct err *err)
{
	struct base base = {.pin = PIN_NONE};
	struct build b = {
		.a = a,
		.store = in->store,
		.profile = in->profile,
		.context = "",
		.context_fd = -1,
		.of_profile = true,
		.allowed = in->allowed,
		.no_cache = in->no_cache || in->check,
		.cached_only = in->cached_only,
		.unlocked = in->unlocked,
		.pin = PIN_NONE,
	};
	int r;

	care_tidy(a, in->store);
	if (pin_make(in->store, &b.pin, err) < 0)
		return -1;
	r = run(&b, in, &base, err);
	cleanup_fd(&b.context_fd);
	for (size_t i = 0; i < b.n_stages; i++)
		base_done(in->store, &b.stages[i].base);
	if (r < 0) {
		pin_done(in->store, &b.pin);
		return -1;
	}
	base.pin = b.pin;
	*ret = base;
	return 0;
}

/* ---- for environments ---- */

/* The image that the lock file pins for these very steps, and the files that they name, is here: *ret_there. */
static int get_locked(struct arena *a, const struct base_for *f, const struct profile *p,
		      struct base *ret, bool *ret_there, struct err *err)
{
	struct base b = {.ref = profile_base(a, p), .pin = PIN_NONE};
	struct lockfile lock;
	struct image image;
	bool there;

	*ret_there = false;
	build_recipe(a, p, f->project, b.build);
	if (lock_read(a, f->project, &lock, &there, err) < 0)
		return -1;
	if (!there || !lock.build.image || strcmp(lock.build.steps, b.build) != 0 ||
	    !blob_has(f->store, lock.build.manifest))
		return 0;
	/* A stranger's lock may name any digest: then it is built, of steps that are known. */
	if (!f->allowed && images_of_manifest(a, f->store, lock.build.manifest, f->project,
					      &image) != TRUST_IMAGE_PUBLIC)
		return 0;
	if (pin_make(f->store, &b.pin, err) < 0)
		return -1;
	if (image_info(a, f->store, lock.build.manifest, &b.info, err) < 0 ||
	    images_pin(&b.pin, &b.info, err) < 0 ||
	    images_unpack(a, f->store, f->plan, &b.info, &b.chain, err) < 0) {
		pin_done(f->store, &b.pin);
		return -1;
	}
	*ret_there = true;
	*ret = b;
	return 0;
}

int build_base_of(struct arena *a, const struct base_for *f, const struct profile *p,
		  struct base *ret, struct err *err)
{
	const struct build_profile in = {.store = f->store,
					 .project = f->project,
					 .profile = p,
					 .plan = f->plan,
					 .allowed = f->allowed};
	struct base b = {0};
	bool there = false;

	if (p->build.n == 0)
		return base_get(a, f, p, ret, err);
	if (get_locked(a, f, p, ret, &there, err) < 0)
		return -1;
	if (there)
		return 0;
	if (build_profile(a, &in, &b, err) < 0)
		return -1;
	if (lock_check_build(a, p, f->project, &b.info, err) < 0) {
		base_done(f->store, &b);
		return -1;
	}
	*ret = b;
	return 0;
}
