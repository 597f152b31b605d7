/*
 * hostfs_internal — what the files of run/hostfs share; for nobody else.
 *
 * hostfs_node.c keeps the nodes: which file of the host's a number of the kernel's means, and an
 * open descriptor for those used last.  hostfs_look.c finds files and says what they look like from
 * inside.  hostfs_dir.c lists folders.  hostfs_serve.c speaks FUSE (linux/fuse.h).
 */
#ifndef SBX_RUN_HOSTFS_INTERNAL_H
#define SBX_RUN_HOSTFS_INTERNAL_H

#include <limits.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct plan;

/* Seconds for which the kernel need not ask again: so long is seen what the host has just closed. */
#define HOSTFS_VALID 30

/* A place in the table of nodes; the kernel's number is one more, so that the root is FUSE_ROOT_ID. */
typedef uint32_t node_id;
#define NODE_ROOT 0u
#define NODE_NONE UINT32_MAX

enum node_kind {
	NODE_FREE = 0,
	NODE_TOP,   /* the root itself: the plan's entries */
	NODE_ENTRY, /* a link among those entries */
	NODE_HOST,  /* a file, folder or link of the host's */
	NODE_EMPTY, /* the same, but what it holds is not shown */
};

/* What tells files of the host apart, also one that was removed from one that took its number. */
struct node_key {
	uint64_t dev, ino;
	int64_t born; /* nanoseconds, where the filesystem keeps it */
	enum node_kind kind;
	uint32_t type; /* S_IFMT */
};

struct node {
	struct node_key key;
	uint64_t lookups;  /* the kernel's references */
	uint32_t children; /* nodes that are found by way of this one */
	uint32_t generation;
	uint32_t depth; /* 1: an entry of the root */
	uint32_t mode;  /* NODE_EMPTY by the plan: what it shows; else 0 */
	node_id parent;
	node_id next; /* of its bucket, or of the free ones */
	node_id older, newer;
	int fd; /* -1, or among the open ones */
	char *name;
};

struct hostfs_tree {
	const struct plan *plan;
	int root; /* "/", O_PATH */
	uint32_t uid, gid;
	uint64_t generation; /* no node of an earlier mount is taken for one of this */
	struct node *v;
	node_id n, cap, free;
	node_id *buckets;
	uint32_t n_buckets;
	uint32_t used;
	node_id newest, oldest; /* with an open descriptor */
	uint32_t n_open, max_open;
};

/* hostfs_node.c.  Pointers into the table are good until the next node is made. */
void hostfs_tree_init(struct hostfs_tree *t, const struct plan *plan, int root, uint32_t max_open);
void hostfs_tree_done(struct hostfs_tree *t);
/* The node of `key`, found as `name` in `parent`, made where there is none.  One lookup more. */
node_id hostfs_node_get(struct hostfs_tree *t, const struct node_key *key, node_id parent,
			const char *name);
void hostfs_node_forget(struct hostfs_tree *t, node_id id, uint64_t lookups);
bool hostfs_node_is(const struct hostfs_tree *t, node_id id);
/* Its open descriptor, borrowed until the next call; -1 with errno, ESTALE where another file is there now, or
 * one that no longer is for everybody to read. */
int hostfs_node_fd(struct hostfs_tree *t, node_id id);
/* Whether that is the file of the node, and still shown as it was. */
bool hostfs_is_file(const struct node *n, const struct statx *st);
/* Only what everybody may read is part of the base. */
bool hostfs_is_for_all(const struct statx *st);
/* "/usr/share", into PATH_MAX bytes; false: too long. */
bool hostfs_node_path(const struct hostfs_tree *t, node_id id, char ret[PATH_MAX]);

/* hostfs_look.c.  0, or an errno. */
int hostfs_lookup(struct hostfs_tree *t, node_id parent, const char *name,
		  struct fuse_entry_out *ret);
int hostfs_getattr(struct hostfs_tree *t, node_id id, struct fuse_attr *ret);
/* The name of `what`, by an id map of the plan's, for one of the host's ids. */
struct id_map;
uint32_t hostfs_id_inside(const struct id_map *map, bool many, uint32_t own, uint32_t id);
/* Inode numbers of two filesystems must not be taken for one another. */
uint64_t hostfs_ino(const struct hostfs_tree *t, uint64_t dev, uint64_t ino);
#define HOSTFS_STATX (STATX_BASIC_STATS | STATX_BTIME)

/* hostfs_dir.c: fill `to` for a READDIR or READDIRPLUS.  0, or an errno. */
struct hostfs_list {
	char *to;
	size_t size, n;
	bool plus;
};
int hostfs_list(struct hostfs_tree *t, node_id id, uint64_t offset, struct hostfs_list *l);

/* hostfs_serve.c: until the filesystem is unmounted. */
void hostfs_serve(struct hostfs_tree *t, int fuse);
/* One request; the answer into `out`, its length, 0 for none. */
#define HOSTFS_IN_SIZE 65536
#define HOSTFS_OUT_SIZE ((1u << 20) + sizeof(struct fuse_out_header))
size_t hostfs_answer(struct hostfs_tree *t, const char *in, size_t n, char *out);

#endif
