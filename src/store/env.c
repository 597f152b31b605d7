#include "store/env.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "store/env_record.h"
#include "store/skel.h"

#define ID_NAME_MAX 32
#define ID_HASH_LEN 12
#define NAME_MAX_LEN 64

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static int check_name(const char *name, struct err *err)
{
	size_t n = strlen(name);
	bool good = n > 0 && n <= NAME_MAX_LEN && is_alnum(name[0]);

	for (size_t i = 0; i < n && good; i++)
		good = is_alnum(name[i]) || strchr("._-", name[i]);
	if (good)
		return 0;
	err_kind(err, ERR_USAGE, "cannot use '%s' as the name of an environment", name);
	return err_hint(err,
			"use at most %d letters, digits, '.', '_' and '-', a letter or digit first",
			NAME_MAX_LEN);
}

static int check_id(const char *id, struct err *err)
{
	/* It becomes one part of a path: nothing that could be more than that. */
	if (id[0] != '\0' && id[strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-")] == '\0' &&
	    strlen(id) <= ID_NAME_MAX + 1 + ID_HASH_LEN)
		return 0;
	err_kind(err, ERR_USAGE, "'%s' is not the id of an environment", id);
	return err_hint(err, "'sbx list' shows them");
}

/* "My Project (2)" becomes "my-project-2". */
static void add_readable(struct buf *id, const char *base)
{
	for (; *base && id->len < ID_NAME_MAX; base++) {
		char c = *base;

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		if (is_alnum(c))
			buf_add(id, &c, 1);
		else if (id->len > 0 && id->p[id->len - 1] != '-')
			buf_adds(id, "-");
	}
	while (id->len > 0 && id->p[id->len - 1] == '-')
		id->len--;
	if (id->len == 0)
		buf_adds(id, "env");
}

const char *env_id(struct arena *a, const char *project, const char *name)
{
	_cleanup_buf_ struct buf key = {0};
	_cleanup_buf_ struct buf id = {0};
	char hex[DIGEST_HEX + 1];

	/* NUL parts them: neither can hold one, so no two pairs give the same key. */
	buf_add(&key, project, strlen(project) + 1);
	buf_adds(&key, name);
	digest_sha256(key.p, key.len, hex);
	add_readable(&id, path_base(project));
	buf_adds(&id, "-");
	buf_add(&id, hex, ID_HASH_LEN);
	return arena_strndup(a, id.p, id.len);
}

static void fill(struct arena *a, const struct store *s, const char *id, struct env *ret)
{
	ret->id = arena_strdup(a, id);
	ret->dir = arena_printf(a, "%s/envs/%s", s->dir, id);
	ret->fd = -1;
}

static int open_dir(struct arena *a, const struct store *s, const char *id, struct env *ret,
		    struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct env e = {0};

	fill(a, s, id, &e);
	if (fs_open_beneath(s->fd, arena_printf(a, "envs/%s", id),
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, err) < 0)
		return -1;
	if (env_record_read(a, fd, &e, err) < 0)
		return -1;
	e.fd = TAKE_FD(fd);
	*ret = e;
	return 0;
}

/* mkdir with exactly that mode, whatever the umask is. */
static int make_dir(int dir_fd, const char *name, mode_t mode, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (mkdirat(dir_fd, name, mode) < 0)
		return err_errno(err, errno, "cannot make the folder '%s'", name);
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, mode) < 0)
		return err_errno(err, errno, "cannot open the folder '%s'", name);
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return 0;
}

static const char *unique_name(struct arena *a, const char *prefix, const char *id)
{
	unsigned long long r = 0;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) < 0)
		r = (unsigned long long)time(NULL);
	return arena_printf(a, "%s-%s-%ld-%016llx", prefix, id, (long)getpid(), r);
}

