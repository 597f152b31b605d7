#include "store/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

#define BLOCK_SIZE 32768U

void listing_done(struct listing *l)
{
	if (!l)
		return;
	arena_free(l->a);
	free(l->v);
	*l = (struct listing){0};
}

static bool is_itself_or_above(const char *name)
{
	return name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2]));
}

static int add(struct listing *l, int dir_fd, const char *name)
{
	size_t len = strlen(name);
	struct stat st;
	struct listed *e;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT || errno == ESTALE ? 0 : -1;
	if (l->n == l->cap) {
		l->cap = l->cap ? l->cap * 2 : 32;
		l->v = xrealloc(l->v, l->cap * sizeof(struct listed *));
	}
	e = arena_alloc(l->a, sizeof(*e) + len + 1);
	e->st = st;
	memcpy(e->name, name, len + 1);
	l->v[l->n++] = e;
	return 0;
}

static int read_all(int dir_fd, char *block, struct listing *l)
{
	ssize_t n;

	while ((n = getdents64(dir_fd, block, BLOCK_SIZE)) > 0) {
		for (ssize_t at = 0; at < n;) {
			const struct dirent64 *e = (const struct dirent64 *)(void *)(block + at);

			if (!is_itself_or_above(e->d_name) && add(l, dir_fd, e->d_name) < 0)
				return -1;
			at += e->d_reclen;
		}
	}
	/* ENOENT: of a folder that was removed meanwhile. */
	return n < 0 && errno != ENOENT ? -1 : 0;
}

int listing_read(int dir_fd, struct listing *ret)
{
	_cleanup_listing_ struct listing l = {.a = arena_new()};
	_cleanup_free_ char *block = xmalloc(BLOCK_SIZE);
	struct stat st;

	if (fstat(dir_fd, &st) < 0 || read_all(dir_fd, block, &l) < 0)
		return -1;
	l.dev = st.st_dev;
	l.ino = st.st_ino;
	*ret = l;
	l = (struct listing){0};
	return 0;
}
