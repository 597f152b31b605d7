#include "store/commit_select.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "store/commit.h"
#include "store/descent.h"
#include "store/whiteout_internal.h"

#define XATTR_LIST_MAX 65536

void selection_done(struct selection *s)
{
	buf_done(&s->kept);
}

static bool is_below(const struct entry *e, const struct entry *top)
{
	size_t n = strlen(top->path);

	return strncmp(e->path, top->path, n) == 0 && e->path[n] == '/';
}

/* Behind the last entry that is `v[i]` or below it. */
static size_t end_of(const struct entries *all, size_t i)
{
	size_t end = i + 1;

	while (end < all->n && is_below(&all->v[end], &all->v[i]))
		end++;
	return end;
}

/*
 * May v[i..end) stay in a new upper folder while the rest becomes a layer?  Not where a file of
 * it might have another name in the layer: what is written to never shares an inode with a layer.
 */
static bool can_stay(const struct entries *all, size_t i, size_t end)
{
	for (; i < end; i++) {
		const struct entry *e = &all->v[i];

		if (e->verdict != ENTRY_DELETED && e->verdict != ENTRY_HIDDEN &&
		    !S_ISDIR(e->st.st_mode) && e->st.st_nlink > 1)
			return false;
	}
	return true;
}

static void count(const struct entry *e, struct commit_result *c)
{
	if (e->verdict == ENTRY_ADDED)
		c->added++;
	else if (e->verdict == ENTRY_MODIFIED)
		c->modified++;
	else if (e->verdict == ENTRY_DELETED || e->verdict == ENTRY_HIDDEN)
		c->deleted++;
}

/* All of it stays: its topmost entry is moved with what is below. */
static void keep(const struct entries *all, size_t i, size_t end, struct selection *ret,
		 struct commit_result *counts)
{
	buf_add(&ret->kept, all->v[i].path, strlen(all->v[i].path) + 1);
	for (; i < end; i++)
		counts->kept += diff_is_change(&all->v[i]);
}

/* Is nothing in v[i..end) a change, of whatever kind? */
static bool is_all_same(const struct entries *all, size_t i, size_t end)
{
	for (; i < end; i++) {
		if (all->v[i].verdict != ENTRY_SAME)
			return false;
	}
	return true;
}

/* `hidden`: a folder above it hides what lies below, so that what is the same is not there to be seen. */
static void take(struct entry *e, bool hidden, struct selection *ret, struct commit_result *counts)
{
	if (S_ISSOCK(e->st.st_mode) && e->verdict == ENTRY_MODIFIED) {
		/* A layer cannot hold it, but that the old thing is gone. */
		ret->none.v[ret->none.n++] = *e;
		e->verdict = ENTRY_DELETED;
	} else if (S_ISSOCK(e->st.st_mode) && e->verdict != ENTRY_DELETED) {
		ret->none.v[ret->none.n++] = *e;
		return;
	}
	count(e, counts);
	if (e->verdict == ENTRY_HIDDEN)
		return;
	/* A whiteout of what never was is nothing anywhere. */
	if (e->verdict == ENTRY_SAME && (!hidden || S_ISCHR(e->st.st_mode)))
		ret->none.v[ret->none.n++] = *e;
	else
		ret->taken.v[ret->taken.n++] = *e;
}

/*
 * A folder that is as it was, with changes below it that are left out (else it were no ENTRY_SAME): all of it
 * stays, so that the layer does not depend on them.  Where it cannot, it is a folder of the layer.
 */
static size_t select_same_folder(struct entries *all, size_t i, size_t end, struct selection *ret,
				 struct commit_result *counts)
{
	if (can_stay(all, i, end)) {
		keep(all, i, end, ret, counts);
		return end;
	}
	all->v[i].verdict = ENTRY_PARENT;
	take(&all->v[i], false, ret, counts);
	return i + 1;
}

/* What v[i] is the topmost of goes one way: returns where the next one is. */
static size_t select_next(struct entries *all, size_t i, size_t *hidden_end, struct selection *ret,
			  struct commit_result *counts)
{
	struct entry *e = &all->v[i];
	bool top = e->opaque || (e->excluded && e->verdict != ENTRY_SAME);
	size_t end = top ? end_of(all, i) : i + 1;

	if (e->verdict == ENTRY_SAME && S_ISDIR(e->st.st_mode) && !e->opaque && i >= *hidden_end &&
	    !is_all_same(all, i, end_of(all, i)))
		return select_same_folder(all, i, end_of(all, i), ret, counts);
	if (e->opaque && i >= *hidden_end && is_all_same(all, i, end)) {
		ret->same.v[ret->same.n++] = *e;
		return end;
	}
	if (e->excluded && e->verdict != ENTRY_SAME && e->verdict != ENTRY_HIDDEN &&
	    can_stay(all, i, end)) {
		keep(all, i, end, ret, counts);
		return end;
	}
	if (e->opaque && end > *hidden_end)
		*hidden_end = end;
	/* One that cannot stay goes with all that is below it. */
	if (!e->excluded || e->verdict == ENTRY_SAME || e->verdict == ENTRY_HIDDEN)
		end = i + 1;
	for (; i < end; i++) {
		if (all->v[i].opaque && end_of(all, i) > *hidden_end)
			*hidden_end = end_of(all, i);
		take(&all->v[i], i < *hidden_end, ret, counts);
	}
	return end;
}

