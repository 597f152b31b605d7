/*
 * The nodes of hostfs.
 *
 * A node is found by its key, and leads to its file by the name in its parent.  It lives as long as
 * the kernel or a child refers to it.  Of the two names of a hard link the one seen last counts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "run/hostfs_internal.h"

/* Folders that are moved about on the host may leave a circle of names. */
#define DEPTH_MAX 256

#define BUCKETS_MIN 256u

static uint32_t bucket_of(const struct hostfs_tree *t, const struct node_key *key)
{
	uint64_t h = (key->ino ^ (key->dev << 20)) * 0x9e3779b97f4a7c15u;

	return (uint32_t)(h >> 32) & (t->n_buckets - 1);
}

static bool same_key(const struct node_key *a, const struct node_key *b)
{
	return a->ino == b->ino && a->dev == b->dev && a->born == b->born && a->kind == b->kind &&
	       a->type == b->type;
}

static void hash_in(struct hostfs_tree *t, node_id id)
{
	node_id *bucket = &t->buckets[bucket_of(t, &t->v[id].key)];

	t->v[id].next = *bucket;
	*bucket = id;
}

static void hash_out(struct hostfs_tree *t, node_id id)
{
	node_id *at = &t->buckets[bucket_of(t, &t->v[id].key)];

	while (*at != NODE_NONE && *at != id)
		at = &t->v[*at].next;
	if (*at == id)
		*at = t->v[id].next;
}

static void make_buckets(struct hostfs_tree *t, uint32_t n)
{
	t->n_buckets = n;
	t->buckets = xrealloc(t->buckets, n * sizeof(*t->buckets));
	memset(t->buckets, 0xff, n * sizeof(*t->buckets));
	for (node_id id = 0; id < t->n; id++)
		if (t->v[id].key.kind != NODE_FREE)
			hash_in(t, id);
}

/* A place in the table, zeroed but for its generation. */
static node_id new_place(struct hostfs_tree *t)
{
	node_id id = t->free;
	uint32_t generation = 0;

	if (id != NODE_NONE) {
		generation = t->v[id].generation + 1;
		t->free = t->v[id].next;
	} else {
		if (t->n == t->cap) {
			t->cap = t->cap ? 2 * t->cap : 512;
			t->v = xrealloc(t->v, t->cap * sizeof(*t->v));
		}
		id = t->n++;
	}
	t->v[id] = (struct node){.generation = generation,
				 .fd = -1,
				 .parent = NODE_NONE,
				 .older = NODE_NONE,
				 .newer = NODE_NONE};
	t->used++;
	return id;
}

void hostfs_tree_init(struct hostfs_tree *t, const struct plan *plan, int root, uint32_t max_open)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	*t = (struct hostfs_tree){
		.plan = plan,
		.root = root,
		.uid = getuid(),
		.gid = getgid(),
		.generation = (uint64_t)now.tv_sec << 32 | (uint64_t)now.tv_nsec,
		.free = NODE_NONE,
		.newest = NODE_NONE,
		.oldest = NODE_NONE,
		.max_open = max_open,
	};
	make_buckets(t, BUCKETS_MIN);
	(void)new_place(t);
	t->v[NODE_ROOT].key = (struct node_key){.kind = NODE_TOP, .type = S_IFDIR};
	t->v[NODE_ROOT].lookups = 1;
	hash_in(t, NODE_ROOT);
}

static void drop_fd(struct hostfs_tree *t, node_id id)
{
	struct node *n = &t->v[id];

	if (n->fd < 0)
		return;
	(void)close(n->fd);
	n->fd = -1;
	if (n->newer != NODE_NONE)
		t->v[n->newer].older = n->older;
	else
		t->newest = n->older;
	if (n->older != NODE_NONE)
		t->v[n->older].newer = n->newer;
	else
		t->oldest = n->newer;
	t->n_open--;
}

void hostfs_tree_done(struct hostfs_tree *t)
{
	if (!t)
		return;
	for (node_id id = 0; id < t->n; id++) {
		drop_fd(t, id);
		free(t->v[id].name);
	}
	free(t->v);
	free(t->buckets);
	*t = (struct hostfs_tree){0};
}

bool hostfs_node_is(const struct hostfs_tree *t, node_id id)
{
	return id < t->n && t->v[id].key.kind != NODE_FREE;
}

/* Free it and the folders above it, as far as nobody refers to them any more. */
static void release(struct hostfs_tree *t, node_id id)
{
	while (id != NODE_NONE && id != NODE_ROOT && t->v[id].lookups == 0 &&
	       t->v[id].children == 0) {
		struct node *n = &t->v[id];
		node_id parent = n->parent;

		drop_fd(t, id);
		hash_out(t, id);
		free(n->name);
		n->name = NULL;
		n->key.kind = NODE_FREE;
		n->next = t->free;
		t->free = id;
		t->used--;
		t->v[parent].children--;
		id = parent;
	}
}

void hostfs_node_forget(struct hostfs_tree *t, node_id id, uint64_t lookups)
{
	if (!hostfs_node_is(t, id))
		return;
	t->v[id].lookups -= lookups < t->v[id].lookups ? lookups : t->v[id].lookups;
	release(t, id);
}

