#include "store/merge.h"

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
#include "store/copy.h"
#include "store/descent.h"
#include "store/links.h"
#include "store/tree.h"
#include "store/whiteout.h"

struct item {
	const struct entry *entry;
	size_t layer;
};

struct merging {
	struct item *
		items; /* by path, where '/' comes before all else; of one path, the topmost first */
	struct merge out;
};

/* So that a folder is followed by all that is in it, and by nothing else. */
static int compare_paths(const char *x, const char *y)
{
	while (*x && *x == *y) {
		x++;
		y++;
	}
	if (*x == *y)
		return 0;
	if (!*x || !*y)
		return *x ? 1 : -1;
	if (*x == '/' || *y == '/')
		return *x == '/' ? -1 : 1;
	return (unsigned char)*x - (unsigned char)*y;
}

static int compare_items(const void *p, const void *q)
{
	const struct item *a = p;
	const struct item *b = q;
	int r = compare_paths(a->entry->path, b->entry->path);

	if (r)
		return r;
	return a->layer > b->layer ? -1 : 1;
}

/* How far the items go that are `path` or below it. */
static size_t end_of(const struct merging *m, size_t from, size_t to, const char *path)
{
	size_t n = strlen(path);

	while (from < to) {
		const char *p = m->items[from].entry->path;

		if (strncmp(p, path, n) != 0 || (p[n] != '\0' && p[n] != '/'))
			break;
		from++;
	}
	return from;
}

static bool is_folder(const struct item *i)
{
	return i->entry->verdict != ENTRY_DELETED && S_ISDIR(i->entry->st.st_mode);
}

static void emit(struct merging *m, const struct item *item, bool opaque)
{
	struct merged *out = &m->out.v[m->out.n++];

	out->entry = *item->entry;
	out->entry.opaque = opaque;
	out->layer = item->layer;
}

/*
 * From which layer on, upwards, the folder at items[at..end) shows what is in it; *ret_hides: it
 * also hides what lies below all layers.
 */
static size_t floor_of(const struct merging *m, size_t at, size_t end, size_t floor,
		       bool *ret_hides)
{
	for (size_t i = at; i < end && m->items[i].layer >= floor; i++) {
		const struct item *item = &m->items[i];

		if (is_folder(item) && !item->entry->opaque)
			continue;
		*ret_hides = true;
		return is_folder(item) ? item->layer : item->layer + 1;
	}
	*ret_hides = false;
	return floor;
}

/* The items of one folder, of which the layers from `floor` on count; `hidden`: nothing of the base shows. */
static void merge_range(struct merging *m, size_t from, size_t to, size_t floor, bool hidden)
{
	while (from < to) {
		const struct item *top = &m->items[from];
		size_t end = end_of(m, from, to, top->entry->path);
		size_t same = from;
		bool hides = false;
		size_t below;

		while (same < end && strcmp(m->items[same].entry->path, top->entry->path) == 0)
			same++;
		if (top->layer >= floor && is_folder(top)) {
			below = floor_of(m, from, same, floor, &hides);
			emit(m, top, hides && !hidden);
			merge_range(m, same, end, below, hidden || hides);
		} else if (top->layer >= floor &&
			   !(hidden && top->entry->verdict == ENTRY_DELETED)) {
			emit(m, top, false);
		}
		from = end;
	}
}

int merge_layers(struct arena *a, const int *trees, size_t n, struct merge *ret, struct err *err)
{
	struct entries *lists = arena_alloc(a, (n + 1) * sizeof(*lists));
	struct merging m = {0};
	size_t all = 0;

	for (size_t i = 0; i < n; i++) {
		if (tree_entries(a, trees[i], &lists[i], err) < 0)
			return -1;
		all += lists[i].n;
	}
	m.items = arena_alloc(a, (all + 1) * sizeof(*m.items));
	m.out.v = arena_alloc(a, (all + 1) * sizeof(*m.out.v));
	all = 0;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < lists[i].n; k++)
			m.items[all++] = (struct item){&lists[i].v[k], i};
	}
	if (all > 0)
		qsort(m.items, all, sizeof(*m.items), compare_items);
	merge_range(&m, 0, all, 0, false);
	*ret = m.out;
	return 0;
}

/* Has the base something of that name? `ret_folder`: a folder. */
static int look_below(struct descent *d, const char *path, bool *ret_there, bool *ret_folder,
		      struct err *err)
{
	struct stat st;

