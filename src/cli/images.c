#include "cli/images.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/care.h"
#include "cli/progress.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/blob.h"
#include "store/form.h"
#include "store/image.h"
#include "store/layer.h"
#include "store/layer_load.h"
#include "store/layer_tree.h"
#include "store/pin.h"

#define PIPE_BLOCK ((size_t)1 << 20)

int images_plan(struct arena *a, const struct store *s, const struct plan **ret, struct err *err)
{
	return care_plan(a, s, NULL, ret, err);
}

int images_pin(const struct pin *pin, const struct image_info *info, struct err *err)
{
	if (pin_add(pin, info->digest, err) < 0 ||
	    pin_add(pin, info->manifest.config.digest, err) < 0)
		return -1;
	for (size_t i = 0; i < info->manifest.n; i++) {
		if (pin_add(pin, info->manifest.layers[i].digest, err) < 0 ||
		    pin_add(pin, info->config.diff_ids[i], err) < 0)
			return -1;
	}
	return 0;
}

static const char *map_of(const struct plan *plan)
{
	const struct env e = {.rung = (int)plan->rung, .as = plan->as_root ? 2 : 1};

	return env_map_name(&e);
}

struct job {
	struct layer_load load;
	int fd; /* borrowed: the blob */
	struct progress *progress;
	int not_ours; /* the pipe's other end, which the child must not hold; -1: none */
};

static ssize_t read_blob(void *ctx, void *p, size_t n, struct err *err)
{
	const struct job *job = ctx;
	ssize_t r = read(job->fd, p, n);

	return r < 0 ? err_errno(err, errno, "cannot read the blob") : r;
}

static int load_inside(void *arg, struct err *err)
{
	struct job *job = arg;
	char digest[DIGEST_HEX + 1];
	bool fresh = false;
	int r;

	cleanup_fd(&job->not_ours);
	r = layer_load(&job->load, digest, &fresh, err);
	progress_end(job->progress);
	return r;
}

/* It has just been checked that this blob is that layer: nobody needs to compress or send it again. */
static void remember_form(struct arena *a, const struct store *s, const struct oci_descriptor *blob,
			  const char *diff_id)
{
	struct form form = {.size = blob->size, .media_type = blob->media_type};

	memcpy(form.digest, blob->digest, sizeof(form.digest));
	(void)form_add(a, s, diff_id, &form, NULL, NULL);
}

/* What is the same for all layers. */
static void prepare(struct job *job, const struct store *s, const struct plan *plan)
{
	job->load.store = s;
	job->load.read = read_blob;
	job->load.ctx = job;
	job->load.map = map_of(plan);
	job->load.owners = plan->rung == RUNG_SUBIDS;
	job->load.now = (int64_t)time(NULL);
	job->load.progress = progress_tell;
	job->load.progress_ctx = job->progress;
}

static int load(struct arena *a, const struct store *s, const struct plan *plan,
		const struct image_info *info, size_t i, struct err *err)
{
	const char *what = arena_printf(a, "unpacking layer %zu of %zu", i + 1, info->manifest.n);
	const struct oci_descriptor *blob = &info->manifest.layers[i];
	_cleanup_fd_ int fd = -1;
	struct progress progress;
	struct job job = {.progress = &progress, .not_ours = -1};

	if (blob_open(s, blob->digest, &fd, &job.load.size, err) < 0)
		return -1;
	progress_begin(&progress, what);
	prepare(&job, s, plan);
	job.fd = fd;
	job.load.blob = blob->digest;
	job.load.diff_id = info->config.diff_ids[i];
	job.load.host = info->host;
	if (userns_call(plan, load_inside, &job, err) < 0)
		return -1;
	remember_form(a, s, blob, job.load.diff_id);
	return 0;
}

/* The layer, with its tree for the map. */
static int see_layer(struct arena *a, const struct store *s, const struct plan *plan,
		     const struct image_info *info, size_t i, struct err *err)
{
	struct layer_tree t = {
		.store = s,
		.digest = info->config.diff_ids[i],
		.map = map_of(plan),
		.owners = plan->rung == RUNG_SUBIDS,
	};
	struct err why = {0};
	const char *name;
	bool there = false;

	if (layer_tree_find(a, &t, &name, &there, &why) == 0)
		return there ? 0 : userns_call(plan, layer_tree_make, &t, err);
	if (why.errnum == ENOENT)
		return load(a, s, plan, info, i, err);
	*err = why;
	return -1;
}

int images_unpack(struct arena *a, const struct store *s, const struct plan *plan,
		  const struct image_info *info, struct chain *ret, struct err *err)
{
	for (size_t i = 0; i < info->manifest.n; i++) {
		if (see_layer(a, s, plan, info, i, err) < 0)
			return err_prefix(err, "layer %zu of %zu", i + 1, info->manifest.n);
	}
	return image_chain(a, s, info, map_of(plan), ret, err);
}

/* ---- as it comes ---- */

/* Until the child has all, or has ended: that it has, and why, userns_call_end tells. */
static int feed(int pipe_fd, untar_read_fn read_fn, void *ctx, struct err *err)
{
	_cleanup_free_ char *block = xmalloc(PIPE_BLOCK);
	ssize_t n;

	while ((n = read_fn(ctx, block, PIPE_BLOCK, err)) > 0) {
		if (fs_write_all(pipe_fd, block, (size_t)n) == 0)
			continue;
		return errno == EPIPE ? 0 : err_errno(err, errno, "cannot write to a pipe");
	}
	return n < 0 ? -1 : 0;
}

int images_take_layer(void *ctx, const char *hex, uint64_t size, untar_read_fn read_fn,
		      void *read_ctx, struct err *err)
{
	const struct images_taker *t = ctx;
	struct progress progress;
	struct job job = {.progress = &progress, .load.size = size};
	_cleanup_fd_ int from = -1;
	_cleanup_fd_ int to = -1;
	struct userns_job child = {.pid = -1, .report = -1};
	struct err why = {0};
	int ends[2];
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(err, errno, "cannot make a pipe");
	job.fd = from = ends[0];
	job.not_ours = to = ends[1];
	(void)fcntl(to, F_SETPIPE_SZ, PIPE_BLOCK);
	progress_begin(&progress, "unpacking a layer");
	prepare(&job, t->store, t->plan);
	/* Nothing else has the digest of a plain tar. */
	job.load.blob = job.load.diff_id = hex;
	if (userns_call_begin(t->plan, load_inside, &job, &child, err) < 0)
		return -1;
	cleanup_fd(&from);
	r = feed(to, read_fn, read_ctx, &why);
	/* Where the tar was cut, it is our failure that counts, not what the child makes of its end. */
	cleanup_fd(&to);
	if (userns_call_end(&child, err) < 0 && r == 0)
		return -1;
	if (r < 0 && err)
		*err = why;
	return r;
}
