#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/history.h"
#include "cli/images.h"
#include "cli/progress.h"
#include "cli/save_layer.h"
#include "plan/plan.h"
#include "store/archive_out.h"
#include "store/image.h"
#include "store/pin.h"

struct values {
	struct where where;
	const char *layer;
	const char *output;
	const char *format;
	const char *compress;
	const char *name;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{"output", 'o', "FILE", offsetof(struct values, output), "into FILE [standard output]"},
	{"format", 0, "FORMAT", offsetof(struct values, format),
	 "oci, oci-dir (a folder) or docker [oci]", "oci|oci-dir|docker"},
	{"compress", 0, "HOW", offsetof(struct values, compress),
	 "the layers that were made here: gzip, zstd or none [gzip]", "gzip|zstd|none"},
	{"name", 0, "REF", offsetof(struct values, name), "call the image REF in the archive"},
	{"layer", 0, "LAYER", offsetof(struct values, layer), "the tar of this layer alone"},
	{0},
};

struct job {
	struct arena *a;
	struct workplace w;
	struct pin pin;
	struct archive_out out;
	char manifest[DIGEST_HEX + 1];
	enum layer_form how;
	bool any;           /* --compress was not given: layers that are there stay as they are */
	const char *output; /* NULL: standard output */
};

static int read_options(const struct values *v, struct job *job, struct err *err)
{
	static const char *const formats[] = {
		[ARCHIVE_OCI] = "oci", [ARCHIVE_OCI_DIR] = "oci-dir", [ARCHIVE_DOCKER] = "docker"};
	const char *format = v->format ? v->format : "oci";
	int f = 0;

	while (f <= ARCHIVE_DOCKER && strcmp(formats[f], format) != 0)
		f++;
	if (f > ARCHIVE_DOCKER)
		return err_kind(err, ERR_USAGE, "'%s' is no format: oci, oci-dir or docker",
				format);
	job->out.format = (enum archive_format)f;
	job->any = !v->compress && f != ARCHIVE_DOCKER;
	job->how = f == ARCHIVE_DOCKER ? LAYER_PLAIN : LAYER_GZIP;
	for (int i = LAYER_GZIP; v->compress && i <= LAYER_PLAIN; i++) {
		if (strcmp(layer_form_name((enum layer_form)i), v->compress) != 0)
			continue;
		if (f == ARCHIVE_DOCKER && i != LAYER_PLAIN)
			return err_kind(
				err, ERR_USAGE,
				"docker's archives have plain layers: leave out --compress");
		job->how = (enum layer_form)i;
		return 0;
	}
	if (v->compress)
		return err_kind(err, ERR_USAGE, "'%s' is no compression: gzip, zstd or none",
				v->compress);
	return 0;
}

static int write_archive(struct job *job, int fd, struct err *err)
{
	struct progress progress;
	int r;

	job->out.fd = fd;
	job->out.progress = progress_tell;
	job->out.progress_ctx = &progress;
	progress_begin(&progress, "saving");
	r = archive_out(job->a, &job->out, err);
	progress_end(&progress);
	return r;
}

/* Beside it, and renamed when all is there. */
static int write_to_file(struct job *job, struct err *err)
{
	const char *beside = arena_printf(job->a, "%s.part", job->output);
	_cleanup_fd_ int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0)
		return err_errno(err, errno, "cannot write '%s'", beside);
	if (write_archive(job, fd, err) == 0) {
		if (fsync(fd) == 0 && rename(beside, job->output) == 0)
			return 0;
		(void)err_errno(err, errno, "cannot write '%s'", job->output);
	}
	(void)unlink(beside);
	return -1;
}