static int open_sub(const struct store *s, const char *name, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "cannot open '%s/%s'", s->dir, name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* An overlay says by them what a folder hides: without, deletions would be lost. */
static int check_attributes(int fd, struct err *err)
{
	static const char name[] = "user.sbx.probe";

	if (fsetxattr(fd, name, "", 0, 0) < 0 || fremovexattr(fd, name) < 0)
		return err_errno(err, errno, "cannot keep attributes of files there");
	return 0;
}

static int make_parts(int tmp_fd, const char *tmp, const struct env *e, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_fd_ int home = -1;

	if (make_dir(tmp_fd, tmp, 0700, &fd, err) < 0 || check_attributes(fd, err) < 0)
		return -1;
	/* upper is what shows as "/" inside, so it has the mode of a root folder. */
	if (make_dir(fd, e->upper, 0755, NULL, err) < 0 ||
	    make_dir(fd, "work", 0700, NULL, err) < 0 ||
	    make_dir(fd, "home", 0700, &home, err) < 0 || make_dir(fd, "run", 0700, NULL, err) < 0)
		return -1;
	skel_copy("/etc/skel", home);
	return env_record_write(fd, e, err);
}

/* rename(2) that replaces nothing; 0 or the errno. */
static int move_dir(int from_fd, const char *from, int to_fd, const char *to)
{
	if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL)
		return errno;
	/* NFS has no such flag; a plain rename onto a folder that holds something fails too. */
	return renameat(from_fd, from, to_fd, to) < 0 ? errno : 0;
}

/* *ret_made is false where somebody was faster. */
static int make_env(struct arena *a, const struct store *s, const struct env *e, bool *ret_made,
		    struct err *err)
{
	const char *tmp = unique_name(a, "new", e->id);
	_cleanup_fd_ int tmp_fd = -1;
	_cleanup_fd_ int envs_fd = -1;
	int errnum;

	if (open_sub(s, "tmp", &tmp_fd, err) < 0 || open_sub(s, "envs", &envs_fd, err) < 0)
		return -1;
	if (make_parts(tmp_fd, tmp, e, err) < 0) {
		fs_remove_tree_at(tmp_fd, tmp, NULL);
		err_prefix(err, "cannot make the environment '%s'", e->dir);
		return store_hint(err);
	}
	errnum = move_dir(tmp_fd, tmp, envs_fd, e->id);
	if (errnum)
		fs_remove_tree_at(tmp_fd, tmp, NULL);
	*ret_made = errnum == 0;
	if (errnum == EEXIST || errnum == ENOTEMPTY)
		return 0;
	if (errnum) {
		err_errno(err, errnum, "cannot make the environment '%s'", e->dir);
		return store_hint(err);
	}
	if (fsync(envs_fd) < 0)
		return err_errno(err, errno, "cannot sync '%s/envs'", s->dir);
	return 0;
}

/* open_dir, where ENOENT says that the folder is absent, not that env.json in it is. */
static int open_there(struct arena *a, const struct store *s, const char *id, struct env *ret,
		      struct err *err)
{
	const char *path = arena_printf(a, "envs/%s", id);
	struct err why = {0};

	/* Twice: between the first and the look whether it is there, somebody may have made it. */
	for (int i = 0; i < 2; i++) {
		if (open_dir(a, s, id, ret, &why) == 0)
			return 0;
		if (why.errnum != ENOENT)
			break;
		if (faccessat(s->fd, path, F_OK, 0) < 0 && errno == ENOENT)
			return err_errno(err, ENOENT, "no environment has the id '%s'", id);
	}
	if (why.errnum == ENOENT)
		why.errnum = EBADMSG;
	if (err)
		*err = why;
	return -1;
}

static int open_or_make(struct arena *a, const struct store *s, const struct env *want, bool create,
			struct env *ret, struct err *err)
{
	struct err why = {0};
	bool made = false;

