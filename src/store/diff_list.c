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
#include "store/diff_internal.h"

void diff_children_done(struct diff_children *c)
{
	if (!c)
		return;
	arena_free(c->a);
	free(c->v);
	*c = (struct diff_children){0};
}

static struct diff_child *add(struct diff_children *c, const char *name)
{
	struct diff_child *child;

	if (c->n == c->cap) {
		c->cap = c->cap ? c->cap * 2 : 16;
		c->v = xrealloc(c->v, c->cap * sizeof(*c->v));
	}
	child = &c->v[c->n++];
	*child = (struct diff_child){.name = arena_strdup(c->a, name)};
	return child;
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
	if (!c[0] && S_ISDIR(x->st.st_mode))
		c[0] = '/';
	if (!c[1] && S_ISDIR(y->st.st_mode))
		c[1] = '/';
	return c[0] - c[1];
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
	struct diff_child *c = add(ret, name);
	int r;

	c->verdict = ENTRY_SAME;
	c->st = *st;
	if (!diff_has_lower(w))
		return 0;
	r = fstatat(w->lower.fd, name, &c->st, AT_SYMLINK_NOFOLLOW);
	if (r < 0 && !diff_vanished(errno))
		return failed(w, "look for", name);
	if (r == 0)
		c->verdict = ENTRY_DELETED;
	else
		c->st = *st;
	return 0;
}

static int add_upper(const struct diff_walk *w, const char *name, struct diff_children *ret)
{
	const char *deleted;
	struct diff_child *c;
	struct stat st;

	if (fstatat(w->upper.fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return diff_vanished(errno) ? 0 : failed(w, "look at", name);
	switch (whiteout_entry(w->in->dialect, name, &st, &deleted)) {
	case WHITEOUT_MARK:
		return 0;
	case WHITEOUT_DELETE:
		return on_the_way(w, deleted) ? add_deleted(w, deleted, &st, ret) : 0;
	case WHITEOUT_NONE:
		break;
	}
	if (!on_the_way(w, name))
		return 0;
	c = add(ret, name);
	c->verdict = ENTRY_ADDED;
	c->st = st;
	return 0;
}

static int list_upper(const struct diff_walk *w, struct diff_children *ret)
{
	_cleanup_dir_ DIR *d = open_list(w->upper.fd);
	const char *name;

	if (!d)
		return failed(w, "list", "");
	while ((name = next_name(d))) {
		if (add_upper(w, name, ret) < 0)
			return -1;
	}
	return errno && !diff_vanished(errno) ? failed(w, "list", "") : 0;
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
		c = add(ret, name);
		c->verdict = ENTRY_HIDDEN;
		c->st = st;
	}
	return errno ? failed(w, "list what is hidden by", "") : 0;
}

int diff_list(const struct diff_walk *w, bool opaque, struct diff_children *ret)
{
	*ret = (struct diff_children){.a = arena_new()};
	if (list_upper(w, ret) < 0)
		return -1;
	sort(ret, by_name);
	drop_doubles(ret);
	if (opaque && diff_has_lower(w) && list_hidden(w, ret) < 0)
		return -1;
	sort(ret, by_path);
	return 0;
}
