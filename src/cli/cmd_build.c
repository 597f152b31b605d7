#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/build.h"
#include "cli/build_check.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/images.h"
#include "cli/open.h"
#include "cli/out.h"
#include "conf/image.h"
#include "store/project.h"

/* With --check and no SOURCE_DATE_EPOCH: any time will do, as long as it is the same twice. */
#define CHECK_EPOCH 1

struct values {
	struct where where; /* its env is not used */
	const char *file;
	const char *tag;
	const char *target;
	struct strv args;
	bool no_cache;
	bool check;
};

static const struct opt opts[] = {
	OPT_DIRECTORY(struct values),
	{"file", 'f', "FILE", offsetof(struct values, file),
	 "the Containerfile [Containerfile or Dockerfile in CONTEXT]"},
	{"tag", 't', "REF", offsetof(struct values, tag),
	 "the image's name [localhost/FOLDER:latest]"},
	{"target", 0, "STAGE", offsetof(struct values, target), "build up to this stage"},
	{"build-arg", 0, "NAME=VALUE ...", offsetof(struct values, args), "the value of an ARG"},
	{"no-cache", 0, NULL, offsetof(struct values, no_cache), "do every step anew"},
	{"check", 0, NULL, offsetof(struct values, check),
	 "build twice, and compare the digest of each layer"},
	{0},
};

/* ---- what is read ---- */

/* The first of the names that is there: *ret_name, and its text.  None: ENOENT. */
static int read_first(int dir_fd, const char *const *names, size_t limit, const char **ret_name,
		      struct buf *ret, struct err *err)
{
	for (; *names; names++) {
		struct err why = {0};

		if (fs_read_at(dir_fd, *names, limit, ret, &why) == 0) {
			*ret_name = *names;
			return 0;
		}
		if (why.errnum != ENOENT) {
			*err = why;
			return -1;
		}
	}
	return err_errno(err, ENOENT, "cannot open the file");
}

/* The file that was named, or the usual one of the context. */
static int find_file(const struct values *v, int context_fd, const char **ret_name, struct buf *ret,
		     struct err *err)
{
	static const char *const usual[] = {"Containerfile", "Dockerfile", NULL};
	struct err why = {0};

	if (v->file) {
		*ret_name = v->file;
		return fs_read_at(AT_FDCWD, v->file, CONTAINERFILE_MAX, ret, err);
	}
	if (read_first(context_fd, usual, CONTAINERFILE_MAX, ret_name, ret, &why) == 0)
		return 0;
	if (why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	err_kind(err, ERR_USAGE, "there is neither Containerfile nor Dockerfile to build");
	return err_hint(err, "name one: sbx build -f FILE");
}

static int read_file(struct build *b, const struct values *v, struct err *err)
{
	struct containerfile *file = ARENA_NEW(b->a, struct containerfile);
	_cleanup_buf_ struct buf text = {0};
	const char *name = NULL;
	const char *kept;

	if (find_file(v, b->context_fd, &name, &text, err) < 0)
		return -1;
	kept = arena_strndup(b->a, text.p ? text.p : "", text.len);
	if (containerfile_parse(b->a, name, kept, text.len, file, err) < 0)
		return -1;
	b->file = file;
	return 0;
}

static int read_ignore(struct build *b, struct err *err)
{
	static const char *const names[] = {".containerignore", ".dockerignore", NULL};
	_cleanup_buf_ struct buf text = {0};
	const char *name = NULL;
	struct err why = {0};

	if (read_first(b->context_fd, names, DOCKERIGNORE_MAX, &name, &text, &why) == 0)
		return dockerignore_parse(b->a, name, text.p ? text.p : "", text.len, &b->ignore,
					  err);
	if (why.errnum == ENOENT)
		return 0;
	*err = why;
	return -1;
}

static int open_context(struct build *b, const char *dir, struct err *err)
{
	char *real = realpath(dir, NULL);

	if (!real)
		return err_errno(err, errno, "cannot use the context '%s'", dir);
	b->context = arena_strdup(b->a, real);
	free(real);
	b->context_fd = open(b->context, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->context_fd < 0)
		return err_errno(err, errno, "cannot open the context '%s'", dir);
	return read_ignore(b, err);
}

static int read_args(struct build *b, const struct values *v, struct err *err)
{
	for (size_t i = 0; i < v->args.n; i++) {
		const char *word = v->args.v[i];
		const char *value = strchr(word, '=') ? NULL : getenv(word);

		if (*word == '=' || (!strchr(word, '=') && !value))
			return err_kind(err, ERR_USAGE,
					"cannot use --build-arg '%s': it is not NAME=VALUE, and no "
					"variable that is set",
					word);
		strv_put_env(b->a, &b->given,
			     value ? arena_printf(b->a, "%s=%s", word, value) : word);
	}
	return 0;
}

static int read_epoch(struct build *b, bool check, struct err *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	uint64_t n = CHECK_EPOCH;

	b->newest = INT64_MAX;
	if (text && *text && num_u64(text, 0, INT64_MAX, &n, NULL) < 0) {
		err_kind(err, ERR_USAGE, "cannot use SOURCE_DATE_EPOCH='%s': not a number", text);
		return err_hint(err, "it is a time in seconds since 1970, or unset");
	}
	if ((text && *text) || check)
		b->newest = (int64_t)n;
	return 0;
}

/* ---- names ---- */

/* "localhost/my-folder:latest", of what a reference may hold. */
static const char *default_ref(struct arena *a, const char *dir)
{
	_cleanup_buf_ struct buf b = {0};

	for (const char *c = path_base(dir); *c; c++) {
		char low = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;

		if ((low >= 'a' && low <= 'z') || (low >= '0' && low <= '9'))
			buf_add(&b, &low, 1);
		else if (b.len > 0 && b.p[b.len - 1] != '-')
			buf_adds(&b, "-");
	}
	while (b.len > 0 && b.p[b.len - 1] == '-')
		b.len--;
	return arena_printf(a, "localhost/%.*s:latest", b.len ? (int)b.len : 5,
			    b.len ? b.p : "image");
}

/* A name without a registry is one of this store, and one without a tag the latest. */
static int check_ref(struct arena *a, const char *given, const char **ret, struct err *err)
{
	const char *slash = strrchr(given, '/');
	const char *colon = strrchr(given, ':');
	const char *ref = strchr(given, '/') ? given : arena_printf(a, "localhost/%s", given);

	if (!colon || (slash && colon < slash))
		ref = arena_printf(a, "%s:latest", ref);
	if (strchr(given, '@') || image_check_reference(ref, err) < 0) {
		err_kind(err, ERR_USAGE, "'%s' cannot be an image's name", given);
		return err_hint(err, "write NAME or NAME:TAG, in lower case");
	}
	*ret = ref;
	return 0;
}

/* ---- building ---- */

/* What runs inside may say anything: that is no result of this command. */
static int move_stdout(int *ret_fd, struct err *err)
{
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	_cleanup_fd_ int out = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

	if (null_fd < 0 || out < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
	    dup2(null_fd, STDIN_FILENO) < 0)
		return err_errno(err, errno, "cannot arrange the standard streams");
	*ret_fd = TAKE_FD(out);
	return 0;
}

/* The network of the project that the context lies in, if it does. */
static int read_profile(struct build *b, struct err *err)
{
	struct err why = {0};
	const char *dir;

	if (project_find(b->a, b->context, &dir, &why) == 0)
		return project_profile(b->a, dir, &b->profile, err);
	if (why.errnum == ENOENT)
		return 0;
	*err = why;
	return -1;
}

static int print_digest(int out, const char *hex, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (dup2(out, STDOUT_FILENO) < 0)
		return err_errno(err, errno, "cannot write the result");
	buf_printf(&b, "sha256:%s\n", hex);
	return out_write(&b, err);
}

static int build_and_name(struct build *b, const struct values *v, const char *ref, int out,
			  struct err *err)
{
	const struct build_stage *stage;
	char manifest[DIGEST_HEX + 1];

