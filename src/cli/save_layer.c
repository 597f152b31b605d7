#include "cli/save_layer.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/env.h"
#include "store/layer.h"
#include "store/layer_tar.h"

#define CHUNK (1U << 18)

struct job {
	const struct store *store;
	const struct commit *layer;
	int out;
};

static int save_inside(void *arg, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_layer_tar_ struct layer_tar *t = NULL;
	_cleanup_free_ char *space = xmalloc(CHUNK);
	const struct job *job = arg;
	_cleanup_fd_ int fd = -1;
	char digest[DIGEST_HEX + 1];
	ssize_t n;

	/* The parent is the one to end by it: it would not know why we did. */
	(void)signal(SIGPIPE, SIG_IGN);
	if (layer_open(a, job->store, job->layer->digest, &fd, NULL, err) < 0 ||
	    layer_tar_open(fd, job->layer->tree, &t, err) < 0)
		return -1;
	while ((n = layer_tar_read(t, space, CHUNK, err)) > 0) {
		if (fs_write_all(job->out, space, (size_t)n) < 0)
			return err_errno(err, errno, "cannot write the layer");
	}
	if (n < 0 || layer_tar_digest(t, digest, err) < 0)
		return -1;
	if (strcmp(digest, job->layer->digest) == 0)
		return 0;
	err_set(err, "the layer %s is damaged: what came out of it is not what went in",
		job->layer->digest);
	return err_hint(err, "sbx fsck tells more");
}

/* The file beside `output` that becomes it when all is there; -1 and `err`. */
static int open_output(const char *beside, int *ret_fd, struct err *err)
{
	*ret_fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (*ret_fd < 0)
		return err_errno(err, errno, "cannot write '%s'", beside);
	return 0;
}

static int save_to_file(struct arena *a, const struct plan *plan, struct job *job,
			const char *output, struct err *err)
{
	const char *beside = arena_printf(a, "%s.part", output);
	_cleanup_fd_ int fd = -1;

	if (open_output(beside, &fd, err) < 0)
		return -1;
	job->out = fd;
	if (userns_call(plan, save_inside, job, err) == 0) {
		if (fsync(fd) == 0 && rename(beside, output) == 0)
			return 0;
		(void)err_errno(err, errno, "cannot write '%s'", output);
	}
	(void)unlink(beside);
	return -1;
}

int save_layer(struct arena *a, const struct save_layer *in, struct err *err)
{
	struct job job = {.store = in->store, .layer = in->layer, .out = STDOUT_FILENO};

	if (in->output)
		return save_to_file(a, in->plan, &job, in->output, err);
	if (userns_call(in->plan, save_inside, &job, err) == 0)
		return 0;
	/* `| head`: end as any program does. */
	if (err->errnum == EPIPE)
		(void)raise(SIGPIPE);
	return -1;
}
