/* hostfs: what is there, and what it looks like from inside. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "plan/host.h"
#include "plan/plan.h"
#include "run/hostfs_internal.h"

/* A mount one step below an entry (/usr/local or /var/log on a disk of its own) is part of the system.
 * What is mounted deeper is somebody's: container layers, package images, network disks. */
#define FOREIGN_DEPTH 3

uint32_t hostfs_id_inside(const struct id_map *map, bool many, uint32_t own, uint32_t id)
{
	if (!many || id == 0)
		return 0;
	for (size_t i = 0; i < map->n; i++)
		if (id == own && map->line[i].outside == own && map->line[i].count == 1)
			return map->line[i].inside;
	for (size_t i = 0; i < map->n; i++)
		if (id - map->line[i].inside < map->line[i].count)
			return id;
	return 0;
}

uint64_t hostfs_ino(const struct hostfs_tree *t, uint64_t dev, uint64_t ino)
{
	(void)t;
	return ino ^ (dev * 0x9e3779b97f4a7c15u & ~0xffffffffffu);
}

static void fill_attr(const struct hostfs_tree *t, const struct node_key *key, uint32_t mode,
		      const struct statx *st, struct fuse_attr *ret)
{
	const struct plan *plan = t->plan;
	const bool many = plan->rung == RUNG_SUBIDS;

	*ret = (struct fuse_attr){
		.ino = hostfs_ino(t, key->dev, st->stx_ino),
		.size = st->stx_size,
		.blocks = st->stx_blocks,
		.atime = (uint64_t)st->stx_atime.tv_sec,
		.mtime = (uint64_t)st->stx_mtime.tv_sec,
		.ctime = (uint64_t)st->stx_ctime.tv_sec,
		.atimensec = st->stx_atime.tv_nsec,
		.mtimensec = st->stx_mtime.tv_nsec,
		.ctimensec = st->stx_ctime.tv_nsec,
		.mode = st->stx_mode,
		.nlink = st->stx_nlink,
		.uid = hostfs_id_inside(&plan->uid_map, many, t->uid, st->stx_uid),
		.gid = hostfs_id_inside(&plan->gid_map, many, t->gid, st->stx_gid),
		.blksize = st->stx_blksize,
	};
	if (key->kind != NODE_EMPTY)
		return;
	if (mode) {
		ret->mode = S_IFDIR | mode;
		ret->uid = ret->gid = 0;
	}
	ret->blocks = 0;
	if (S_ISDIR(st->stx_mode))
		ret->nlink = 2;
	else
		ret->size = 0;
}

/* The root, and its links, are nobody's but the plan's. */
static void made_attr(uint32_t number, uint32_t mode, const char *target, struct fuse_attr *ret)
{
	*ret = (struct fuse_attr){
		.ino = number,
		.mode = mode,
		.nlink = target ? 1 : 2,
		.size = target ? strlen(target) : 0,
		.blksize = 4096,
	};
}

static const struct host_entry *find_entry(const struct plan *plan, const char *name,
					   uint32_t *ret_number)
{
	for (size_t i = 0; i < plan->n_entries; i++) {
		if (!str_eq(plan->entries[i].name, name))
			continue;
		*ret_number = (uint32_t)i + 2;
		return &plan->entries[i];
	}
	return NULL;
}

/* Is it among what the plan hides?  Then *ret_mode is the mode that it shows instead. */
static bool is_hidden(const struct hostfs_tree *t, node_id parent, const char *name,
		      uint32_t *ret_mode)
{
	const struct plan *plan = t->plan;
	char path[PATH_MAX];
	size_t len;

	if (plan->n_hidden == 0)
		return false;
	/* One that cannot be told may be any of them. */
	*ret_mode = 0;
	if (!hostfs_node_path(t, parent, path))
		return true;
	len = strlen(path);
	for (size_t i = 0; i < plan->n_hidden; i++) {
		const struct hidden_path *h = &plan->hidden[i];

		if (strncmp(h->path, path, len) == 0 && h->path[len] == '/' &&
		    str_eq(h->path + len + 1, name)) {
			*ret_mode = h->mode;
			return true;
		}
	}
	return false;
}

static bool is_foreign(const struct hostfs_tree *t, node_id parent, const struct statx *st)
{
	return S_ISDIR(st->stx_mode) && (st->stx_attributes & STATX_ATTR_MOUNT_ROOT) &&
	       t->v[parent].depth + 1 >= FOREIGN_DEPTH;
}