	if (build_stages(b, &stage, err) < 0)
		return -1;
	if (v->check && build_check(b, err) < 0)
		return -1;
	if (build_image(b, stage, ref, manifest, err) < 0)
		return -1;
	log_info("built '%s': %zu layer%s, %zu step%s from the cache", ref, stage->chain.n,
		 stage->chain.n == 1 ? "" : "s", b->cached, b->cached == 1 ? "" : "s");
	return print_digest(out, manifest, err);
}

static int run_build(struct build *b, const struct values *v, const char *context, struct err *err)
{
	_cleanup_fd_ int out = -1;
	const char *ref = NULL;

	if (open_context(b, context, err) < 0 || read_file(b, v, err) < 0 ||
	    read_args(b, v, err) < 0 || read_epoch(b, v->check, err) < 0 ||
	    read_profile(b, err) < 0)
		return -1;
	if (v->tag) {
		if (check_ref(b->a, v->tag, &ref, err) < 0)
			return -1;
	} else {
		ref = default_ref(b->a, b->context);
	}
	if (images_plan(b->a, b->store, &b->any, err) < 0 || move_stdout(&out, err) < 0)
		return -1;
	(void)umask(022);
	return build_and_name(b, v, ref, out, err);
}

static int build(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct build b = {
		.a = cli->a,
		.store = &w.store,
		.context = "",
		.context_fd = -1,
		.target = v->target,
		.no_cache = v->no_cache || v->check,
		.pin = PIN_NONE,
	};
	int r;

	if (open_cwd(cli->a, v->where.dir, &w.cwd, err) < 0 ||
	    store_open(cli->a, &w.store, err) < 0)
		return -1;
	care_tidy(cli->a, &w.store);
	if (pin_make(&w.store, &b.pin, err) < 0)
		return -1;
	r = run_build(&b, v, cli->args.n ? cli->args.v[0] : ".", err);
	cleanup_fd(&b.context_fd);
	pin_done(&w.store, &b.pin);
	return r;
}

const struct command *cmd_build(void)
{
	static const struct command row = {
		.table =
			{.name = "build",
			 .args = "[CONTEXT]",
			 .summary = "build an image by a Containerfile",
			 .details =
				 "Build the image that a Containerfile (Dockerfile) describes, out of files of the folder\n"
				 "CONTEXT [.], name it, and print its digest.  Steps that are known are not done again.\n"
				 "With SOURCE_DATE_EPOCH in the environment, no time in a layer is later.",
			 .opts = opts,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = build,
	};

	return &row;
}
