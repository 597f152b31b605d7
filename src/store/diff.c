#include "store/diff.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/ahead.h"
#include "store/diff_internal.h"

/*
 * What lies deeper is refused: a tree of n folders one in the other has paths of n × n bytes in all, which
 * whoever works in the sandbox could make at no cost.  No path that a program can use at once is so deep.
 */
#define DEPTH_LIMIT (PATH_MAX / 2)
#define PATH_LIMIT 65536U

/*
 * Room for what is found.  To touch memory for the first time, or where it was moved to, costs more than
 * all else that is done for an entry; what is not touched costs nothing.  So there is much, and no copy.
 */
#define FOUND_FIRST 16384
#define FOUND_GROWTH 4

/* A folder on the way from the root to where the walk is. */
struct level {
	struct diff_children children;
	size_t entry;  /* its own, in `found`; SIZE_MAX of the root */
	bool changed;  /* something below it is not as it was */
	bool left_out; /* and that something is excluded, and it is not */
	bool excluded; /* and all below it */
	bool covers;   /* it, or a folder above it, hides what the lower has */
};

struct diff {
	struct diff_walk w;
	struct ahead *own_ahead;
	struct level *levels; /* w.upper.n + 1 of them */
	size_t cap;
	struct entry *found;
	size_t *parents; /* of each of them: the entry of its folder, or SIZE_MAX */
	struct diff_links links;
	size_t n;
	size_t found_cap;
	struct arena *a;
};

static void diff_done(struct diff *d)
{
	for (size_t i = 0; d->levels && i <= d->w.upper.n; i++)
		diff_children_done(&d->w, &d->levels[i].children);
	ahead_free(d->own_ahead);
	free(d->levels);
	free(d->found);
	free(d->parents);
	diff_links_done(&d->links);
	free(d->w.buffers[0]);
	free(d->w.buffers[1]);
	descent_done(&d->w.upper);
	descent_done(&d->w.lower);
}

bool diff_is_change(const struct entry *e)
{
	switch (e->verdict) {
	case ENTRY_ADDED:
	case ENTRY_MODIFIED:
	case ENTRY_DELETED:
	case ENTRY_HIDDEN:
		return true;
	case ENTRY_SAME:
	case ENTRY_TIME:
	case ENTRY_PARENT:
		break;
	}
	return false;
}

bool diff_has_lower(const struct diff_walk *w)
{
	return w->lower.n == w->upper.n && w->lower.fd >= 0;
}

bool diff_vanished(int errnum)
{
	return errnum == ENOENT || errnum == ENOTDIR || errnum == ESTALE || errnum == ELOOP;
}

static struct level *top(struct diff *d)
{
	return &d->levels[d->w.upper.n];
}

/* Room for the level where the walk is. */
static void add_level(struct diff *d)
{
	if (d->w.upper.n >= d->cap) {
		d->cap = d->cap ? d->cap * 2 : 16;
		d->levels = xrealloc(d->levels, d->cap * sizeof(*d->levels));
	}
	*top(d) = (struct level){0};
}

static const char *path_in(struct diff *d, const char *name)
{
	const struct buf *folder = &d->w.upper.path;
	size_t len = strlen(name);
	char *path = arena_alloc(d->a, folder->len + 1 + len + 1);
	char *end = path;

	if (folder->len) {
		memcpy(path, folder->p, folder->len);
		end = path + folder->len;
		*end++ = '/';
	}
	memcpy(end, name, len + 1);
	return path;
}

static struct entry *add_entry(struct diff *d, const struct diff_child *c)
{
	struct entry *e;

	if (d->n == d->found_cap) {
		d->found_cap = d->found_cap ? d->found_cap * FOUND_GROWTH : FOUND_FIRST;
		d->found = xrealloc(d->found, d->found_cap * sizeof(*d->found));
		d->parents = xrealloc(d->parents, d->found_cap * sizeof(*d->parents));
	}
	d->parents[d->n] = top(d)->entry;
	e = &d->found[d->n++];
	*e = (struct entry){
		.path = path_in(d, c->name),
		.verdict = c->verdict,
		.st = *c->st,
	};
	e->covered = top(d)->covers && c->verdict == ENTRY_ADDED;
	e->excluded = top(d)->excluded ||
		      diff_excluded(d->w.in->exclude, e->path, S_ISDIR(c->st->st_mode));
	return e;
}

/*
 * Something is not as it was: its folder then is not either, but for what is left out.  What an opaque
 * folder hides cannot be left out: it is hidden with the rest.
 */
static void note_change(struct level *folder, const struct entry *e)
{
	if (e->verdict == ENTRY_HIDDEN ||
	    (e->verdict != ENTRY_SAME && (!e->excluded || folder->excluded)))
		folder->changed = true;
	else if (e->verdict != ENTRY_SAME)
		folder->left_out = true;
}

static int check_path(struct diff *d, const char *name)
{
	const char *folder = d->w.upper.path.p;

	if (d->w.upper.n >= DEPTH_LIMIT)
		err_set(d->w.err, "cannot compare '/%.60s…/%.60s': it lies in %d folders or more",
			folder, name, DEPTH_LIMIT);
	else if (d->w.upper.path.len + strlen(name) > PATH_LIMIT)
		err_set(d->w.err, "cannot compare '/%.60s…/%.60s': its path has more than %u bytes",
			folder, name, PATH_LIMIT);
	else
		return 0;
	return err_hint(d->w.err, "remove it with `sbx run`, or all changes with `sbx reset`");
}

