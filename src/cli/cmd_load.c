#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/images.h"
#include "cli/open.h"
#include "cli/out.h"
#include "store/archive_in.h"
#include "store/gc.h"
#include "store/image.h"
#include "store/image_load.h"
#include "store/inflate.h"
#include "store/layer.h"
#include "store/pin.h"

/* A compressed archive may become so many times as large: what does, is made to fill the disk. */
#define RATIO_MAX 1000U
#define RATIO_FREE ((uint64_t)16 << 20)

struct values {
	const char *dir;
	const char *name;
};

static const struct opt opts[] = {
	{"directory", 'C', "DIR", offsetof(struct values, dir), "act as if started in DIR"},
	{"name", 0, "REF", offsetof(struct values, name), "call the image REF"},
	{0},
};

/* The bytes of an archive, as they are and inflated. */
struct source {
	int fd; /* borrowed */
	struct inflate *inflate;
	uint64_t in, out;
};

static ssize_t read_raw(void *ctx, void *p, size_t n, struct err *err)
{
	struct source *s = ctx;
	ssize_t r;

	do
		r = read(s->fd, p, n);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_errno(err, errno, "cannot read it");
	s->in += (uint64_t)r;
	return r;
}

static ssize_t read_inflated(void *ctx, void *p, size_t n, struct err *err)
{
	struct source *s = ctx;
	ssize_t r = inflate_read(s->inflate, p, n, err);

	if (r <= 0)
		return r;
	s->out += (uint64_t)r;
	if (s->out > s->in * RATIO_MAX + RATIO_FREE)
		return err_errno(err, EFBIG, "it becomes more than %u times as large", RATIO_MAX);
	return r;
}

static int read_archive(struct archive_in *in, int fd, struct err *err)
{
	struct source s = {.fd = fd};
	int r;

	s.inflate = inflate_new(read_raw, &s);
	r = archive_in_tar(in, read_inflated, &s, err);
	inflate_free(&s.inflate);
	return r;
}

struct load {
	struct arena *a;
	const struct store *store;
	struct archive_in in;
	struct pin pin;
	struct images_taker taker;
	const char *word; /* what is loaded, as it was called */
	const char *name; /* --name, or NULL */
};

