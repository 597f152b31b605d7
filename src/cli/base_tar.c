/* A root in a tar, or a layer of the store, as an image of one layer. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/base.h"
#include "cli/care.h"
#include "cli/progress.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/layer.h"
#include "store/layer_load.h"
#include "store/layer_pack.h"
#include "store/layer_tree.h"

struct reading {
	struct layer_load load;
	struct progress progress;
	int fd;
	char (*digest)[DIGEST_HEX + 1]; /* shared with the child */
};

static ssize_t read_part(void *ctx, void *p, size_t n, struct err *err)
{
	const struct reading *r = ctx;
	ssize_t got = read(r->fd, p, n);

	return got < 0 ? err_errno(err, errno, "cannot read it") : got;
}

static int load_inside(void *arg, struct err *err)
{
	struct reading *r = arg;
	bool fresh;
	int e;

	progress_begin(&r->progress, "unpacking");
	e = layer_load(&r->load, *r->digest, &fresh, err);
	progress_end(&r->progress);
	return e;
}

/* What tells whether the file is the one that was read. */
static const char *state_of(struct arena *a, const struct stat *st)
{
	return arena_printf(a, "tar %" PRIuMAX ".%" PRIuMAX ".%" PRIdMAX ".%" PRIdMAX ".%ld",
			    (uintmax_t)st->st_dev, (uintmax_t)st->st_ino, (intmax_t)st->st_size,
			    (intmax_t)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

static const char *map_of(const struct plan *plan)
{
	const struct env e = {.rung = (int)plan->rung,
			      .as = 1 + (plan->as_root ? (int)AS_ROOT : (int)AS_SELF)};

	return env_map_name(&e);
}

/* Its blob, made in the namespace of its tree's map. */
struct packing {
	const struct store *store;
	const char *digest;
	struct packed {
		char digest[DIGEST_HEX + 1];
		uint64_t size;
	} * ret; /* shared with the child */
};

static int pack_inside(void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const struct packing *p = arg;
	struct form form;

	if (layer_pack(p->store, p->digest, LAYER_TREE, LAYER_ZSTD, &form, err) < 0)
		return -1;
	memcpy(p->ret->digest, form.digest, sizeof(form.digest));
	p->ret->size = form.size;
	return 0;
}

static int pack(struct arena *a, const struct base_source *src, const struct layer_info *info,
		struct oci_descriptor *ret, struct err *err)
{
	struct packing p = {.store = src->store, .digest = info->digest};
	const struct plan *plan;

	p.ret = care_shared(sizeof(*p.ret));
	if (care_plan(a, src->store, info->map, &plan, err) < 0 ||
	    userns_call(plan, pack_inside, &p, err) < 0 ||
	    pin_add(src->pin, p.ret->digest, err) < 0)
		return -1;
	*ret = (struct oci_descriptor){.media_type = layer_form_media_type(LAYER_ZSTD),
				       .size = p.ret->size};
	memcpy(ret->digest, p.ret->digest, sizeof(ret->digest));
	return 0;
}

/* An image of the layer, under the name: the same of the same tar anywhere, so that no time of here is in it. */
static int make_image(struct arena *a, const struct base_source *src, const char *digest,
		      const char *source, char ret_manifest[DIGEST_HEX + 1], struct err *err)
{
	struct commit c = {.digest = digest, .message = "", .by = "image", .tree = LAYER_TREE};
	const struct chain chain = {&c, 1};
	struct oci_descriptor d;
	struct image_make make = {.chain = &chain, .layers = &d};
	struct image image = {.ref = src->name, .created = (int64_t)time(NULL), .source = source};
	_cleanup_fd_ int fd = -1;
	struct layer_info info;

	if (pin_add(src->pin, digest, err) < 0 ||
	    layer_open(a, src->store, digest, &fd, &info, err) < 0 ||
	    pack(a, src, &info, &d, err) < 0)
		return -1;
	if (info.host) {
		oci_pair_put(a, &make.annotations, OCI_NOTE_BASE, "host");
		oci_pair_put(a, &make.annotations, OCI_NOTE_HOST, info.host);
	}
	if (image_make(a, src->store, &make, image.manifest, err) < 0 ||
	    pin_add(src->pin, image.manifest, err) < 0 || image_put(src->store, &image, err) < 0)
		return -1;
	memcpy(ret_manifest, image.manifest, DIGEST_HEX + 1);
	return 0;
}

int base_read_tar(struct arena *a, const struct base_source *src, char ret_manifest[DIGEST_HEX + 1],
		  struct err *err)
{
	struct reading r = {
		.load = {.store = src->store,
			 .map = map_of(src->plan),
			 .owners = src->plan->rung == RUNG_SUBIDS,
			 .now = 0,
			 .progress = progress_tell},
	};
	_cleanup_fd_ int fd = -1;
	const char *state;
	struct image image;
	struct err why = {0};
	struct stat st;

	if (base_open(src, O_NONBLOCK | O_NOCTTY | (src->source ? O_NOFOLLOW : 0), &fd, err) < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, "cannot use '%s' as a root: it is no file", src->path);
	state = src->source ? src->source : state_of(a, &st);
	if (!src->source && image_get(a, src->store, src->name, &image, &why) == 0 &&
	    str_eq(image.source, state)) {
		memcpy(ret_manifest, image.manifest, DIGEST_HEX + 1);
		return 0;
	}
	r.fd = fd;
	r.digest = care_shared(sizeof(*r.digest));
	r.load.read = read_part;
	r.load.ctx = &r;
	r.load.size = (uint64_t)st.st_size;
	r.load.progress_ctx = &r.progress;
	if (userns_call(src->plan, load_inside, &r, err) < 0)
		return err_prefix(err, "cannot use '%s' as a root", src->path);
	return make_image(a, src, *r.digest, state, ret_manifest, err);
}

int base_read_layer(struct arena *a, const struct base_source *src, const char *digest,
		    char ret_manifest[DIGEST_HEX + 1], struct err *err)
{
	struct image image;
	struct err why = {0};

	if (image_get(a, src->store, src->name, &image, &why) < 0)
		return make_image(a, src, digest, "layer", ret_manifest, err);
	memcpy(ret_manifest, image.manifest, DIGEST_HEX + 1);
	return 0;
}
