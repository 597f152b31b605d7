#include "store/floating.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "store/descent.h"
#include "store/diff.h"
#include "store/env.h"
#include "store/layer.h"
#include "store/whiteout.h"

/* A layer's tree and the upper folder, at the same path. */
struct walk {
	struct arena *a;
	const struct env *env;
	enum whiteout_dialect dialect;
	struct descent tree, upper;
	struct entry *gone;
	size_t n, cap;
	struct err *err;
};

static void walk_done(struct walk *w)
{
	descent_done(&w->tree);
	descent_done(&w->upper);
	free(w->gone);
}

static const char *path_of(struct walk *w, const char *name)
{
	const char *folder = w->tree.path.p;

	return arena_printf(w->a, "%s%s%s", folder, *folder ? "/" : "", name);
}

static int failed(struct walk *w, const char *name)
{
	return err_errno(w->err, errno, "cannot look at '/%s' for changes", path_of(w, name));
}

static void add_gone(struct walk *w, const char *name, const struct stat *st)
{
	if (w->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 64;
		w->gone = xrealloc(w->gone, w->cap * sizeof(*w->gone));
	}
	w->gone[w->n++] = (struct entry){
		.path = path_of(w, name),
		.verdict = ENTRY_DELETED,
		.st = *st,
	};
}