	if (open_there(a, s, want->id, ret, &why) == 0)
		return 0;
	if (why.errnum != ENOENT) {
		if (err)
			*err = why;
		return -1;
	}
	if (!create) {
		err_errno(err, ENOENT, "no environment '%s' of '%s'", want->name, want->project);
		return err_hint(err, "'sbx enter' or 'sbx run' makes it");
	}
	/* Where somebody was faster, it is the very same. */
	if (make_env(a, s, want, &made, err) < 0)
		return -1;
	return open_there(a, s, want->id, ret, err);
}

/* What env.json of the environment should say. */
static int wanted(struct arena *a, const struct store *s, const char *project, const char *name,
		  struct env *ret, struct err *err)
{
	const char *clean = path_clean(a, project);

	if (!clean) {
		err_set(err, "cannot open the environment of '%s': the path is not absolute",
			project);
		return -1;
	}
	if (check_name(name, err) < 0)
		return -1;
	ret->project = clean;
	ret->name = name;
	ret->rung = -1;
	ret->created = (int64_t)time(NULL);
	ret->upper_n = 1;
	ret->upper = env_upper_name(a, 1);
	fill(a, s, env_id(a, clean, name), ret);
	return 0;
}

static int open_wanted(struct arena *a, const struct store *s, const struct env *want, bool create,
		       struct env *ret, struct err *err)
{
	struct env got = {0};

	if (open_or_make(a, s, want, create, &got, err) < 0)
		return -1;
	if (!str_eq(got.project, want->project) || !str_eq(got.name, want->name)) {
		err_set(err, "cannot use the environment '%s' for '%s': it belongs to '%s'",
			got.dir, want->project, got.project);
		env_done(&got);
		return err_hint(err, "its env.json was changed; move the folder away");
	}
	*ret = got;
	return 0;
}

int env_open(struct arena *a, const struct store *s, const char *project, const char *name,
	     struct env *ret, struct err *err)
{
	struct env want = {0};

	if (wanted(a, s, project, name, &want, err) < 0)
		return -1;
	return open_wanted(a, s, &want, false, ret, err);
}

int env_open_or_make(struct arena *a, const struct store *s, const char *project, const char *name,
		     struct env *ret, struct err *err)
{
	return env_open_or_make_on(a, s, &(struct env_want){project, name, NULL}, ret, err);
}

int env_open_or_make_on(struct arena *a, const struct store *s, const struct env_want *want,
			struct env *ret, struct err *err)
{
	const struct env_from *from = want->from;
	struct env e = {0};

	if (wanted(a, s, want->project, want->name, &e, err) < 0)
		return -1;
	if (from) {
		e.image = from->image;
		e.chain = from->chain;
		e.below = from->chain.n;
		e.rung = from->rung;
		e.as = from->as;
	}
	return open_wanted(a, s, &e, true, ret, err);
}

int env_make_fork(struct arena *a, const struct store *s, const struct env *like, const char *name,
		  const struct chain *chain, struct err *err)
{
	struct env want = {0};
	bool made = false;

	if (wanted(a, s, like->project, name, &want, err) < 0)
		return -1;
	want.rung = like->rung;
	want.as = like->as;
	want.image = like->image;
	want.chain = *chain;
	want.below = chain->n;
	if (make_env(a, s, &want, &made, err) < 0)
		return -1;
	if (made)
		return 0;
	err_errno(err, EEXIST, "cannot make the environment '%s' of '%s'", name, like->project);
	return err_hint(err, "choose another name, or remove that one: sbx rm -e %s", name);
}

int env_open_id(struct arena *a, const struct store *s, const char *id, struct env *ret,
		struct err *err)
{
	if (check_id(id, err) < 0)
		return -1;
	if (open_there(a, s, id, ret, err) == 0)
		return 0;
	if (err && err->errnum == ENOENT)
		err_hint(err, "'sbx list' shows them");
	return -1;
}

void env_done(struct env *e)
{
	/* A zeroed one was never opened: its fd 0 is not ours. */
	if (!e || !e->id)
		return;
	cleanup_fd(&e->fd);
	e->id = NULL;
}

