#include "store/tree.h"

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
#include "store/links.h"

#define BLOCK_SIZE 512U

/* A folder that is still to be listed. */
struct todo {
	char *name;
	size_t depth; /* of the folder that it is in */
};

/* Nothing here is as long as a path for each step: a deep tree would take n × n bytes. */
struct walk {
	struct descent at;
	tree_fn fn;
	void *ctx;
	struct buf path;   /* of the entry */
	size_t folder;     /* so much of it is its folder's, with the slash */
	struct todo *todo; /* the next one last */
	size_t n, cap;
	struct err *err;
};

static void walk_done(struct walk *w)
{
	descent_done(&w->at);
	buf_done(&w->path);
	for (size_t i = 0; i < w->n; i++)
		free(w->todo[i].name);
	free(w->todo);
}

static bool vanished(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR;
}

static int failed(const struct walk *w, const char *path)
{
	return err_errno(w->err, errno, "cannot look at '/%s'", path);
}

static void push(struct walk *w, const char *name)
{
	if (w->n == w->cap) {
		w->cap = w->cap ? w->cap * 2 : 64;
		w->todo = xrealloc(w->todo, w->cap * sizeof(*w->todo));
	}
	w->todo[w->n++] = (struct todo){.name = xstrdup(name), .depth = w->at.n};
}

static int visit(struct walk *w, int dir_fd, const char *name)
{
	struct entry e = {.verdict = ENTRY_ADDED};

	w->path.len = w->folder;
	buf_adds(&w->path, name);
	e.path = w->path.p;
	if (fstatat(dir_fd, name, &e.st, AT_SYMLINK_NOFOLLOW) < 0)
		return vanished(errno) ? 0 : failed(w, e.path);
	if (whiteout_is_device(&e.st))
		e.verdict = ENTRY_DELETED;
	if (S_ISDIR(e.st.st_mode))
		push(w, name);
	return w->fn(w->ctx, dir_fd, &e, w->err);
}

/* The folder where the walk is. */
static int list(struct walk *w)
{
	/* One that can be listed, whatever else is done with the walk's. */
	_cleanup_fd_ int fd = openat(w->at.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!d)
		return vanished(errno) ? 0 : failed(w, w->at.path.p);
	(void)TAKE_FD(fd);
	w->path.len = 0;
	buf_add(&w->path, w->at.path.p, w->at.path.len);
	if (w->path.len)
		buf_adds(&w->path, "/");
	w->folder = w->path.len;
	while ((errno = 0, entry = readdir(d)) != NULL) {
		int r = 0;

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = visit(w, dirfd(d), entry->d_name);
		if (r)
			return r;
	}
	return errno ? failed(w, w->at.path.p) : 0;
}

/* To the next folder.  It is in the one where the walk is, or in one above that.  1; 0: it vanished; -1. */
static int go_on(struct walk *w)
{
	struct todo next = w->todo[--w->n];
	_cleanup_free_ char *name = next.name;
	int r = 0;

	while (w->at.n > next.depth)
		r = descent_up(&w->at);
	if (r < 0 || w->at.fd < 0)
		return 0;
	if (descent_down(&w->at, name) == 0)
		return 1;
	return vanished(errno) ? 0 : failed(w, name);
}

int tree_walk(int tree_fd, tree_fn fn, void *ctx, struct err *err)
{
	__attribute__((cleanup(walk_done))) struct walk w = {
		.at = DESCENT_EMPTY, .fn = fn, .ctx = ctx, .err = err};
	int r;

	if (descent_begin(&w.at, tree_fd, O_RDONLY) < 0)
		return failed(&w, "");
	r = list(&w);
	while (r == 0 && w.n > 0) {
		r = go_on(&w);
		if (r > 0)
			r = list(&w);
	}
	return r;
}

struct list {
	struct arena *a;
	struct entry *v;
	size_t n, cap;
};

static int read_opaque(int dir_fd, const char *name, bool *ret, struct err *err)
{
	_cleanup_fd_ int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return vanished(errno) ? 0 : err_errno(err, errno, "cannot open '%s'", name);
	return whiteout_opaque(WHITEOUT_KERNEL, fd, ret, err);
}

static int add(void *ctx, int dir_fd, const struct entry *e, struct err *err)
{
	struct list *l = ctx;
	struct entry *copy;

	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 64;
		l->v = xrealloc(l->v, l->cap * sizeof(*l->v));
	}
	copy = &l->v[l->n++];
	*copy = *e;
	copy->path = arena_strdup(l->a, e->path);
	if (S_ISDIR(e->st.st_mode))
		return read_opaque(dir_fd, path_base(e->path), &copy->opaque, err);
	return 0;
}

static int compare(const void *p, const void *q)
{
	const struct entry *a = p;
	const struct entry *b = q;

	return strcmp(a->path, b->path);
}

int tree_entries(struct arena *a, int tree_fd, struct entries *ret, struct err *err)
{
	struct list l = {.a = a};
	int r = tree_walk(tree_fd, add, &l, err);

	if (r == 0 && l.n > 0) {
		qsort(l.v, l.n, sizeof(*l.v), compare);
		ret->v = arena_alloc(a, l.n * sizeof(*l.v));
		memcpy(ret->v, l.v, l.n * sizeof(*l.v));
	}
	if (r == 0)
		ret->n = l.n;
	free(l.v);
	return r;
}

struct usage {
	struct links *links;
	uint64_t blocks;
};

static int count(void *ctx, int dir_fd, const struct entry *e, struct err *err)
{
	struct usage *u = ctx;

	(void)dir_fd;
	(void)err;
	if (!links_first(u->links, &e->st, ""))
		u->blocks += (uint64_t)e->st.st_blocks;
	return 0;
}

int tree_usage(int dir_fd, const char *name, uint64_t *ret_bytes, struct err *err)
{
	_cleanup_links_ struct links *links = links_new();
	struct usage u = {.links = links};
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno != ENOENT)
			return err_errno(err, errno, "cannot look at '%s'", name);
		*ret_bytes = 0;
		return 0;
	}
	u.blocks = (uint64_t)st.st_blocks;
	if (S_ISDIR(st.st_mode)) {
		fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			return err_errno(err, errno, "cannot open '%s'", name);
		if (tree_walk(fd, count, &u, err) < 0)
			return -1;
	}
	*ret_bytes = u.blocks * BLOCK_SIZE;
	return 0;
}
