#include "store/links.h"

#include <search.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/proc.h"

struct inode {
	dev_t dev;
	ino_t ino;
	char *path;
};

struct links {
	void *tree; /* tsearch(3) */
};

static int compare(const void *x, const void *y)
{
	const struct inode *a = x;
	const struct inode *b = y;

	if (a->dev != b->dev)
		return a->dev < b->dev ? -1 : 1;
	return a->ino == b->ino ? 0 : a->ino < b->ino ? -1 : 1;
}

static void free_inode(void *p)
{
	struct inode *inode = p;

	free(inode->path);
	free(inode);
}

struct links *links_new(void)
{
	return xcalloc(1, sizeof(struct links));
}

void links_free(struct links **l)
{
	if (!l || !*l)
		return;
	tdestroy((*l)->tree, free_inode);
	free(*l);
	*l = NULL;
}

const char *links_first(struct links *l, const struct stat *st, const char *path)
{
	const struct inode key = {.dev = st->st_dev, .ino = st->st_ino};
	struct inode *inode;
	struct inode **found;

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return NULL;
	found = tfind(&key, &l->tree, compare);
	if (found)
		return (*found)->path;
	inode = xmalloc(sizeof(*inode));
	*inode = key;
	inode->path = xstrdup(path);
	if (!tsearch(inode, &l->tree, compare))
		proc_give_up("out of memory");
	return NULL;
}
