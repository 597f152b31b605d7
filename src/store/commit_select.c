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

static bool is_change(const struct entry *e)
{
	return e->verdict == ENTRY_ADDED || e->verdict == ENTRY_MODIFIED ||
	       e->verdict == ENTRY_DELETED || e->verdict == ENTRY_HIDDEN;
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
		counts->kept += is_change(&all->v[i]);
}

static void take(struct entry *e, struct selection *ret, struct commit_result *counts)
{
	count(e, counts);
	if (e->verdict == ENTRY_HIDDEN)
		return;
	if (e->verdict == ENTRY_SAME || S_ISSOCK(e->st.st_mode))
		ret->none.v[ret->none.n++] = *e;
	else
		ret->taken.v[ret->taken.n++] = *e;
}

void commit_select(struct arena *a, struct entries *all, struct selection *ret,
		   struct commit_result *ret_counts)
{
	ret->taken.v = arena_alloc(a, (all->n + 1) * sizeof(struct entry));
	ret->none.v = arena_alloc(a, (all->n + 1) * sizeof(struct entry));
	for (size_t i = 0; i < all->n;) {
		struct entry *e = &all->v[i];
		size_t end = end_of(all, i);

		if (!e->excluded || e->verdict == ENTRY_SAME || e->verdict == ENTRY_HIDDEN)
			end = i + 1;
		else if (can_stay(all, i, end)) {
			keep(all, i, end, ret, ret_counts);
			i = end;
			continue;
		}
		for (; i < end; i++)
			take(&all->v[i], ret, ret_counts);
	}
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

int commit_tidy(int upper, const struct selection *s, int64_t newest, struct err *err)
{
	_cleanup_descent_ struct descent d = DESCENT_EMPTY;

	if (descent_begin(&d, upper, O_RDONLY) < 0)
		return failed("", err);
	if (remove_all(&d, &s->none, err) < 0)
		return -1;
	for (size_t i = s->taken.n; i-- > 0;) {
		const struct entry *e = &s->taken.v[i];

		if (e->verdict == ENTRY_DELETED)
			continue;
		if (descent_to_parent(&d, e->path) < 0)
			return failed(e->path, err);
		if (!S_ISLNK(e->st.st_mode) && strip_xattrs(d.fd, e, err) < 0)
			return -1;
		if (put_time(d.fd, e, newest, err) < 0)
			return -1;
	}
	return 0;
}
