#include "cli/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/images.h"
#include "cli/lock.h"
#include "cli/remote.h"
#include "conf/image.h"
#include "conf/profile.h"
#include "plan/plan.h"

/* A reference in its parts, with what it is called in the store. */
struct named {
	enum base_kind kind;
	const char *name;
	const char *path;     /* oci, tar: absolute */
	const char *tag;      /* oci: or NULL */
	struct image_ref ref; /* of a registry */
	const char *digest;   /* layer */
	bool pulled;          /* just now */
};

static const char *absolute(struct arena *a, const char *project, const char *path)
{
	const char *home = getenv("HOME");
	const char *full = home ? path_expand_home(a, path, home) : path;

	return path_clean(a, full[0] == '/' ? full : path_join(a, project, full));
}

/* "DIR:TAG"; a folder whose own name has a colon is written with a '/' behind it. */
static void split_layout(struct arena *a, const char *project, const char *text, struct named *ret)
{
	const char *colon = strrchr(text, ':');

	if (colon && !strchr(colon, '/') && colon > text) {
		ret->tag = arena_strdup(a, colon + 1);
		text = arena_strndup(a, text, (size_t)(colon - text));
	}
	ret->path = absolute(a, project, text);
	ret->name = arena_printf(a, "oci:%s%s%s", ret->path, ret->tag ? ":" : "",
				 ret->tag ? ret->tag : "");
}

static int split(struct arena *a, const char *ref, const char *project, struct named *ret,
		 struct err *err)
{
	*ret = (struct named){.kind = BASE_REGISTRY};
	if (str_starts(ref, "oci:")) {
		ret->kind = BASE_OCI;
		split_layout(a, project, ref + strlen("oci:"), ret);
	} else if (str_starts(ref, "tar:")) {
		ret->kind = BASE_TAR;
		ret->path = absolute(a, project, ref + strlen("tar:"));
		ret->name = arena_printf(a, "tar:%s", ret->path);
	} else if (str_starts(ref, "layer:")) {
		ret->kind = BASE_LAYER;
		ret->digest = ref + strlen("layer:");
		if (str_starts(ret->digest, "sha256:"))
			ret->digest += strlen("sha256:");
		if (!image_is_hex(ret->digest))
			return err_set(err, "cannot use '%s' as a base: it is no digest", ref);
		ret->name = arena_printf(a, "layer:%s", ret->digest);
	} else {
		if (image_ref_parse(a, ref, &ret->ref, err) < 0)
			return err_prefix(err, "cannot use '%s' as a base", ref);
		ret->name = ret->ref.full;
	}
	return 0;
}

int base_name(struct arena *a, const char *ref, const char *project, const char **ret,
	      struct err *err)
{
	struct named n;

	if (split(a, ref, project, &n, err) < 0)
		return -1;
	*ret = n.name;
	return 0;
}

const char *base_known(struct arena *a, const struct store *s, const char *ref, const char *project)
{
	struct err why = {0};
	struct image image;
	struct named n;

	if (split(a, ref, project, &n, &why) < 0 || image_get(a, s, n.name, &image, &why) < 0)
		return NULL;
	return arena_strdup(a, image.manifest);
}

