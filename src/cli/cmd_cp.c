#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/command.h"
#include "cli/open.h"
#include "conf/profile.h"
#include "plan/plan.h"
#include "run/client.h"
#include "store/carry.h"

struct values {
	struct where where;
};

static const struct opt opts[] = {
	OPT_ENV(struct values),
	OPT_DIRECTORY(struct values),
	{0},
};

/* One of the two. */
struct place {
	const char *path; /* as it was given */
	const char *
		parent; /* the folder of the last component; of a SRC of contents, the folder itself */
	const char *name; /* the last component; NULL: contents, or no name of its own */
	bool slash;       /* it says that it is a folder */
};

struct job {
	bool in; /* else out */
	struct place src, dst;
	int outside;            /* the folder outside, or of DST */
	const char *outside_as; /* DST's name in it; NULL: that of SRC */
};

/* "NAME:PATH" and ":PATH" are inside; what has a slash before the colon is outside, as scp has it. */
static bool is_inside(const char *word, size_t *ret_colon)
{
	*ret_colon = strcspn(word, ":/");
	return word[*ret_colon] == ':';
}

/* Cut "a/b/c" into the folder and the name; "a/.", "a/.." and "/" have no name. */
static struct place cut(struct arena *a, const char *path)
{
	struct place p = {.path = path};
	size_t n = strlen(path);
	const char *slash;

	while (n > 1 && path[n - 1] == '/') {
		p.slash = true;
		n--;
	}
	path = arena_strndup(a, path, n);
	slash = strrchr(path, '/');
	p.name = slash ? slash + 1 : path;
	if (str_eq(p.name, ".") || str_eq(p.name, "..") || str_eq(p.name, "")) {
		p.name = NULL;
		p.parent = path;
		return p;
	}
	p.parent = slash ? arena_strndup(a, path, slash == path ? 1 : (size_t)(slash - path)) : ".";
	return p;
}

/* Without links; NULL where there is nothing. */
static const char *real_path(struct arena *a, const char *path)
{
	_cleanup_free_ char *real = realpath(path, NULL);

	return real ? arena_strdup(a, real) : NULL;
}

/* What the sandbox can change, it may have laid links into: they must not lead out of there. */
static const char *shared_with(struct arena *a, const struct plan *plan, const char *path)
{
	const char *found = NULL;

	for (size_t i = 0; i < plan->n_mounts; i++) {
		const struct mount_step *m = &plan->mounts[i];
		const char *source;

		if (m->kind != MOUNT_BIND || m->readonly || m->from_env || !m->source)
			continue;
		source = real_path(a, m->source);
		if (source && path_is_under(path, source) &&
		    (!found || strlen(found) > strlen(source)))
			found = source;
	}
	return found;
}

/*
 * The folder shared with the sandbox that the path comes into, also over links of the user's own; NULL: none.  *path
 * is then without links up to there.  Names behind it that `..` takes back are not looked at.
 */
static const char *find_shared(struct arena *a, const struct plan *plan, const char **path)
{
	size_t n = 0;

	while ((*path)[n]) {
		const char *real;
		const char *shared;

		n += strspn(*path + n, "/");
		n += strcspn(*path + n, "/");
		real = real_path(a, arena_strndup(a, *path, n));
		shared = real ? shared_with(a, plan, real) : NULL;
		if (!shared)
			continue;
		*path = path_clean(a, path_join(a, real, *path + n + strspn(*path + n, "/")));
		if (path_is_under(*path, shared))
			return shared;
		n = 0;
	}
	return NULL;
}

static int open_outside(struct arena *a, const struct workplace *w, const struct plan *plan,
			const char *path, int *ret_fd, struct err *err)
{
	const char *whole = path[0] == '/' ? path : path_join(a, w->cwd, path);
	const char *shared = find_shared(a, plan, &whole);
	_cleanup_fd_ int top = -1;
	_cleanup_fd_ int fd = -1;

	if (!shared) {
		fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0)
			return err_errno(err, errno, "cannot open the folder '%s'", path);
		*ret_fd = TAKE_FD(fd);
		return 0;
	}
	top = open(shared, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (top < 0)
		return err_errno(err, errno, "cannot open the folder '%s'", shared);
	whole += strlen(shared);
	whole += strspn(whole, "/");
	return fs_open_beneath(top, *whole ? whole : ".", O_RDONLY | O_DIRECTORY, 0, ret_fd, err);
}

