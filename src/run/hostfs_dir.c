/* hostfs: what is in a folder, as READDIR and READDIRPLUS tell it. */
#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "plan/host.h"
#include "plan/plan.h"
#include "run/hostfs_internal.h"

/* One entry, before it is known whether it fits. */
struct found {
	const char *name;
	uint64_t ino;
	uint64_t next; /* where to go on behind it */
	unsigned char type;
};

static bool is_dots(const char *name)
{
	return str_eq(name, ".") || str_eq(name, "..");
}

static bool fits(const struct hostfs_list *l, const char *name)
{
	const size_t len = strlen(name);
	const size_t head = l->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;

	return FUSE_DIRENT_ALIGN(head + len) <= l->size - l->n;
}

/* Pad with zeros: the buffer is reused. */
static void put(struct hostfs_list *l, const struct found *f, const struct fuse_entry_out *entry)
{
	const struct fuse_dirent d = {
		.ino = entry && entry->nodeid ? entry->attr.ino : f->ino,
		.off = f->next,
		.namelen = (uint32_t)strlen(f->name),
		.type = entry && entry->nodeid ? (entry->attr.mode & S_IFMT) >> 12 : f->type,
	};
	char *to = l->to + l->n;
	size_t n = 0;
	size_t whole;

	if (l->plus) {
		memcpy(to, entry, sizeof(*entry));
		n += sizeof(*entry);
	}
	memcpy(to + n, &d, FUSE_NAME_OFFSET);
	n += FUSE_NAME_OFFSET;
	memcpy(to + n, f->name, d.namelen);
	n += d.namelen;
	whole = FUSE_DIRENT_ALIGN(n);
	memset(to + n, 0, whole - n);
	l->n += whole;
}

/* False: there is no room for it. */
static bool add(struct hostfs_tree *t, node_id id, struct hostfs_list *l, struct found *f)
{
	struct fuse_entry_out entry = {0};

	if (!fits(l, f->name))
		return false;
	if (f->type == DT_SOCK || f->type == DT_CHR || f->type == DT_BLK || f->type == DT_FIFO)
		return true;
	/* Dots are no lookup: their node stays 0. */
	if (is_dots(f->name))
		f->type = DT_DIR;
	else if ((l->plus || f->type == DT_UNKNOWN) && hostfs_lookup(t, id, f->name, &entry))
		return true;
	if (!l->plus && entry.nodeid) {
		f->type = (unsigned char)((entry.attr.mode & S_IFMT) >> 12);
		hostfs_node_forget(t, (node_id)(entry.nodeid - 1), 1);
		entry.nodeid = 0;
	}
	put(l, f, &entry);
	return true;
}

/* Only the plan knows what is there: the root, and what is shown empty. */
static int list_made(struct hostfs_tree *t, node_id id, uint64_t offset, struct hostfs_list *l)
{
	const struct plan *plan = t->plan;
	const uint64_t n = t->v[id].key.kind == NODE_TOP ? 2 + plan->n_entries : 2;

	for (uint64_t i = offset; i < n; i++) {
		struct found f = {
			.name = i == 0 ? "." : "..", .next = i + 1, .type = DT_DIR, .ino = 1};

		if (i >= 2) {
			f.name = plan->entries[i - 2].name;
			f.type = plan->entries[i - 2].target ? DT_LNK : DT_DIR;
			f.ino = i;
		}
		if (!add(t, id, l, &f))
			break;
	}
	return 0;
}

int hostfs_list(struct hostfs_tree *t, node_id id, uint64_t offset, struct hostfs_list *l)
{
	const uint64_t dev = t->v[id].key.dev;
	union {
		struct dirent64 align;
		char bytes[32768];
	} block;
	ssize_t n;
	int fd; /* borrowed */

	if (t->v[id].key.type != S_IFDIR)
		return ENOTDIR;
	if (t->v[id].key.kind != NODE_HOST)
		return list_made(t, id, offset, l);
	fd = hostfs_node_fd(t, id);
	if (fd < 0 || lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return errno;
	/* A block at a time: looking up what it holds may close the descriptor. */
	n = getdents64(fd, block.bytes, sizeof(block.bytes));
	if (n < 0)
		return errno;
	for (ssize_t at = 0; at < n;) {
		const struct dirent64 *d = (const void *)(block.bytes + at);
		struct found f = {.name = d->d_name,
				  .ino = hostfs_ino(t, dev, d->d_ino),
				  .next = (uint64_t)d->d_off,
				  .type = d->d_type};

		if (!add(t, id, l, &f))
			break;
		at += d->d_reclen;
	}
	return 0;
}