/* stat(2) of a name in a folder that shows. */
static int look(struct hostfs_tree *t, node_id parent, const char *name, struct statx *ret)
{
	/* What an entry of the root leads to, should it be a link on the host. */
	const int follow = parent == NODE_ROOT ? 0 : AT_SYMLINK_NOFOLLOW;
	int dir = hostfs_node_fd(t, parent);

	if (dir < 0 || statx(dir, name, follow | AT_NO_AUTOMOUNT, HOSTFS_STATX, ret) < 0)
		return errno;
	if (S_ISREG(ret->stx_mode) || S_ISDIR(ret->stx_mode) || S_ISLNK(ret->stx_mode))
		return 0;
	return ENOENT;
}

static struct node_key key_of(const struct statx *st)
{
	return (struct node_key){
		.dev = (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor,
		.ino = st->stx_ino,
		.born = st->stx_mask & STATX_BTIME
				? st->stx_btime.tv_sec * 1000000000 + st->stx_btime.tv_nsec
				: 0,
		.kind = NODE_HOST,
		.type = st->stx_mode & S_IFMT,
	};
}

static void fill_entry(const struct hostfs_tree *t, node_id id, struct fuse_entry_out *ret)
{
	ret->nodeid = id + 1;
	ret->generation = t->generation + t->v[id].generation;
	ret->entry_valid = HOSTFS_VALID;
	ret->attr_valid = HOSTFS_VALID;
}

static int lookup_link(struct hostfs_tree *t, const struct host_entry *entry, uint32_t number,
		       struct fuse_entry_out *ret)
{
	const struct node_key key = {.ino = number, .kind = NODE_ENTRY, .type = S_IFLNK};
	node_id id = hostfs_node_get(t, &key, NODE_ROOT, entry->name);

	fill_entry(t, id, ret);
	made_attr(number, S_IFLNK | 0777, entry->target, &ret->attr);
	return 0;
}

int hostfs_lookup(struct hostfs_tree *t, node_id parent, const char *name,
		  struct fuse_entry_out *ret)
{
	const enum node_kind kind = t->v[parent].key.kind;
	struct fuse_entry_out out = {0};
	struct node_key key;
	struct statx st = {0};
	uint32_t mode = 0;
	node_id id;
	int e;

	if (kind == NODE_TOP) {
		uint32_t number = 0;
		const struct host_entry *entry = find_entry(t->plan, name, &number);

		if (!entry)
			return ENOENT;
		if (entry->target) {
			e = lookup_link(t, entry, number, &out);
			*ret = out;
			return e;
		}
	} else if (kind != NODE_HOST) {
		return ENOENT;
	}
	e = look(t, parent, name, &st);
	if (e)
		return e;
	key = key_of(&st);
	if (S_ISDIR(st.stx_mode) && is_hidden(t, parent, name, &mode))
		key.kind = NODE_EMPTY;
	else
		mode = is_foreign(t, parent, &st) ? 0755 : 0;
	if (mode || !hostfs_is_for_all(&st))
		key.kind = NODE_EMPTY;
	id = hostfs_node_get(t, &key, parent, name);
	t->v[id].mode = mode;
	fill_entry(t, id, &out);
	fill_attr(t, &key, mode, &st, &out.attr);
	*ret = out;
	return 0;
}

int hostfs_getattr(struct hostfs_tree *t, node_id id, struct fuse_attr *ret)
{
	const struct node *n = &t->v[id];
	struct statx st = {0};
	int e;

	if (n->key.kind == NODE_TOP) {
		made_attr(1, S_IFDIR | 0755, NULL, ret);
		return 0;
	}
	if (n->key.kind == NODE_ENTRY) {
		uint32_t number = 0;
		const struct host_entry *entry = find_entry(t->plan, n->name, &number);

		made_attr(number, S_IFLNK | 0777, entry ? entry->target : "", ret);
		return 0;
	}
	if (n->fd >= 0)
		e = statx(n->fd, "", AT_EMPTY_PATH, HOSTFS_STATX, &st) < 0 ? errno : 0;
	else
		e = look(t, n->parent, n->name, &st);
	n = &t->v[id];
	if (e == ENOENT || (e == 0 && !hostfs_is_file(n, &st)))
		return ESTALE;
	if (e == 0)
		fill_attr(t, &n->key, n->mode, &st, ret);
	return e;
}