/* DST is the folder to put it into, or the name to give it. */
static int open_dst_outside(struct arena *a, const struct workplace *w, const struct plan *plan,
			    struct job *job, struct err *err)
{
	struct err why = {0};

	if (open_outside(a, w, plan, job->dst.path, &job->outside, &why) == 0)
		return 0;
	if (why.errnum != ENOENT && why.errnum != ENOTDIR) {
		*err = why;
		return -1;
	}
	if (job->dst.slash || !job->dst.name) {
		*err = why;
		return err_hint(err, "make the folder first, or leave the slash at its end out");
	}
	job->outside_as = job->dst.name;
	return open_outside(a, w, plan, job->dst.parent, &job->outside, err);
}

/* ---- in the user namespace, with the sandbox's root ---- */

/* What is written there are not files. */
static int check_place(int fd, const char *path, struct err *err)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return err_errno(err, errno, "cannot look at '%s' inside", path);
	if (fs.f_type == PROC_SUPER_MAGIC || fs.f_type == SYSFS_MAGIC)
		return err_set(err, "cannot copy to '%s' inside: it is no place for files", path);
	return 0;
}

static int open_inside(int root, const char *path, int *ret_fd, struct err *err)
{
	if (fs_open_in_root(root, path, O_RDONLY | O_DIRECTORY, 0, ret_fd, err) < 0)
		return err_prefix(err, "inside");
	return 0;
}

static int open_dst_inside(int root, const struct place *dst, const char **ret_as, int *ret_fd,
			   struct err *err)
{
	struct err why = {0};

	if (open_inside(root, dst->path, ret_fd, &why) == 0)
		return check_place(*ret_fd, dst->path, err);
	if ((why.errnum != ENOENT && why.errnum != ENOTDIR) || dst->slash || !dst->name) {
		*err = why;
		return why.errnum == ENOENT ? err_hint(err, "make the folder first, or leave the "
							    "slash at its end out")
					    : -1;
	}
	*ret_as = dst->name;
	if (open_inside(root, dst->parent, ret_fd, err) < 0)
		return -1;
	return check_place(*ret_fd, dst->parent, err);
}

