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
#include "base/str.h"
#include "cli/command.h"
#include "cli/history.h"
#include "plan/plan.h"
#include "run/view.h"
#include "store/layer.h"
#include "store/layer_tar.h"

#define CHUNK (1U << 18)

struct values {
	struct where where;
	const char *layer;
	const char *output;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"layer", 0, "LAYER", offsetof(struct values, layer), "the tar of this layer alone"},
	{"output", 'o', "FILE", offsetof(struct values, output), "into FILE [standard output]"},
	{0},
};

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

static int save(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct job job = {.store = &w.store, .out = STDOUT_FILENO};
	const struct plan *plan;
	struct chain chain;

	if (!v->layer) {
		err_kind(err, ERR_USAGE, "sbx save needs --layer");
		return err_hint(err, "'sbx log' shows the layers");
	}
	if (!v->output && isatty(STDOUT_FILENO)) {
		err_kind(err, ERR_USAGE, "a tar is nothing for a terminal");
		return err_hint(err, "name a file: sbx save --layer %s -o layer.tar", v->layer);
	}
	if (history_open(cli->a, &v->where, &w, err) < 0 || history_settle(cli->a, &w, err) < 0 ||
	    history_chain(cli->a, &w, v->layer, &chain, err) < 0)
		return -1;
	if (chain.n == 0)
		return err_kind(err, ERR_USAGE, "'%s' has no layer that could be saved", v->layer);
	job.layer = &chain.v[chain.n - 1];
	if (history_plan(cli->a, &w, &plan, err) < 0)
		return -1;
	if (v->output)
		return save_to_file(cli->a, plan, &job, v->output, err);
	if (userns_call(plan, save_inside, &job, err) == 0)
		return 0;
	/* `| head`: end as any program does. */
	if (err->errnum == EPIPE)
		(void)raise(SIGPIPE);
	return -1;
}

const struct command *cmd_save(void)
{
	static const struct command row = {
		.table =
			{.name = "save",
			 .args = NULL,
			 .summary = "write a layer as a tar",
			 .details =
				 "Write the tar of a layer: its SHA-256 is the layer's digest, in OCI's words\n"
				 "its diffID.",
			 .opts = opts},
		.values_size = sizeof(struct values),
		.run = save,
	};

	return &row;
}
