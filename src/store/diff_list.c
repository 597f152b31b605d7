/* What one folder says, in order. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/ahead.h"
#include "store/diff_internal.h"

void diff_children_done(const struct diff_walk *w, struct diff_children *c)
{
	if (!c)
		return;
	ahead_leave(w->ahead, &c->upper);
	arena_free(c->a);
	free(c->v);
	*c = (struct diff_children){0};
}

/* The name and the stat live as long as they. */
static struct diff_child *add(struct diff_children *c, const char *name, const struct stat *st)
{
	struct diff_child *child;

	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 16;
		c->v = xrealloc(c->v, c->cap * sizeof(*c->v));
	}
	child = &c->v[c->n++];
	*child = (struct diff_child){.name = name, .st = st};
	return child;
}

/* What the lower says is kept beside. */
static const struct stat *keep(struct diff_children *c, const struct stat *st)
{
	struct stat *copy;

	if (!c->a)
		c->a = arena_new();
	copy = arena_alloc(c->a, sizeof(*copy));
	*copy = *st;
	return copy;
}

static int by_name(const void *a, const void *b)
{
	const struct diff_child *x = a;
	const struct diff_child *y = b;
	int r = strcmp(x->name, y->name);

	/* Of one name, what deletes it comes first. */
	return r ? r : (int)(y->verdict == ENTRY_DELETED) - (int)(x->verdict == ENTRY_DELETED);
}

static int by_name_only(const void *a, const void *b)
{
	const struct diff_child *x = a;
	const struct diff_child *y = b;

	return strcmp(x->name, y->name);
}

/* As the tar has it: a folder's name ends with a slash. */
static int by_path(const void *a, const void *b)
{
	const struct diff_child *x = a;
	const struct diff_child *y = b;
	size_t i = 0;
	unsigned char c[2];

	while (x->name[i] && x->name[i] == y->name[i])
		i++;
	c[0] = (unsigned char)x->name[i];
	c[1] = (unsigned char)y->name[i];
	if (!c[0] && S_ISDIR(x->st->st_mode))
		c[0] = '/';
	if (!c[1] && S_ISDIR(y->st->st_mode))
		c[1] = '/';
	return c[0] - c[1];
}

/* Without folders and without what is hidden, which comes behind, the two orders are one. */
static bool is_in_order(const struct diff_children *c)
{
	for (size_t i = 0; i < c->n; i++) {
		if (S_ISDIR(c->v[i].st->st_mode) || c->v[i].verdict == ENTRY_HIDDEN)
			return false;
	}
	return true;
}

static void sort(struct diff_children *c, int (*order)(const void *, const void *))
{
	if (c->n > 1)
		qsort(c->v, c->n, sizeof(*c->v), order);
}

static int failed(const struct diff_walk *w, const char *action, const char *name)
{
	return err_errno(w->err, errno, "cannot %s '/%s%s%s' in the environment's changes", action,
			 w->upper.path.p, w->upper.path.len && *name ? "/" : "", name);
}

/* Of a walk that only goes to one path: is the name on the way? */
static bool on_the_way(const struct diff_walk *w, const char *name)
{
	const char *under = w->in->under;
	size_t len = w->upper.path.len;
	size_t part;

	if (!under || strlen(under) <= len)
		return true;
	under += len + (len ? 1 : 0);
	part = strcspn(under, "/");
	return strlen(name) == part && strncmp(name, under, part) == 0;
}

/* A DIR of the folder at fd, which stays the caller's. */
static DIR *open_list(int dir_fd)
{
	_cleanup_fd_ int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (d)
		(void)TAKE_FD(fd);
	return d;
}

/* The next name; NULL with errno 0 at the end. */
static const char *next_name(DIR *d)
{
	struct dirent *e;

	do {
		errno = 0;
		e = readdir(d);
	} while (e && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0));
	return e ? e->d_name : NULL;
}

/* A whiteout: of something, or of nothing. */
static int add_deleted(const struct diff_walk *w, const char *name, const struct stat *st,
		       struct diff_children *ret)
{
	struct diff_child *c = add(ret, name, st);
	struct stat was;

	c->verdict = ENTRY_SAME;
	if (!diff_has_lower(w))
		return 0;
	if (fstatat(w->lower.fd, name, &was, AT_SYMLINK_NOFOLLOW) < 0)
		return diff_vanished(errno) ? 0 : failed(w, "look for", name);
	c->st = keep(ret, &was);
	c->verdict = ENTRY_DELETED;
	return 0;
}

static int add_upper(const struct diff_walk *w, struct listed *e, struct diff_children *ret)
{
	const char *deleted;
	struct diff_child *c;

	switch (whiteout_entry(w->in->dialect, e->name, &e->st, &deleted)) {
	case WHITEOUT_MARK:
		return 0;
	case WHITEOUT_DELETE:
		return on_the_way(w, deleted) ? add_deleted(w, deleted, &e->st, ret) : 0;
	case WHITEOUT_NONE:
		break;
	}
	if (!on_the_way(w, e->name))
		return 0;
	c = add(ret, e->name, &e->st);
	c->verdict = ENTRY_ADDED;
	c->listed = e;
	return 0;
}

static int list_upper(const struct diff_walk *w, struct listed *at, struct diff_children *ret)
{
	if (ahead_list(w->ahead, at, w->upper.fd, w->upper.path.p, &ret->upper) < 0)
		return diff_vanished(errno) ? 0 : failed(w, "list", "");
	for (size_t i = 0; i < ret->upper.n; i++) {
		if (add_upper(w, ret->upper.v[i], ret) < 0)
			return -1;
	}
	return 0;
}

/* fuse-overlayfs: a name may be there and deleted at once; then it is deleted. */
static void drop_doubles(struct diff_children *c)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->n; i++) {
		if (kept == 0 || strcmp(c->v[kept - 1].name, c->v[i].name) != 0)
			c->v[kept++] = c->v[i];
	}
	c->n = kept;
}

/* What only the lower has: the upper's names are sorted. */
static int list_hidden(const struct diff_walk *w, struct diff_children *ret)
{
	_cleanup_dir_ DIR *d = open_list(w->lower.fd);
	const size_t n = ret->n;
	const char *name;

	if (!d)
		return failed(w, "list what is hidden by", "");
	while ((name = next_name(d))) {
		const struct diff_child key = {.name = name};
		struct diff_child *c;
		struct stat st;

		if (!on_the_way(w, name))
			continue;
		if (n && bsearch(&key, ret->v, n, sizeof(*ret->v), by_name_only))
			continue;
		if (fstatat(w->lower.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (diff_vanished(errno))
				continue;
			return failed(w, "look for", name);
		}
		c = add(ret, NULL, keep(ret, &st));
		c->name = arena_strdup(ret->a, name);
		c->verdict = ENTRY_HIDDEN;
	}
	return errno ? failed(w, "list what is hidden by", "") : 0;
}

int diff_list(const struct diff_walk *w, bool opaque, struct listed *at, struct diff_children *ret)
{
	*ret = (struct diff_children){0};
	if (list_upper(w, at, ret) < 0)
		return -1;
	sort(ret, by_name);
	drop_doubles(ret);
	if (opaque && diff_has_lower(w) && list_hidden(w, ret) < 0)
		return -1;
	if (!is_in_order(ret))
		sort(ret, by_path);
	return 0;
}