/* What lies in the project may have been shaped by what ran in a sandbox: no link in it leads out. */
int base_open(const struct base_source *src, int flags, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int project = -1;
	_cleanup_fd_ int fd = -1;

	if (path_is_under(src->path, src->project) && !str_eq(src->path, src->project)) {
		project = open(src->project, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (project < 0)
			return err_errno(err, errno, "cannot open the project '%s'", src->project);
		return fs_open_beneath(project, src->path + strlen(src->project) + 1,
				       O_RDONLY | flags, 0, ret_fd, err);
	}
	fd = open(src->path, O_RDONLY | O_CLOEXEC | flags);
	if (fd < 0)
		return err_errno(err, errno, "cannot open '%s'", src->path);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* What the store has of the name, else the registry's. */
static int from_registry(struct arena *a, const struct base_source *src, struct named *n,
			 char ret_manifest[DIGEST_HEX + 1], struct err *err)
{
	const struct remote_options how = {.anonymous = !src->allowed};
	struct remote_result got;
	struct image image;
	struct err why = {0};

	if (images_of_registry(a, src->store, &n->ref, &image, &why) == 0) {
		if (!src->allowed && !str_eq(image.source, IMAGE_PUBLIC)) {
			(void)err_set(
				err,
				"'%s' is an image of your own store, which the profile was not allowed",
				n->name);
			return err_hint(err, "if you trust it, run: sbx allow");
		}
		memcpy(ret_manifest, image.manifest, DIGEST_HEX + 1);
		return 0;
	}
	if (why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	if (str_eq(n->ref.registry, "localhost")) {
		err_errno(err, ENOENT,
			  "cannot use '%s' as a base: the store has no image of that name",
			  n->name);
		return err_hint(err,
				"sbx images lists those that it has; sbx load, sbx build and sbx "
				"init --bootstrap make one");
	}
	log_info("fetching '%s'", n->name);
	if (remote_pull(a, src->store, n->name, &how, &got, err) < 0)
		return -1;
	memcpy(ret_manifest, got.manifest, DIGEST_HEX + 1);
	n->pulled = true;
	return 0;
}

static int find_manifest(struct arena *a, const struct base_source *src, struct named *n,
			 char ret_manifest[DIGEST_HEX + 1], struct err *err)
{
	switch (n->kind) {
	case BASE_OCI:
		return base_read_oci(a, src, ret_manifest, err);
	case BASE_TAR:
		return base_read_tar(a, src, ret_manifest, err);
	case BASE_LAYER:
		return base_read_layer(a, src, n->digest, ret_manifest, err);
	case BASE_REGISTRY:
	case BASE_HOST:
	case BASE_DIR:
		break;
	}
	return from_registry(a, src, n, ret_manifest, err);
}

/* Fills in `b`, whose pin is made. */
static int get_pinned(struct arena *a, const struct base_source *src, struct named *n,
		      struct base *b, struct err *err)
{
	char manifest[DIGEST_HEX + 1];

	if (find_manifest(a, src, n, manifest, err) < 0 ||
	    image_info(a, src->store, manifest, &b->info, err) < 0 ||
	    images_pin(&b->pin, &b->info, err) < 0 ||
	    images_unpack(a, src->store, src->plan, &b->info, &b->chain, err) < 0)
		return -1;
	if (n->pulled)
		remote_remember(a, src->store, n->ref.full, &b->info);
	return 0;
}

static int get(struct arena *a, const struct base_source *from, const char *ref, struct base *ret,
	       struct err *err)
{
	struct base b = {.ref = arena_strdup(a, ref), .pin = PIN_NONE};
	struct base_source src = *from;
	struct named n;

	if (split(a, ref, src.project, &n, err) < 0 || pin_make(src.store, &b.pin, err) < 0)
		return -1;
	src.pin = &b.pin;
	src.name = n.name;
	src.path = n.path;
	src.tag = n.tag;
	if (get_pinned(a, &src, &n, &b, err) < 0) {
		pin_done(src.store, &b.pin);
		return -1;
	}
	*ret = b;
	return 0;
}

static struct base_source source_of(const struct base_for *f)
{
	return (struct base_source){
		.store = f->store, .plan = f->plan, .project = f->project, .allowed = f->allowed};
}

int base_get_ref(struct arena *a, const struct base_for *f, const char *ref, struct base *ret,
		 struct err *err)
{
	struct base_source src = source_of(f);

	return get(a, &src, ref, ret, err);
}

int base_get(struct arena *a, const struct base_for *f, const struct profile *p, struct base *ret,
	     struct err *err)
{
	struct base_source src = source_of(f);
	struct base b = {0};
	const char *ref;
	int r;

	if (!profile_is_image(p)) {
		*ret = b;
		return lock_check_host(a, p, f->project, err);
	}
	ref = profile_base(a, p);
	r = lock_reference(a, p, f->project, &ref, err);
	if (r == 0)
		r = get(a, &src, ref, &b, err);
	if (r == 0) {
		b.ref = profile_base(a, p);
		r = lock_check_image(a, p, f->project, &b.info, err);
		if (r < 0)
			base_done(f->store, &b);
	}
	if (r < 0)
		return p->base.at.file ? err_prefix(err, "%s:%d", p->base.at.file, p->base.at.line)
				       : -1;
	*ret = b;
	return 0;
}

void base_done(const struct store *s, struct base *b)
{
	if (!b || !b->ref)
		return;
	pin_done(s, &b->pin);
	*b = (struct base){0};
}

struct env_from base_from(const struct base *b, const struct plan *plan)
{
	struct env_from from = {
		.image = {.ref = b->ref, .n = b->chain.n, .over_host = b->info.over_host},
		.chain = b->chain,
		.rung = (int)plan->rung,
		.as = 1 + (plan->as_root ? (int)AS_ROOT : (int)AS_SELF),
	};

	memcpy(from.image.manifest, b->info.digest, sizeof(from.image.manifest));
	memcpy(from.image.build, b->build, sizeof(from.image.build));
	return from;
}