int env_set_used(struct env *e, int rung, int as, bool fuse, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct env now = {.dir = e->dir};

	if (e->rung == rung && e->as == as && (e->fuse || !fuse))
		return 0;
	/* Read again and change these values: what else is written there stays. */
	if (env_record_read(a, e->fd, &now, err) < 0)
		return -1;
	now.rung = rung;
	now.as = as;
	now.fuse = now.fuse || fuse;
	if (env_record_write(e->fd, &now, err) < 0) {
		err_prefix(err, "environment '%s'", e->dir);
		return store_hint(err);
	}
	e->rung = rung;
	e->as = as;
	e->fuse = now.fuse;
	return 0;
}

const char *env_map_name(const struct env *e)
{
	/* As plan.h and profile.h number them, which are above this layer. */
	enum { RUNG_ONE_ID = 1, AS_ROOT_PLUS_1 = 2 };

	if (e->rung == RUNG_ONE_ID)
		return "one-id";
	return e->as == AS_ROOT_PLUS_1 ? "subids-root" : "subids-self";
}

static int compare_envs(const void *x, const void *y)
{
	const struct env *a = x;
	const struct env *b = y;

	return strcmp(a->id, b->id);
}

/* The ids of all folders in envs/, in any order. */
static int list_ids(struct arena *a, const struct store *s, struct strv *ret, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_dir_ DIR *d = NULL;
	const struct dirent *entry;

	if (open_sub(s, "envs", &fd, err) < 0)
		return -1;
	d = fdopendir(fd);
	if (!d)
		return err_errno(err, errno, "cannot list '%s/envs'", s->dir);
	(void)TAKE_FD(fd);
	while ((errno = 0, entry = readdir(d)) != NULL) {
		if (entry->d_name[0] != '.')
			strv_push(a, ret, entry->d_name);
	}
	if (errno)
		return err_errno(err, errno, "cannot list '%s/envs'", s->dir);
	return 0;
}

int env_list(struct arena *a, const struct store *s, struct env **ret, size_t *ret_n,
	     struct err *err)
{
	struct strv ids = {0};
	struct env *v;
	size_t n = 0;

	if (list_ids(a, s, &ids, err) < 0)
		return -1;
	v = arena_alloc(a, (ids.n + 1) * sizeof(*v));
	for (size_t i = 0; i < ids.n; i++) {
		struct err why = {0};

		if (check_id(ids.v[i], &why) < 0 || open_there(a, s, ids.v[i], &v[n], &why) < 0) {
			/* ENOENT: removed since the listing. */
			if (why.errnum != ENOENT)
				log_warn("left out: %s", why.msg);
			continue;
		}
		cleanup_fd(&v[n].fd);
		n++;
	}
	if (n > 0)
		qsort(v, n, sizeof(*v), compare_envs);
	*ret = v;
	*ret_n = n;
	return 0;
}

int env_retire(struct arena *a, const struct store *s, const struct env *e, const char **ret_tmp,
	       struct err *err)
{
	const char *tmp = unique_name(a, "old", e->id);
	_cleanup_fd_ int tmp_fd = -1;
	_cleanup_fd_ int envs_fd = -1;

	if (open_sub(s, "tmp", &tmp_fd, err) < 0 || open_sub(s, "envs", &envs_fd, err) < 0)
		return -1;
	if (renameat(envs_fd, e->id, tmp_fd, tmp) < 0) {
		err_errno(err, errno, "cannot remove the environment '%s'", e->dir);
		return store_hint(err);
	}
	/* What is said to be gone does not come back after a power cut. */
	if (fsync(envs_fd) < 0 || fsync(tmp_fd) < 0) {
		err_errno(err, errno, "cannot write the end of '%s' to the disk", e->dir);
		return store_hint(err);
	}
	*ret_tmp = arena_printf(a, "%s/tmp/%s", s->dir, tmp);
	return 0;
}
