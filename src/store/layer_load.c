#include "store/layer_load.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/env.h"
#include "store/inflate.h"
#include "store/layer.h"
#include "store/skeleton.h"
#include "store/split.h"
#include "store/unpack.h"

#define ENTRIES_MAX ((uint64_t)10 * 1000 * 1000)
#define BYTES_MAX ((uint64_t)1 << 40)
/* No honest tar compresses better, beyond its first few bytes. */
#define RATIO 1000U
#define SLACK ((uint64_t)64 << 20)
#define BLOCK ((size_t)256 << 10)

/* What flows: bytes that are read, the tar that they become, and where it goes. */
struct load {
	const struct layer_load *in;
	struct digest *blob;
	bool once; /* the two digests are to be the same: only a plain tar has that, and is hashed once */
	uint64_t read;
	struct inflate *inflate;
	struct digest *tar;
	uint64_t tar_size;
	struct skeleton_writer *skeleton;
	struct split *split;
};

struct untar_limits layer_load_limits(uint64_t compressed)
{
	struct untar_limits l = {.entries = ENTRIES_MAX, .bytes = BYTES_MAX};

	if (compressed > 0 && compressed < (BYTES_MAX - SLACK) / RATIO)
		l.bytes = compressed * RATIO + SLACK;
	return l;
}

static void load_done(struct load *l)
{
	digest_free(&l->blob);
	inflate_free(&l->inflate);
	digest_free(&l->tar);
	split_free(&l->split);
	skeleton_abort(&l->skeleton);
}

static ssize_t read_compressed(void *ctx, void *p, size_t n, struct err *err)
{
	struct load *l = ctx;
	ssize_t got = l->in->read(l->in->ctx, p, n, err);

	if (got <= 0)
		return got;
	l->read += (uint64_t)got;
	if (l->in->blob && !l->once)
		digest_add(l->blob, p, (size_t)got);
	if (l->in->progress)
		l->in->progress(l->in->progress_ctx, l->read, l->in->size);
	return got;
}

/* A stranger's few bytes must not keep this machine busy for hours. */
static int check_growth(const struct load *l, struct err *err)
{
	uint64_t most = l->read < (BYTES_MAX - SLACK) / RATIO ? l->read * RATIO + SLACK : BYTES_MAX;

	if (l->tar_size <= most)
		return 0;
	err_set(err, "cannot take the layer: %" PRIu64 " bytes of it become more than %" PRIu64,
		l->read, most);
	if (err)
		err->errnum = EFBIG;
	return -1;
}

static ssize_t read_tar(void *ctx, void *p, size_t n, struct err *err)
{
	struct load *l = ctx;
	ssize_t got = inflate_read(l->inflate, p, n, err);

	if (got <= 0)
		return got;
	l->tar_size += (uint64_t)got;
	digest_add(l->tar, p, (size_t)got);
	if (check_growth(l, err) < 0 || split_feed(l->split, p, (size_t)got, err) < 0)
		return -1;
	return got;
}

static int other_digest(const char *what, const char *want, const char *found, struct err *err)
{
	err_set(err, "cannot take the layer: %s sha256:%s, not sha256:%s", what, found, want);
	if (err)
		err->errnum = EBADMSG;
	return -1;
}

/* All was read: is it what was asked for? */
static int check_digests(struct load *l, char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	char blob[DIGEST_HEX + 1];
	char hex[DIGEST_HEX + 1];

	digest_end(TAKE_PTR(l->blob), blob);
	digest_end(TAKE_PTR(l->tar), hex);
	if (l->once && !inflate_is_plain(l->inflate))
		return err_errno(err, EBADMSG,
				 "cannot take the layer: it is compressed, so sha256:%s cannot be "
				 "its digest and that of its tar",
				 l->in->blob);
	if (l->in->blob && !l->once && !str_eq(l->in->blob, blob))
		return other_digest("what came has the digest", l->in->blob, blob, err);
	if (l->in->diff_id && !str_eq(l->in->diff_id, hex))
		return other_digest("its tar has the digest", l->in->diff_id, hex, err);
	memcpy(ret_hex, hex, sizeof(hex));
	return 0;
}