static int open_word(const char *word, int *ret_fd, struct stat *ret_st, struct err *err)
{
	_cleanup_fd_ int fd = strcmp(word, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
						     : open(word, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, ret_st) < 0) {
		err_errno(err, errno, "cannot open '%s'", word);
		return errno == ENOENT ? err_hint(err, "sbx load takes a file or a folder; 'sbx "
						       "pull' gets images from registries")
				       : -1;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* Of "dir/tools-1.oci.tar" it is "tools-1". */
static const char *base_of(struct arena *a, const char *word)
{
	static const char *const endings[] = {".gz",  ".tgz", ".zst",   ".zstd",
					      ".tar", ".oci", ".docker"};
	char *base = arena_strdup(a, path_base(word));

	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		if (str_ends(base, endings[i]))
			base[strlen(base) - strlen(endings[i])] = '\0';
	}
	return strcmp(base, "-") == 0 ? "" : base;
}

static int name_of(const struct load *l, const struct image_loaded *image, const char **ret,
		   struct err *err)
{
	if (l->name)
		return images_name(l->a, l->name, false, ret, err);
	if (image->name && (image->docker || strpbrk(image->name, "/:")))
		return images_name(l->a, image->name, image->docker, ret, err);
	*ret = images_name_for(l->a, base_of(l->a, l->word), image->name ? image->name : "latest");
	return 0;
}

static void warn_of_platform(const struct image_info *info, const char *ref)
{
	const struct oci_platform here = oci_platform_here();
	const struct oci_platform *p = &info->config.platform;

	if (p->architecture && !str_eq(p->architecture, here.architecture))
		log_warn("'%s' is for %s/%s, this machine is %s/%s", ref, p->os ? p->os : "?",
			 p->architecture, here.os, here.architecture);
}

/* Unpack it, so that what has a name is known to be whole. */
static int take(struct load *l, const struct image_loaded *image, struct image *ret,
		struct err *err)
{
	struct image_info info;
	struct chain chain;

	if (name_of(l, image, &ret->ref, err) < 0 ||
	    image_info(l->a, l->store, image->manifest, &info, err) < 0)
		return -1;
	warn_of_platform(&info, ret->ref);
	if (images_unpack(l->a, l->store, l->taker.plan, &info, &chain, err) < 0)
		return -1;
	memcpy(ret->manifest, image->manifest, sizeof(ret->manifest));
	ret->created = (int64_t)time(NULL);
	ret->source = "load";
	return 0;
}

static int put_names(const struct load *l, const struct image *v, size_t n, struct err *err)
{
	_cleanup_fd_ int lock = -1;

	if (layer_lock(l->store, false, &lock, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (image_put(l->store, &v[i], err) < 0)
			return -1;
	}
	return 0;
}

static int take_all(struct load *l, struct image **ret, size_t *ret_n, struct err *err)
{
	struct image_loaded *loaded = NULL;
	struct image *v;
	size_t n = 0;

	if (image_load(&l->in, &loaded, &n, err) < 0)
		return -1;
	if (n > 1 && l->name) {
		err_kind(err, ERR_USAGE, "there are %zu images, and --name is for one", n);
		return err_hint(err, "leave out --name: each has its own");
	}
	v = arena_alloc(l->a, n * sizeof(*v));
	for (size_t i = 0; i < n; i++) {
		if (take(l, &loaded[i], &v[i], err) < 0)
			return -1;
	}
	*ret = v;
	*ret_n = n;
	return put_names(l, v, n, err);
}

static int load_word(struct load *l, struct image **ret, size_t *ret_n, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct stat st = {0};
	int r;

	if (images_plan(l->a, l->store, &l->taker.plan, err) < 0)
		return -1;
	l->taker.store = l->store;
	l->in.layer = images_take_layer;
	l->in.layer_ctx = &l->taker;
	(void)signal(SIGPIPE, SIG_IGN);
	if (open_word(l->word, &fd, &st, err) < 0)
		return -1;
	r = S_ISDIR(st.st_mode) ? archive_in_folder(&l->in, fd, err)
				: read_archive(&l->in, fd, err);
	if (r == 0)
		r = take_all(l, ret, ret_n, err);
	return r < 0 ? err_prefix(err, "cannot load '%s'", l->word) : 0;
}

static int print(const struct image *v, size_t n, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = 0; i < n; i++) {
		buf_printf(&b, "sha256:%s\n", v[i].manifest);
		log_info("loaded '%s'; to use it: sbx init --base %s", v[i].ref, v[i].ref);
	}
	return out_write(&b, err);
}

static int load(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct load l = {.a = cli->a,
			 .store = &w.store,
			 .pin = PIN_NONE,
			 .word = cli->args.v[0],
			 .name = v->name};
	struct image *images = NULL;
	struct err ignored = {0};
	const char *cwd;
	size_t n = 0;
	int r;

	if (open_cwd(cli->a, v->dir, &cwd, err) < 0 || store_open(cli->a, &w.store, err) < 0)
		return -1;
	care_tidy(cli->a, &w.store);
	if (pin_make(&w.store, &l.pin, err) < 0)
		return -1;
	l.in = (struct archive_in){.a = cli->a, .store = &w.store, .pin = &l.pin, .folder = -1};
	r = load_word(&l, &images, &n, err);
	pin_done(&w.store, &l.pin);
	/* What came and is in no image, or all of it. */
	(void)gc_forget(cli->a, &w.store, &l.in.fresh_layers, &l.in.fresh, &ignored);
	archive_in_done(&l.in);
	care_tidy(cli->a, &w.store);
	return r < 0 ? -1 : print(images, n, err);
}

const struct command *cmd_load(void)
{
	static const struct command row = {
		.table =
			{.name = "load",
			 .args = "FILE|FOLDER|-",
			 .summary = "take images from an archive or a folder",
			 .details =
				 "Read an OCI archive, an OCI layout in a folder, or an archive of docker save or\n"
				 "podman save, compressed or not; `-` is standard input.  Each blob is checked against\n"
				 "its digest, each layer is unpacked, and the image is named as the archive has it, or\n"
				 "REF.  Prints the digest of its manifest.  After a failure nothing of it is there.",
			 .opts = opts,
			 .min_args = 1,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = load,
	};

	return &row;
}