static int write_to_folder(struct job *job, struct err *err)
{
	const char *beside = arena_printf(job->a, "%s.part", job->output);
	_cleanup_fd_ int fd = -1;

	if (access(job->output, F_OK) == 0) {
		err_errno(err, EEXIST, "cannot write '%s'", job->output);
		return err_hint(err, "name a folder that is not there yet");
	}
	if (fs_remove_tree_at(AT_FDCWD, beside, err) < 0)
		return -1;
	if (mkdir(beside, 0777) < 0)
		return err_errno(err, errno, "cannot make '%s'", beside);
	fd = open(beside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open '%s'", beside);
	if (write_archive(job, fd, err) == 0) {
		if (syncfs(fd) == 0 && rename(beside, job->output) == 0)
			return 0;
		(void)err_errno(err, errno, "cannot write '%s'", job->output);
	}
	(void)fs_remove_tree_at(AT_FDCWD, beside, NULL);
	return -1;
}

static int write_out(struct job *job, struct err *err)
{
	if (job->out.format == ARCHIVE_OCI_DIR)
		return write_to_folder(job, err);
	if (job->output)
		return write_to_file(job, err);
	(void)signal(SIGPIPE, SIG_IGN);
	if (write_archive(job, STDOUT_FILENO, err) == 0)
		return 0;
	/* `| head`: end as any program does. */
	if (err->errnum == EPIPE) {
		(void)signal(SIGPIPE, SIG_DFL);
		(void)raise(SIGPIPE);
	}
	return -1;
}

static int save_image(struct job *job, const struct where *where, const char *word, struct err *err)
{
	const struct images_what what = {.w = &job->w,
					 .where = where,
					 .word = word,
					 .how = job->how,
					 .any = job->any,
					 .pin = &job->pin};
	const char *ref = NULL;

	/* For a tag or layer of the environment it is opened once more, with the project. */
	if (store_open(job->a, &job->w.store, err) < 0 ||
	    pin_make(&job->w.store, &job->pin, err) < 0 ||
	    images_what(job->a, &what, job->manifest, &ref, err) < 0)
		return -1;
	if (!job->out.ref)
		job->out.ref = ref;
	job->out.store = &job->w.store;
	job->out.manifest = job->manifest;
	if (write_out(job, err) < 0)
		return -1;
	log_info("saved '%s', sha256:%s", job->out.ref ? job->out.ref : word, job->manifest);
	return 0;
}

static int save_one_layer(const struct cli *cli, const struct values *v, struct err *err)
{
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct save_layer in = {.store = &w.store, .output = v->output};
	struct chain chain;

	if (cli->args.n > 0)
		return err_kind(err, ERR_USAGE, "--layer names what is saved: leave out '%s'",
				cli->args.v[0]);
	if (history_open(cli->a, &v->where, false, &w, err) < 0 ||
	    history_settle(cli->a, &w, err) < 0 ||
	    history_chain(cli->a, &w, v->layer, &chain, err) < 0)
		return -1;
	if (chain.n == 0)
		return err_kind(err, ERR_USAGE, "'%s' has no layer that could be saved", v->layer);
	in.layer = &chain.v[chain.n - 1];
	if (history_plan(cli->a, &w, &in.plan, err) < 0)
		return -1;
	return save_layer(cli->a, &in, err);
}

static int save(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	struct job job = {.a = cli->a, .w = WORKPLACE_EMPTY, .pin = PIN_NONE, .output = v->output};
	int r;

	if (!v->output && isatty(STDOUT_FILENO)) {
		err_kind(err, ERR_USAGE, "a tar is nothing for a terminal");
		return err_hint(err, "name a file: sbx save%s%s -o %s.tar",
				v->layer ? " --layer " : "", v->layer ? v->layer : "",
				v->layer ? "layer" : "image");
	}
	if (v->layer)
		return save_one_layer(cli, v, err);
	if (read_options(v, &job, err) < 0 ||
	    (v->name && images_name(cli->a, v->name, false, &job.out.ref, err) < 0))
		return -1;
	if (job.out.format == ARCHIVE_OCI_DIR && !v->output) {
		err_kind(err, ERR_USAGE, "a folder is nothing for standard output");
		return err_hint(err, "name it: sbx save --format oci-dir -o FOLDER");
	}
	r = save_image(&job, &v->where, cli->args.n > 0 ? cli->args.v[0] : NULL, err);
	pin_done(&job.w.store, &job.pin);
	workplace_done(&job.w);
	return r;
}

const struct command *cmd_save(void)
{
	static const struct command row = {
		.table =
			{.name = "save",
			 .args = "[WHAT]",
			 .summary = "write an image for others, or a layer's tar",
			 .details =
				 "Write the environment's layers as an image that skopeo, podman and docker read.\n"
				 "WHAT is a tag, a layer (with all below it) or the name of an image.  An image that came\n"
				 "from elsewhere keeps every digest.  With --layer, write the tar of one layer: its\n"
				 "SHA-256 is the layer's digest, in OCI's words its diffID.",
			 .opts = opts,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = save,
	};

	return &row;
}