/* 1: the upper says something of the name, be it that it is deleted; 0: nothing; -1 with errno. */
static int upper_has(struct walk *w, const char *name, struct stat *ret)
{
	_cleanup_free_ char *mark = NULL;

	if (fstatat(w->upper.fd, name, ret, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	if (errno != ENOENT)
		return -1;
	if (w->dialect != WHITEOUT_FUSE)
		return 0;
	mark = xasprintf(".wh.%s", name);
	if (fstatat(w->upper.fd, mark, ret, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT || errno == ENAMETOOLONG ? 0 : -1;
}

static int list_names(struct walk *w, struct strv *ret)
{
	_cleanup_fd_ int fd = openat(w->tree.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d)
		return failed(w, "");
	(void)TAKE_FD(fd);
	while ((errno = 0, entry = readdir(d)) != NULL) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			strv_push(w->a, ret, entry->d_name);
	}
	return errno ? failed(w, "") : 0;
}

static int walk_folder(struct walk *w);

/* A folder in both.  One that is opaque in the upper hides what is below it anyway. */
static int enter(struct walk *w, const char *name)
{
	bool opaque = false;
	int r = 0;

	if (descent_down(&w->upper, name) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : failed(w, name);
	if (whiteout_opaque(w->dialect, w->upper.fd, &opaque, w->err) < 0)
		return -1;
	if (!opaque) {
		if (descent_down(&w->tree, name) < 0)
			return failed(w, name);
		r = walk_folder(w);
		if (r == 0 && descent_up(&w->tree) < 0)
			r = failed(w, name);
	}
	/* It vanished meanwhile: whoever deleted it is not done yet. */
	if (r == 0 && descent_up(&w->upper) < 0)
		r = failed(w, name);
	return r;
}

static int visit(struct walk *w, const char *name)
{
	struct stat st;
	struct stat upper;
	int r;

	if (fstatat(w->tree.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(w, name);
	if (whiteout_is_device(&st))
		return 0;
	r = upper_has(w, name, &upper);
	if (r < 0)
		return failed(w, name);
	if (r == 0)
		add_gone(w, name, &st);
	else if (S_ISDIR(st.st_mode) && S_ISDIR(upper.st_mode))
		return enter(w, name);
	return 0;
}

static int walk_folder(struct walk *w)
{
	struct strv names = {0};

	if (list_names(w, &names) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		if (visit(w, names.v[i]) < 0)
			return -1;
	}
	return 0;
}

static int open_layer(struct walk *w, const struct store *s, const struct commit *c, int *ret)
{
	return layer_open_tree(w->a, s, c->digest, c->tree, ret, w->err);
}

static int walk_layer(struct walk *w, const struct store *s, const struct commit *c, int upper_fd)
{
	_cleanup_fd_ int tree = -1;

	if (open_layer(w, s, c, &tree) < 0)
		return -1;
	if (descent_begin(&w->tree, tree, O_RDONLY) < 0 ||
	    descent_begin(&w->upper, upper_fd, O_RDONLY) < 0)
		return failed(w, "");
	return walk_folder(w);
}

/* What a tree says of a path: nothing, or that what lies below does not show there. */
static bool hides(int tree, const char *path)
{
	_cleanup_descent_ struct descent d = DESCENT_EMPTY;
	bool hidden = false;

	if (descent_begin(&d, tree, O_RDONLY) < 0)
		return false;
	for (const char *part = path;; part += strcspn(part, "/") + 1) {
		_cleanup_free_ char *name = xasprintf("%.*s", (int)strcspn(part, "/"), part);
		bool opaque = false;
		struct stat st;

		if (fstatat(d.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return hidden;
		if (!part[strcspn(part, "/")] || !S_ISDIR(st.st_mode))
			return true;
		if (descent_down(&d, name) < 0 ||
		    whiteout_opaque(WHITEOUT_KERNEL, d.fd, &opaque, NULL) < 0)
			return false;
		hidden = hidden || opaque;
	}
}

/* Leave out of the entries from `first` on what a newer layer, `tree`, deletes or has itself: the kernel
 * would list a whiteout in a folder that nothing lies below of. */
static void leave_out(struct walk *w, size_t first, int tree)
{
	size_t n = first;

	for (size_t i = first; i < w->n; i++) {
		if (!hides(tree, w->gone[i].path))
			w->gone[n++] = w->gone[i];
	}
	w->n = n;
}

static int find_gone(struct walk *w, const struct store *s, int upper_fd)
{
	const struct chain *chain = &w->env->chain;

	for (size_t i = chain->n; i-- > w->env->below;) {
		size_t first = w->n;

		if (walk_layer(w, s, &chain->v[i], upper_fd) < 0)
			return -1;
		for (size_t k = i + 1; k < chain->n && w->n > first; k++) {
			_cleanup_fd_ int tree = -1;

			if (open_layer(w, s, &chain->v[k], &tree) < 0)
				return -1;
			leave_out(w, first, tree);
		}
	}
	return 0;
}

static bool is_folder(const struct entry *e)
{
	return e->verdict != ENTRY_DELETED && e->verdict != ENTRY_HIDDEN && S_ISDIR(e->st.st_mode);
}

/* The order of the tar: a folder counts as "path/". */
static int compare_entries(const void *x, const void *y)
{
	const struct entry *a = x;
	const struct entry *b = y;
	size_t i = 0;

	while (a->path[i] && a->path[i] == b->path[i])
		i++;

	int c = (unsigned char)a->path[i];
	int d = (unsigned char)b->path[i];

	if (!c && is_folder(a))
		c = '/';
	if (!d && is_folder(b))
		d = '/';
	if (c != d)
		return c - d;
	/* A folder before what is in it. */
	return (a->path[i] != '\0') - (b->path[i] != '\0');
}

static bool is_below(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && path[n] == '/';
}

/* The folders above a deletion are there because of it.  In order, each folder comes right before
 * what is in it. */
static void mark_above(struct arena *a, struct entries *all)
{
	struct entry **above = arena_alloc(a, (all->n + 1) * sizeof(struct entry *));
	size_t n = 0;

	for (size_t i = 0; i < all->n; i++) {
		struct entry *e = &all->v[i];

		while (n > 0 && !is_below(e->path, above[n - 1]->path))
			n--;
		for (size_t k = 0; k < n && e->verdict == ENTRY_DELETED; k++) {
			if (above[k]->verdict == ENTRY_SAME || above[k]->verdict == ENTRY_TIME)
				above[k]->verdict = ENTRY_PARENT;
			e->excluded = e->excluded || above[k]->excluded;
		}
		if (is_folder(e))
			above[n++] = e;
	}
}

static void merge(struct walk *w, const struct diff_input *in, struct entries *ret)
{
	struct entries all = {0};

	all.v = arena_alloc(w->a, (ret->n + w->n + 1) * sizeof(*all.v));
	for (size_t i = 0; i < w->n; i++) {
		struct entry *e = &w->gone[i];

		e->excluded = diff_excluded(in->exclude, e->path, S_ISDIR(e->st.st_mode));
		all.v[all.n++] = *e;
	}
	if (all.n == 0)
		return;
	if (ret->n > 0)
		memcpy(&all.v[all.n], ret->v, ret->n * sizeof(*all.v));
	all.n += ret->n;
	qsort(all.v, all.n, sizeof(*all.v), compare_entries);
	mark_above(w->a, &all);
	*ret = all;
}

static void walk_begin(struct walk *w, struct arena *a, const struct env *e)
{
	*w = (struct walk){
		.a = a,
		.env = e,
		.dialect = e->fuse ? WHITEOUT_FUSE : WHITEOUT_KERNEL,
		.tree = DESCENT_EMPTY,
		.upper = DESCENT_EMPTY,
	};
}

int floating_diff(struct arena *a, const struct store *s, const struct env *e,
		  const struct diff_input *in, struct entries *ret, struct err *err)
{
	__attribute__((cleanup(walk_done))) struct walk w;
	struct entries all;

	walk_begin(&w, a, e);
	w.err = err;
	if (diff_entries(a, in, &all, err) < 0)
		return -1;
	if (e->below < e->chain.n) {
		if (find_gone(&w, s, in->upper) < 0)
			return -1;
		merge(&w, in, &all);
	}
	*ret = all;
	return 0;
}

int floating_settle(struct arena *a, const struct store *s, const struct env *e, struct err *err)
{
	__attribute__((cleanup(walk_done))) struct walk w;
	_cleanup_descent_ struct descent d = DESCENT_EMPTY;
	_cleanup_fd_ int upper =
		openat(e->fd, e->upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	walk_begin(&w, a, e);
	w.err = err;
	if (upper < 0 || descent_begin(&d, upper, O_RDONLY) < 0)
		return err_errno(err, errno, "cannot open '%s'", e->upper);
	if (find_gone(&w, s, upper) < 0)
		return -1;
	for (size_t i = 0; i < w.n; i++) {
		const char *name = path_base(w.gone[i].path);
		struct err why = {0};

		if (descent_to_parent(&d, w.gone[i].path) < 0)
			return err_errno(err, errno, "cannot mark '/%s' as deleted",
					 w.gone[i].path);
		/* Two layers may have had it. */
		if (whiteout_make(d.fd, name, &why) < 0 && why.errnum != EEXIST) {
			*err = why;
			return -1;
		}
	}
	if (syncfs(upper) < 0)
		return err_errno(err, errno, "cannot write '%s' to the disk", e->upper);
	return 0;
}
