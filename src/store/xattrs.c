#include "store/xattrs.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/whiteout.h"

/* How often a list or a value that grows between two calls is asked for again. */
#define TRIES 16

/*
 * There is no getxattrat(2) before Linux 6.13, and fgetxattr(2) would need a file that opens: a fifo
 * or a link does not.  The kernel resolves the descriptor's own link, then one name.
 */
static char *at_path(struct arena *a, int dir_fd, const char *name)
{
	return arena_printf(a, "/proc/self/fd/%d/%s", dir_fd, name);
}

/* The names, each with its NUL; none where the filesystem has no attributes.  -1 with errno. */
static ssize_t list_names(struct arena *a, const char *path, char **ret)
{
	for (int i = 0; i < TRIES; i++) {
		ssize_t n = llistxattr(path, NULL, 0);

		if (n < 0 && (errno == ENOTSUP || errno == ENOSYS))
			return 0;
		if (n <= 0)
			return n;
		*ret = arena_alloc(a, (size_t)n + 1);
		n = llistxattr(path, *ret, (size_t)n);
		if (n >= 0 || errno != ERANGE)
			return n;
	}
	return -1;
}

/* 1: had it, 0: there is none (any more), -1 with errno. */
static int read_value(struct arena *a, const char *path, struct tar_xattr *x)
{
	for (int i = 0; i < TRIES; i++) {
		ssize_t n = lgetxattr(path, x->name, NULL, 0);
		char *value = n >= 0 ? arena_alloc(a, (size_t)n + 1) : NULL;

		if (n > 0)
			n = lgetxattr(path, x->name, value, (size_t)n);
		if (n >= 0) {
			x->value = value;
			x->size = (size_t)n;
			return 1;
		}
		/* EOVERFLOW: security.capability of a root that is not mapped here. */
		if (errno == ENODATA || errno == EOVERFLOW || errno == ENOTSUP)
			return 0;
		if (errno != ERANGE)
			return -1;
	}
	return -1;
}

static int by_name(const void *a, const void *b)
{
	const struct tar_xattr *x = a;
	const struct tar_xattr *y = b;

	return strcmp(x->name, y->name);
}

int xattrs_read(struct arena *a, int dir_fd, const char *name, struct tar_xattr **ret,
		size_t *ret_n)
{
	const char *path = at_path(a, dir_fd, name);
	struct tar_xattr *v;
	char *names = NULL;
	size_t n = 0;
	size_t count = 0;
	ssize_t len = list_names(a, path, &names);

	if (len < 0)
		return -1;
	for (ssize_t i = 0; i < len; i++)
		count += names[i] == '\0';
	v = arena_alloc(a, (count + 1) * sizeof(*v));
	for (ssize_t i = 0; i < len; i += (ssize_t)strlen(names + i) + 1) {
		int r;

		if (whiteout_is_overlay_xattr(names + i) ||
		    strcmp(names + i, "security.selinux") == 0)
			continue;
		v[n].name = names + i;
		r = read_value(a, path, &v[n]);
		if (r < 0)
			return -1;
		n += (size_t)r;
	}
	if (n > 1)
		qsort(v, n, sizeof(*v), by_name);
	*ret = v;
	*ret_n = n;
	return 0;
}

int xattrs_same(int a_fd, int b_fd, const char *name)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct tar_xattr *x;
	struct tar_xattr *y;
	size_t nx;
	size_t ny;

	if (xattrs_read(a, a_fd, name, &x, &nx) < 0 || xattrs_read(a, b_fd, name, &y, &ny) < 0)
		return -1;
	if (nx != ny)
		return 0;
	for (size_t i = 0; i < nx; i++) {
		if (strcmp(x[i].name, y[i].name) != 0 || x[i].size != y[i].size ||
		    memcmp(x[i].value, y[i].value, x[i].size) != 0)
			return 0;
	}
	return 1;
}