/* The folder of the last entry: enter it.  1, 0: it has vanished, -1. */
static int enter(struct diff *d, const struct diff_child *c, bool lower_too)
{
	const char *name = c->name;
	struct entry *e = &d->found[d->n - 1];
	bool covered = top(d)->covers;
	bool opaque = false;

	if (descent_down(&d->w.upper, name) < 0) {
		if (diff_vanished(errno))
			return 0;
		return err_errno(d->w.err, errno, "cannot open '/%s' in the environment's changes",
				 e->path);
	}
	add_level(d);
	top(d)->entry = d->n - 1;
	top(d)->excluded = e->excluded;
	if (lower_too && descent_down(&d->w.lower, name) < 0 && !diff_vanished(errno))
		return err_errno(d->w.err, errno, "cannot open '/%s' as it was before", e->path);
	if (whiteout_opaque(d->w.in->dialect, d->w.upper.fd, &opaque, d->w.err) < 0)
		return err_prefix(d->w.err, "'/%s'", e->path);
	e->opaque = opaque && !covered && diff_has_lower(&d->w);
	top(d)->covers = covered || e->opaque;
	return diff_list(&d->w, top(d)->covers, c->listed, &top(d)->children) < 0 ? -1 : 1;
}

static int compare(struct diff *d, const char *name, struct entry *e)
{
	struct stat was;
	struct stat *copy;
	int r = diff_compare(&d->w, name, e, &was);

	if (r > 0)
		diff_links_add(&d->links, d->n - 1, &e->st, &was);
	if (r <= 0 || e->verdict != ENTRY_MODIFIED)
		return r;
	copy = arena_alloc(d->a, sizeof(*copy));
	*copy = was;
	e->was = copy;
	return r;
}

static int visit(struct diff *d, const struct diff_child *c)
{
	struct entry *e;
	bool lower_too = diff_has_lower(&d->w);
	int r = 1;

	if (check_path(d, c->name) < 0)
		return -1;
	e = add_entry(d, c);
	if (c->verdict == ENTRY_ADDED)
		r = compare(d, c->name, e);
	if (r > 0 && c->verdict == ENTRY_ADDED && S_ISDIR(c->st->st_mode)) {
		lower_too = lower_too && e->verdict != ENTRY_ADDED && !(e->what & CHANGE_TYPE);
		r = enter(d, c, lower_too);
		/* It counts when the walk leaves it. */
		if (r > 0)
			return 0;
	}
	if (r < 0)
		return -1;
	if (r == 0)
		d->n--;
	else
		note_change(top(d), e);
	return 0;
}

/* Up to the folder above.  Of one that was moved away, the rest cannot be seen: it is left out. */
static void leave(struct diff *d)
{
	struct level *level = top(d);
	struct entry *e = &d->found[level->entry];

	if ((e->verdict == ENTRY_SAME || e->verdict == ENTRY_TIME) && level->changed)
		e->verdict = ENTRY_PARENT;
	/* A folder has the time of the last change in it: what is left out is no reason for one. */
	else if (e->verdict == ENTRY_TIME && level->left_out)
		e->verdict = ENTRY_SAME;
	(level - 1)->left_out = (level - 1)->left_out || level->left_out;
	/* All that it hides, it has itself. */
	for (size_t i = level->entry + 1; e->opaque && e->verdict == ENTRY_SAME && i < d->n; i++)
		d->found[i].covered = false;
	note_change(level - 1, e);
	diff_children_done(&d->w, &level->children);
	if (d->w.lower.n == d->w.upper.n && descent_up(&d->w.lower) < 0)
		cleanup_fd(&d->w.lower.fd);
	if (descent_up(&d->w.upper) < 0)
		top(d)->children.next = top(d)->children.n;
}

static int walk(struct diff *d)
{
	bool opaque = false;

	if (descent_begin(&d->w.upper, d->w.in->upper, O_RDONLY) < 0 ||
	    descent_begin(&d->w.lower, d->w.in->lower, O_PATH) < 0)
		return err_errno(d->w.err, errno, "cannot open the environment's changes");
	/* To one path alone there are no other folders on the way. */
	if (!d->w.in->under && !d->w.in->ahead)
		d->own_ahead = ahead_new(d->w.in->upper);
	d->w.ahead = d->own_ahead ? d->own_ahead : d->w.in->ahead;
	add_level(d);
	top(d)->entry = SIZE_MAX;
	if (whiteout_opaque(d->w.in->dialect, d->w.upper.fd, &opaque, d->w.err) < 0 ||
	    diff_list(&d->w, opaque, NULL, &top(d)->children) < 0)
		return -1;
	top(d)->covers = opaque;
	for (;;) {
		struct diff_children *c = &top(d)->children;

		if (c->next < c->n) {
			if (visit(d, &c->v[c->next++]) < 0)
				return -1;
		} else if (d->w.upper.n) {
			leave(d);
		} else {
			return 0;
		}
	}
}

int diff_entries(struct arena *a, const struct diff_input *in, struct entries *ret, struct err *err)
{
	__attribute__((cleanup(diff_done))) struct diff d = {
		.w = {.in = in, .upper = DESCENT_EMPTY, .lower = DESCENT_EMPTY, .err = err},
		.a = a,
	};
	d.w.buffers[0] = xmalloc(DIFF_BUFFER);
	d.w.buffers[1] = xmalloc(DIFF_BUFFER);
	if (walk(&d) < 0)
		return -1;
	diff_links_mark(&d.links, d.found, d.parents);
	arena_adopt(a, d.found);
	*ret = (struct entries){.v = TAKE_PTR(d.found), .n = d.n};
	return 0;
}