static void place_at(struct hostfs_tree *t, node_id id, node_id parent, const char *name)
{
	node_id before = t->v[id].parent;

	if (before == parent && str_eq(t->v[id].name, name))
		return;
	free(t->v[id].name);
	t->v[id].name = xstrdup(name);
	t->v[id].parent = parent;
	t->v[id].depth = t->v[parent].depth + 1;
	t->v[parent].children++;
	if (before == NODE_NONE)
		return;
	t->v[before].children--;
	release(t, before);
}

node_id hostfs_node_get(struct hostfs_tree *t, const struct node_key *key, node_id parent,
			const char *name)
{
	node_id id = t->buckets[bucket_of(t, key)];

	while (id != NODE_NONE && !same_key(&t->v[id].key, key))
		id = t->v[id].next;
	if (id == NODE_NONE) {
		if (t->used >= t->n_buckets)
			make_buckets(t, 2 * t->n_buckets);
		id = new_place(t);
		t->v[id].key = *key;
		hash_in(t, id);
	}
	t->v[id].lookups++;
	if (id != NODE_ROOT)
		place_at(t, id, parent, name);
	return id;
}

static void add_open(struct hostfs_tree *t, node_id id, int fd)
{
	if (t->n_open >= t->max_open)
		drop_fd(t, t->oldest);
	t->v[id].fd = fd;
	t->v[id].older = t->newest;
	t->v[id].newer = NODE_NONE;
	if (t->newest != NODE_NONE)
		t->v[t->newest].newer = id;
	else
		t->oldest = id;
	t->newest = id;
	t->n_open++;
}

/* The one used last is dropped last. */
static void touch(struct hostfs_tree *t, node_id id)
{
	struct node *n = &t->v[id];

	if (t->newest == id)
		return;
	t->v[n->newer].older = n->older;
	if (n->older != NODE_NONE)
		t->v[n->older].newer = n->newer;
	else
		t->oldest = n->newer;
	n->older = t->newest;
	n->newer = NODE_NONE;
	t->v[t->newest].newer = id;
	t->newest = id;
}

bool hostfs_is_for_all(const struct statx *st)
{
	const unsigned need = S_ISDIR(st->stx_mode) ? S_IROTH | S_IXOTH : S_IROTH;

	return S_ISLNK(st->stx_mode) || (st->stx_mode & need) == need;
}

bool hostfs_is_file(const struct node *n, const struct statx *st)
{
	if (n->key.kind == NODE_HOST && !hostfs_is_for_all(st))
		return false;
	return n->key.ino == st->stx_ino && n->key.type == (st->stx_mode & S_IFMT) &&
	       n->key.dev == ((uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor);
}

static int open_node(struct hostfs_tree *t, node_id id, int dir)
{
	const struct node *n = &t->v[id];
	/* An entry of the root may be a link on the host; its folder is shown. */
	const int follow = n->parent == NODE_ROOT ? 0 : O_NOFOLLOW;
	const int how = n->key.type == S_IFDIR ? O_DIRECTORY : O_NONBLOCK | O_NOCTTY;
	_cleanup_fd_ int fd = openat(dir, n->name, O_RDONLY | O_CLOEXEC | how | follow);
	struct statx st;

	if (fd < 0) {
		if (errno == ENOENT || errno == ELOOP || errno == ENOTDIR)
			errno = ESTALE;
		return -1;
	}
	if (statx(fd, "", AT_EMPTY_PATH, HOSTFS_STATX, &st) == 0 && hostfs_is_file(n, &st))
		return TAKE_FD(fd);
	errno = ESTALE;
	return -1;
}

int hostfs_node_fd(struct hostfs_tree *t, node_id id)
{
	node_id up[DEPTH_MAX];
	struct statx st;
	size_t n = 0;
	int dir;

	/* From the nearest that is open down again. */
	while (id != NODE_ROOT && t->v[id].fd < 0) {
		if (n == DEPTH_MAX) {
			errno = ESTALE;
			return -1;
		}
		up[n++] = id;
		id = t->v[id].parent;
	}
	dir = id == NODE_ROOT ? t->root : t->v[id].fd;
	if (id != NODE_ROOT) {
		/* What the host closes to others while we have it open is closed here, too. */
		if (statx(dir, "", AT_EMPTY_PATH, HOSTFS_STATX, &st) < 0 ||
		    !hostfs_is_file(&t->v[id], &st)) {
			errno = ESTALE;
			return -1;
		}
		touch(t, id);
	}
	while (n > 0) {
		int fd = open_node(t, up[--n], dir);

		if (fd < 0)
			return -1;
		add_open(t, up[n], fd);
		dir = fd;
	}
	return dir;
}

bool hostfs_node_path(const struct hostfs_tree *t, node_id id, char ret[PATH_MAX])
{
	size_t at = PATH_MAX - 1;

	ret[at] = '\0';
	for (int depth = 0; id != NODE_ROOT; id = t->v[id].parent) {
		size_t len = strlen(t->v[id].name);

		if (len + 1 > at || ++depth > DEPTH_MAX)
			return false;
		at -= len;
		memcpy(ret + at, t->v[id].name, len);
		ret[--at] = '/';
	}
	memmove(ret, ret + at, PATH_MAX - at);
	return true;
}