static int unpack_all(struct load *l, const struct layer_stage *stage, struct err *err)
{
	const struct untar_limits limits =
		l->in->limits ? *l->in->limits : layer_load_limits(l->in->size);
	_cleanup_untar_ struct untar *u = NULL;
	_cleanup_fd_ int tree = -1;

	if (layer_stage_tree(stage, &tree, err) < 0)
		return -1;
	if (l->in->owners && fchown(tree, 0, 0) < 0)
		return err_errno(err, errno, "cannot give a folder to root");
	if (untar_open(read_tar, l, &limits, &u, err) < 0)
		return -1;
	untar_watch(u, split_entry, l->split);
	if (unpack(u, tree, l->in->owners, err) < 0)
		return -1;
	return split_end(l->split, err);
}

/*
 * It cannot be unpacked.  Where what came is not even what was asked for, that says more, so the rest is read, too.
 * Without inflating it: nobody knows to what.
 */
static int spoiled(struct load *l, struct err *err)
{
	_cleanup_free_ char *block = xmalloc(BLOCK);
	struct err why = {0};
	char hex[DIGEST_HEX + 1];
	ssize_t n;

	if (!l->in->blob || (err && err->errnum != EBADMSG) ||
	    (l->once && !inflate_is_plain(l->inflate)))
		return -1;
	while ((n = l->once ? inflate_read(l->inflate, block, BLOCK, &why)
			    : read_compressed(l, block, BLOCK, &why)) > 0) {
		if (l->once)
			digest_add(l->tar, block, (size_t)n);
	}
	if (n < 0)
		return -1;
	digest_end(l->once ? TAKE_PTR(l->tar) : TAKE_PTR(l->blob), hex);
	return str_eq(hex, l->in->blob)
		       ? -1
		       : other_digest("what came has the digest", l->in->blob, hex, err);
}

static int fill(struct load *l, const struct layer_stage *stage, struct layer_info *info,
		struct err *err)
{
	if (skeleton_create(stage->fd, LAYER_SKELETON, &l->skeleton, err) < 0)
		return -1;
	l->once = l->in->blob && l->in->diff_id && str_eq(l->in->blob, l->in->diff_id);
	l->blob = digest_new();
	l->tar = digest_new_beside();
	l->inflate = inflate_new(read_compressed, l);
	l->split = split_new(l->skeleton);
	if (unpack_all(l, stage, err) < 0)
		return spoiled(l, err);
	if (check_digests(l, info->digest, err) < 0 ||
	    skeleton_finish(TAKE_PTR(l->skeleton), err) < 0)
		return -1;
	info->map = l->in->map;
	info->host = l->in->host;
	info->created = l->in->now;
	info->entries = split_entries(l->split);
	info->bytes = split_contents(l->split);
	info->tar_size = l->tar_size;
	return 0;
}

static int publish(const struct layer_load *in, const struct layer_stage *stage,
		   const struct layer_info *info, bool *ret_new, struct err *err)
{
	if (layer_stage_info(stage, info, err) < 0)
		return -1;
	/* Once for all of it, instead of once a file. */
	if (syncfs(stage->fd) < 0)
		return err_errno(err, errno, "cannot write the layer to the disk");
	return layer_publish(in->store, stage, info->digest, ret_new, err);
}

int layer_load(const struct layer_load *in, char ret_digest[DIGEST_HEX + 1], bool *ret_new,
	       struct err *err)
{
	__attribute__((cleanup(layer_stage_done))) struct layer_stage stage = {.fd = -1};
	__attribute__((cleanup(load_done))) struct load l = {.in = in};
	_cleanup_arena_ struct arena *a = arena_new();
	struct layer_info info = {0};
	bool fresh = false;
	int r;

	if (layer_stage_make(a, in->store, &stage, err) < 0)
		return -1;
	r = fill(&l, &stage, &info, err);
	if (r == 0)
		r = publish(in, &stage, &info, &fresh, err);
	if (r < 0 || !fresh)
		layer_stage_remove(in->store, &stage);
	if (r < 0)
		return store_hint(err);
	memcpy(ret_digest, info.digest, sizeof(info.digest));
	*ret_new = fresh;
	return 0;
}