/* A folder of the name DST, made where it is missing, for contents. */
static int open_named(int dir, const char *name, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (mkdirat(dir, name, 0777) < 0 && errno != EEXIST)
		return err_errno(err, errno, "cannot make the folder '%s'", name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open the folder '%s'", name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int copy(const struct job *job, int from, int to, const char *as, struct err *err)
{
	struct carry c = {.chown = job->in};
	_cleanup_fd_ int named = -1;
	struct stat st;
	int r;

	/* Deeper down, what is missing is told by its name there. */
	if (job->src.name && fstatat(from, job->src.name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_errno(err, errno, "cannot copy '%s'%s", job->src.path,
				 job->in ? "" : " inside");
	if (job->src.name) {
		r = carry_entry(&c, from, job->src.name, to, as ? as : job->src.name, err);
	} else {
		if (as && open_named(to, as, &named, err) < 0)
			return -1;
		r = carry_contents(&c, from, as ? named : to, err);
	}
	if (r == 0 && c.skipped > 0)
		log_warn("%zu socket%s or device%s left out", c.skipped, c.skipped == 1 ? "" : "s",
			 c.skipped == 1 ? "" : "s");
	return r;
}

static int copy_with_root(int root, void *arg, struct err *err)
{
	const struct job *job = arg;
	_cleanup_fd_ int inside = -1;
	const char *as = job->outside_as;

	if (job->in) {
		if (open_dst_inside(root, &job->dst, &as, &inside, err) < 0)
			return -1;
		return copy(job, job->outside, inside, as, err);
	}
	if (open_inside(root, job->src.parent, &inside, err) < 0)
		return -1;
	return copy(job, inside, job->outside, as, err);
}

/* ---- the words ---- */

/* A path inside: absolute, of the home there, or in the project. */
static const char *inside_path(struct arena *a, const struct workplace *w, const struct plan *plan,
			       const char *path)
{
	if (str_eq(path, "~") || str_starts(path, "~/"))
		return path_expand_home(a, path, plan->home);
	return path[0] == '/' ? path : path_join(a, w->project, path);
}

/* NAME:PATH, and -e too: one of the two would be passed over in silence. */
static int named_twice(const char *word, size_t colon, const char *env, struct err *err)
{
	(void)err_kind(err, ERR_USAGE, "cannot copy with '%s' and -e %s: both name an environment",
		       word, env);
	return err_hint(err, "%s alone, or -e %s with '%s'", word, env, word + colon);
}

/* A tar on the standard streams, as podman and docker have it, is what tar itself is for. */
static int stream(bool in, struct err *err)
{
	(void)err_kind(err, ERR_USAGE, "cannot copy %s '-': no stream is copied",
		       in ? "from" : "to");
	return in ? err_hint(err, "sbx run -- tar -C DIR -xf - <FILE unpacks a tar inside; ./- is "
				  "a file of that name")
		  : err_hint(err, "sbx run -- tar -C DIR -cf - NAME >FILE makes a tar of what is "
				  "inside; ./- is a file of that name");
}

/* Which of the two is inside, and in which environment. */
static int read_words(struct arena *a, const char *const *words, struct where *where,
		      struct job *ret, struct err *err)
{
	size_t colons[2];
	bool inside[2];

	for (int i = 0; i < 2; i++) {
		if (str_eq(words[i], "-"))
			return stream(i == 0, err);
		inside[i] = is_inside(words[i], &colons[i]);
	}
	if (inside[0] == inside[1]) {
		(void)err_kind(err, ERR_USAGE, "cannot copy '%s' to '%s': %s of them is inside",
			       words[0], words[1], inside[0] ? "each" : "none");
		return err_hint(err, "sbx cp FILE :/PATH copies in, sbx cp :/PATH FILE copies out; "
				     "./a:b is a file outside");
	}
	ret->in = inside[1];

	const char *word = words[ret->in];
	size_t colon = colons[ret->in];

	if (colon > 0 && where->env)
		return named_twice(words[ret->in], colon, where->env, err);
	if (colon > 0)
		where->env = arena_strndup(a, word, colon);
	ret->src.path = words[0] + (ret->in ? 0 : colon + 1);
	ret->dst.path = words[1] + (ret->in ? colon + 1 : 0);
	if (!*ret->src.path || !*ret->dst.path)
		return err_kind(err, ERR_USAGE, "cannot copy '%s' to '%s': a path is empty",
				words[0], words[1]);
	return 0;
}

static int cp(const struct cli *cli, const void *values, struct err *err)
{
	const struct values *v = values;
	_cleanup_workplace_ struct workplace w = WORKPLACE_EMPTY;
	struct where where = v->where;
	struct job job = {.src = {.path = ""}, .dst = {.path = ""}, .outside = -1};
	_cleanup_fd_ int outside = -1;
	_cleanup_fd_ int sock = -1;
	const struct plan *plan;
	struct arena *a = cli->a;

	if (read_words(a, cli->args.v, &where, &job, err) < 0 ||
	    open_project(a, &where, &w, err) < 0 || open_profile(a, &w, err) < 0 ||
	    open_sandbox(a, &w, &sock, err) < 0 || open_plan(a, &w, &plan, err) < 0)
		return -1;
	if (job.in)
		job.dst.path = inside_path(a, &w, plan, job.dst.path);
	else
		job.src.path = inside_path(a, &w, plan, job.src.path);
	job.src = cut(a, job.src.path);
	job.dst = cut(a, job.dst.path);
	if (job.in ? open_outside(a, &w, plan, job.src.parent, &job.outside, err) < 0
		   : open_dst_outside(a, &w, plan, &job, err) < 0)
		return -1;
	outside = job.outside;
	return client_root(&w.env, copy_with_root, &job, err);
}

const struct command *cmd_cp(void)
{
	static const struct command row = {
		.table =
			{.name = "cp",
			 .args = "SRC DST",
			 .summary = "copy files into the sandbox or out of it",
			 .details =
				 "Copy a file or a folder into the project's sandbox or out of it, starting the sandbox\n"
				 "where it does not run.  One of the two is inside: NAME:PATH in the environment NAME, or\n"
				 ":PATH; in the project unless it begins with / or ~.  SRC/. means what is in the folder.",
			 .opts = opts,
			 .min_args = 2,
			 .max_args = 2},
		.values_size = sizeof(struct values),
		.run = cp,
	};

	return &row;
}