	*ret_there = false;
	*ret_folder = false;
	if (descent_to_parent(d, path) < 0 ||
	    fstatat(d->fd, path_base(path), &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
			return 0;
		return err_errno(err, errno, "cannot look at '/%s' in the base", path);
	}
	*ret_there = true;
	*ret_folder = S_ISDIR(st.st_mode);
	return 0;
}

int merge_trim(struct merge *m, int base, struct err *err)
{
	_cleanup_descent_ struct descent d = DESCENT_EMPTY;
	size_t n = 0;

	if (descent_begin(&d, base, O_PATH) < 0)
		return err_errno(err, errno, "cannot open the base");
	for (size_t i = 0; i < m->n; i++) {
		struct entry *e = &m->v[i].entry;
		bool there = true;
		bool folder = true;

		if ((e->verdict == ENTRY_DELETED || e->opaque) &&
		    look_below(&d, e->path, &there, &folder, err) < 0)
			return -1;
		if (e->verdict == ENTRY_DELETED && !there)
			continue;
		e->opaque = e->opaque && folder;
		m->v[n++] = m->v[i];
	}
	m->n = n;
	return 0;
}

/* A tree that is copied from. */
struct source {
	struct descent at;
	struct links *links; /* the names that were copied */
};

struct copying {
	struct source *from;
	size_t n;
	struct descent to;
	struct descent first; /* where the first name of a hard link is */
	struct err *err;
};

static void copying_done(struct copying *c)
{
	for (size_t i = 0; i < c->n; i++) {
		descent_done(&c->from[i].at);
		links_free(&c->from[i].links);
	}
	descent_done(&c->to);
	descent_done(&c->first);
}

static int failed(const struct copying *c, const char *path)
{
	return err_errno(c->err, errno, "cannot merge '/%s'", path);
}

static int mark_opaque(struct copying *c, const char *path)
{
	_cleanup_fd_ int fd =
		openat(c->to.fd, path_base(path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? failed(c, path) : whiteout_make_opaque(fd, c->err);
}

static int copy_one(struct copying *c, const struct merged *m)
{
	const struct entry *e = &m->entry;
	const char *name = path_base(e->path);
	struct source *from = &c->from[m->layer];
	const char *first;

	if (descent_to_parent(&c->to, e->path) < 0)
		return failed(c, e->path);
	if (e->verdict == ENTRY_DELETED)
		return whiteout_make(c->to.fd, name, c->err);
	if (descent_to_parent(&from->at, e->path) < 0)
		return failed(c, e->path);
	first = links_first(from->links, &e->st, e->path);
	if (first) {
		if (descent_to_parent(&c->first, first) < 0 ||
		    linkat(c->first.fd, path_base(first), c->to.fd, name, 0) < 0)
			return failed(c, e->path);
		return 0;
	}
	if (copy_entry(from->at.fd, c->to.fd, name, &e->st, c->err) < 0)
		return err_prefix(c->err, "cannot merge '/%s'", e->path);
	return e->opaque ? mark_opaque(c, e->path) : 0;
}

/* A folder's time, once all is in it. */
static int put_time(struct copying *c, const struct entry *e)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, e->st.st_mtim};

	if (e->verdict == ENTRY_DELETED || !S_ISDIR(e->st.st_mode))
		return 0;
	if (descent_to_parent(&c->to, e->path) < 0 ||
	    utimensat(c->to.fd, path_base(e->path), times, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(c, e->path);
	return 0;
}

static int begin(struct copying *c, const int *trees, int to)
{
	for (size_t i = 0; i < c->n; i++) {
		c->from[i].at = (struct descent)DESCENT_EMPTY;
		c->from[i].links = links_new();
	}
	for (size_t i = 0; i < c->n; i++) {
		if (descent_begin(&c->from[i].at, trees[i], O_RDONLY) < 0)
			return failed(c, "");
	}
	if (descent_begin(&c->to, to, O_RDONLY) < 0 || descent_begin(&c->first, to, O_RDONLY) < 0)
		return failed(c, "");
	return 0;
}

int merge_copy(const int *trees, size_t n, const struct merge *m, int to, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct err ignored = {0};
	__attribute__((cleanup(copying_done))) struct copying c = {
		.from = arena_alloc(a, (n + 1) * sizeof(*c.from)),
		.n = n,
		.to = DESCENT_EMPTY,
		.first = DESCENT_EMPTY,
		.err = err ? err : &ignored,
	};

	if (begin(&c, trees, to) < 0)
		return -1;
	for (size_t i = 0; i < m->n; i++) {
		if (copy_one(&c, &m->v[i]) < 0)
			return -1;
	}
	for (size_t i = 0; i < m->n; i++) {
		if (put_time(&c, &m->v[i].entry) < 0)
			return -1;
	}
	return 0;
}