void commit_select(struct arena *a, struct entries *all, struct selection *ret,
		   struct commit_result *ret_counts)
{
	size_t hidden_end = 0;

	ret->taken.v = arena_alloc(a, (all->n + 1) * sizeof(struct entry));
	ret->none.v = arena_alloc(a, (all->n + 1) * sizeof(struct entry));
	ret->same.v = arena_alloc(a, (all->n + 1) * sizeof(struct entry));
	for (size_t i = 0; i < all->n;)
		i = select_next(all, i, &hidden_end, ret, ret_counts);
}

static int failed(const char *path, struct err *err)
{
	return err_errno(err, errno, "cannot tidy '/%s' up for its layer", path);
}

/* From the last to the first: what is in a folder comes before it. */
static int remove_all(struct descent *d, const struct entries *list, struct err *err)
{
	for (size_t i = list->n; i-- > 0;) {
		const struct entry *e = &list->v[i];
		bool dir = e->verdict != ENTRY_DELETED && S_ISDIR(e->st.st_mode);

		if (descent_to_parent(d, e->path) < 0 ||
		    (unlinkat(d->fd, path_base(e->path), dir ? AT_REMOVEDIR : 0) < 0 &&
		     errno != ENOENT))
			return failed(e->path, err);
	}
	return 0;
}

/*
 * An opaque folder that shows what lies below it anyway: away with it at once, for if its files went one by
 * one, something would be missing in between.
 */
static int throw_away(struct descent *d, const struct entries *list, int trash, struct err *err)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct entry *e = &list->v[i];
		_cleanup_free_ char *name = xasprintf("upper.same.%zu", i);

		if (descent_to_parent(d, e->path) < 0 ||
		    renameat(d->fd, path_base(e->path), trash, name) < 0)
			return failed(e->path, err);
	}
	return 0;
}

static int strip_xattrs(int dir_fd, const struct entry *e, struct err *err)
{
	_cleanup_free_ char *names = xmalloc(XATTR_LIST_MAX);
	_cleanup_free_ char *path = xasprintf("/proc/self/fd/%d/%s", dir_fd, path_base(e->path));
	ssize_t n = llistxattr(path, names, XATTR_LIST_MAX);

	if (n < 0)
		return errno == ENOTSUP ? 0 : failed(e->path, err);
	for (const char *name = names; name < names + n; name += strlen(name) + 1) {
		if (!whiteout_is_overlay_xattr(name) ||
		    (e->opaque && strcmp(name, WHITEOUT_OPAQUE) == 0))
			continue;
		if (lremovexattr(path, name) < 0 && errno != ENODATA)
			return failed(e->path, err);
	}
	return 0;
}

/* Also that of a folder as it was: what was removed from it has changed it. */
static int put_time(int dir_fd, const struct entry *e, int64_t newest, struct err *err)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, e->st.st_mtim};

	if (e->st.st_mtim.tv_sec > newest)
		times[1] = (struct timespec){.tv_sec = newest};
	else if (!S_ISDIR(e->st.st_mode))
		return 0;
	if (utimensat(dir_fd, path_base(e->path), times, AT_SYMLINK_NOFOLLOW) < 0)
		return failed(e->path, err);
	return 0;
}

int commit_tidy(int upper, const struct selection *s, int64_t newest, int trash, struct err *err)
{
	_cleanup_descent_ struct descent d = DESCENT_EMPTY;

	if (descent_begin(&d, upper, O_RDONLY) < 0)
		return failed("", err);
	if (throw_away(&d, &s->same, trash, err) < 0 || remove_all(&d, &s->none, err) < 0)
		return -1;
	for (size_t i = s->taken.n; i-- > 0;) {
		const struct entry *e = &s->taken.v[i];

		if (e->verdict == ENTRY_DELETED && !S_ISSOCK(e->st.st_mode))
			continue;
		if (descent_to_parent(&d, e->path) < 0)
			return failed(e->path, err);
		if (e->verdict == ENTRY_DELETED) {
			if (faccessat(d.fd, path_base(e->path), F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
			    whiteout_make(d.fd, path_base(e->path), err) < 0)
				return -1;
			continue;
		}
		if (!S_ISLNK(e->st.st_mode) && strip_xattrs(d.fd, e, err) < 0)
			return -1;
		if (put_time(d.fd, e, newest, err) < 0)
			return -1;
	}
	return 0;
}
