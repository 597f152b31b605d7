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
#include "cli/build_profile.h"
#include "cli/care.h"
#include "cli/command.h"
#include "cli/images.h"
#include "cli/open.h"
#include "cli/out.h"
#include "conf/image.h"
#include "store/project.h"

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
	if (build_read_first(context_fd, usual, CONTAINERFILE_MAX, ret_name, ret, &why) == 0)
		return 0;
	if (why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	err_kind(
		err, ERR_USAGE,
		"there is neither Containerfile nor Dockerfile to build, and no [build] in sbx.ini");
	return err_hint(err, "name one: sbx build -f FILE; or write `run = COMMAND` under [build]");
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

/* ---- names ---- */

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

/* The project that the folder lies in, with its profile: w->project NULL where it lies in none. */
static int find_project(struct arena *a, const char *dir, struct workplace *w, struct err *err)
{
	struct err why = {0};

	if (project_find(a, dir, &w->project, &why) == 0)
		return open_profile(a, w, err);
	w->project = NULL;
	if (why.errnum == ENOENT)
		return 0;
	*err = why;
	return -1;
}

/* The network of the project that the context lies in, if it does: a stranger's may not be the host's in silence. */
static int read_profile(struct build *b, struct workplace *w, struct err *err)
{
	if (find_project(b->a, b->context, w, err) < 0)
		return -1;
	if (!w->project)
		return 0;
	b->profile = w->profile;
	if (b->profile->net.mode == NET_HOST && !b->profile->net.mode_at.trusted)
		return open_check_allowed(b->a, w, err);
	return 0;
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

static int name_of(struct build *b, const struct values *v, const char **ret, struct err *err)
{
	if (v->tag)
		return check_ref(b->a, v->tag, ret, err);
	*ret = build_default_ref(b->a, b->context);
	return 0;
}

static int run_build(struct build *b, const struct values *v, const char *context,
		     struct workplace *w, struct err *err)
{
	_cleanup_fd_ int out = -1;
	const char *ref = NULL;

	if (build_open_context(b, context, err) < 0 || read_file(b, v, err) < 0 ||
	    read_args(b, v, err) < 0 || build_read_epoch(b, v->check, err) < 0 ||
	    read_profile(b, w, err) < 0 || name_of(b, v, &ref, err) < 0)
		return -1;
	if (images_plan(b->a, b->store, &b->any, err) < 0 || move_stdout(&out, err) < 0)
		return -1;
	(void)umask(022);
	return build_and_name(b, v, ref, out, err);
}

static int build_containerfile(const struct cli *cli, const struct values *v, struct workplace *w,
			       struct err *err)
{
	struct build b = {
		.a = cli->a,
		.store = &w->store,
		.context = "",
		.context_fd = -1,
		.target = v->target,
		/* Who builds a Containerfile lets it have what it names, as with every builder. */
		.allowed = true,
		.no_cache = v->no_cache || v->check,
		.pin = PIN_NONE,
	};
	int r;

	care_tidy(cli->a, &w->store);
	if (pin_make(&w->store, &b.pin, err) < 0)
		return -1;
	r = run_build(&b, v, cli->args.n ? cli->args.v[0] : ".", w, err);
	cleanup_fd(&b.context_fd);
	pin_done(&w->store, &b.pin);
	return r;
}

/* Are the steps those of the project's [build]?  What is of a Containerfile alone, or a folder of its own, says no. */
static int is_of_profile(const struct cli *cli, const struct values *v, struct workplace *w,
			 bool *ret, struct err *err)
{
	const char *dir = w->cwd;
	char *real = NULL;

	*ret = false;
	if (v->file || v->target || v->args.n > 0)
		return 0;
	if (cli->args.n > 0) {
		real = realpath(cli->args.v[0], NULL);
		if (!real)
			return err_errno(err, errno, "cannot use the context '%s'", cli->args.v[0]);
		dir = arena_strdup(cli->a, real);
		free(real);
	}
	if (find_project(cli->a, dir, w, err) < 0)
		return -1;
	*ret = w->project && w->profile->build.n > 0 &&
	       (cli->args.n == 0 || str_eq(dir, w->project));
	return 0;
}

static int build_own(const struct cli *cli, const struct values *v, struct workplace *w,
		     struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	struct build_profile in = {
		.store = &w->store,
		.project = w->project,
		.profile = w->profile,
		.no_cache = v->no_cache,
		.check = v->check,
	};
	struct base base = {0};

	if (v->tag && check_ref(cli->a, v->tag, &in.ref, err) < 0)
		return -1;
	if (open_check_allowed(cli->a, w, err) < 0)
		return -1;
	in.allowed = w->allowed;
	if (build_profile(cli->a, &in, &base, err) < 0)
		return -1;
	buf_printf(&text, "sha256:%s\n", base.info.digest);
	base_done(&w->store, &base);
	return out_write(&text, err);
}

static int build(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	bool own;

	if (open_cwd(cli->a, v->where.dir, &w.cwd, err) < 0 ||
	    store_open(cli->a, &w.store, err) < 0 || is_of_profile(cli, v, &w, &own, err) < 0)
		return -1;
	return own ? build_own(cli, v, &w, err) : build_containerfile(cli, v, &w, err);
}

const struct command *cmd_build(void)
{
	static const struct command row = {
		.table =
			{.name = "build",
			 .args = "[CONTEXT]",
			 .summary = "build what the project's [build] says, or a Containerfile",
			 .details =
				 "Do the steps of [build] of the project's sbx.ini on its base: what its environments\n"
				 "stand on.  Without such, or with -f, build the image that a Containerfile (Dockerfile)\n"
				 "describes, out of files of the folder CONTEXT [.].  Name it, and print its digest.\n"
				 "Steps that are known are not done again.  With SOURCE_DATE_EPOCH in the environment,\n"
				 "no time in a layer is later.",
			 .opts = opts,
			 .max_args = 1},
		.values_size = sizeof(struct values),
		.run = build,
	};

	return &row;
}
