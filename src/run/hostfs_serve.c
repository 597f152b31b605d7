/*
 * hostfs: the FUSE protocol, linux/fuse.h.
 *
 * OPEN and OPENDIR are answered with ENOSYS, and so are asked only once: opening a file or a folder
 * then costs no question, and what the kernel has read of it stays cached.  The same goes for extended
 * attributes: the host's are not shown, and file capabilities would be void anyway.  Only
 * fuse-overlayfs takes a filesystem without attributes for a broken one.
 */
#include <errno.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"
#include "plan/host.h"
#include "plan/plan.h"
#include "run/hostfs_internal.h"

/* All that is wanted of the kernel. */
#define WANTED                                                                                  \
	(FUSE_ASYNC_READ | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS | \
	 FUSE_CACHE_SYMLINKS | FUSE_MAX_PAGES | FUSE_AUTO_INVAL_DATA | FUSE_NO_OPEN_SUPPORT |   \
	 FUSE_NO_OPENDIR_SUPPORT)

/* Pages of one answer: 1 MB. */
#define MAX_PAGES 256
#define MAX_BACKGROUND 64
/* Nothing is ever written; the kernel wants a page at least. */
#define MAX_WRITE 4096

struct question {
	const struct fuse_in_header *head;
	const char *body;
	size_t n; /* of the body */
	node_id id;
	char *to; /* the body of the answer */
	size_t answered;
};

static int answer(struct question *q, const void *p, size_t n)
{
	memcpy(q->to, p, n);
	q->answered = n;
	return 0;
}

static int do_init(const struct hostfs_tree *t, struct question *q)
{
	const struct fuse_init_in *in = (const void *)q->body;
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.max_readahead = in->max_readahead,
		.flags = in->flags & WANTED,
		.max_background = MAX_BACKGROUND,
		.congestion_threshold = MAX_BACKGROUND * 3 / 4,
		.max_write = MAX_WRITE,
		.time_gran = 1,
		.max_pages = MAX_PAGES,
	};

	if (q->n < 2 * sizeof(uint32_t) || in->major != FUSE_KERNEL_VERSION)
		return EPROTO;
	/* Else the kernel itself answers for the attributes of ACLs that there is no such thing. */
	if (t->plan->driver == ROOT_FUSE)
		out.flags |= in->flags & FUSE_POSIX_ACL;
	out.minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor : FUSE_KERNEL_MINOR_VERSION;
	return answer(q, &out, sizeof(out));
}

static int do_lookup(struct hostfs_tree *t, struct question *q)
{
	struct fuse_entry_out out = {0};
	int e;

	if (!memchr(q->body, '\0', q->n))
		return EINVAL;
	e = hostfs_lookup(t, q->id, q->body, &out);
	/* That there is nothing may be kept as well. */
	if (e == ENOENT)
		out = (struct fuse_entry_out){.entry_valid = HOSTFS_VALID};
	else if (e)
		return e;
	return answer(q, &out, sizeof(out));
}

static int do_getattr(struct hostfs_tree *t, struct question *q)
{
	struct fuse_attr_out out = {.attr_valid = HOSTFS_VALID};
	int e = hostfs_getattr(t, q->id, &out.attr);

	return e ? e : answer(q, &out, sizeof(out));
}

static int do_readlink(struct hostfs_tree *t, struct question *q)
{
	const struct node *n = &t->v[q->id];
	ssize_t len;
	int dir;

	for (size_t i = 0; n->key.kind == NODE_ENTRY && i < t->plan->n_entries; i++)
		if (str_eq(t->plan->entries[i].name, n->name))
			return answer(q, t->plan->entries[i].target,
				      strlen(t->plan->entries[i].target));
	if (n->key.kind != NODE_HOST)
		return EINVAL;
	dir = hostfs_node_fd(t, n->parent);
	if (dir < 0)
		return errno;
	len = readlinkat(dir, t->v[q->id].name, q->to, PATH_MAX);
	if (len < 0)
		return errno == ENOENT ? ESTALE : errno;
	q->answered = (size_t)len;
	return 0;
}

static int do_read(struct hostfs_tree *t, struct question *q)
{
	const struct fuse_read_in *in = (const void *)q->body;
	size_t size;
	ssize_t n;
	int fd; /* borrowed */

	if (q->n < sizeof(*in))
		return EINVAL;
	if (t->v[q->id].key.kind == NODE_EMPTY)
		return 0;
	size = in->size < MAX_PAGES * 4096u ? in->size : MAX_PAGES * 4096u;
	fd = hostfs_node_fd(t, q->id);
	if (fd < 0)
		return errno;
	n = pread(fd, q->to, size, (off_t)in->offset);
	if (n < 0)
		return errno;
	q->answered = (size_t)n;
	return 0;
}

static int do_readdir(struct hostfs_tree *t, struct question *q, bool plus)
{
	const struct fuse_read_in *in = (const void *)q->body;
	struct hostfs_list l = {.to = q->to, .plus = plus};
	int e;

	if (q->n < sizeof(*in))
		return EINVAL;
	l.size = in->size < MAX_PAGES * 4096u ? in->size : MAX_PAGES * 4096u;
	e = hostfs_list(t, q->id, in->offset, &l);
	q->answered = l.n;
	return e;
}

static int do_statfs(struct hostfs_tree *t, struct question *q)
{
	struct statfs s;
	struct fuse_statfs_out out = {0};

	if (fstatfs(t->root, &s) < 0)
		return errno;
	out.st = (struct fuse_kstatfs){
		.blocks = s.f_blocks,
		.bfree = s.f_bfree,
		.bavail = s.f_bavail,
		.files = s.f_files,
		.ffree = s.f_ffree,
		.bsize = (uint32_t)s.f_bsize,
		.namelen = (uint32_t)s.f_namelen,
		.frsize = (uint32_t)s.f_frsize,
	};
	return answer(q, &out, sizeof(out));
}

static void do_forget_many(struct hostfs_tree *t, const struct question *q)
{
	const struct fuse_batch_forget_in *in = (const void *)q->body;
	const struct fuse_forget_one *one = (const void *)(q->body + sizeof(*in));

	if (q->n < sizeof(*in))
		return;
	for (uint32_t i = 0; i < in->count && (i + 1) * sizeof(*one) <= q->n - sizeof(*in); i++)
		hostfs_node_forget(t, (node_id)(one[i].nodeid - 1), one[i].nlookup);
}

static int do_xattr(const struct hostfs_tree *t, struct question *q)
{
	const struct fuse_getxattr_in *in = (const void *)q->body;
	const struct fuse_getxattr_out none = {0};

	if (t->plan->driver == ROOT_KERNEL)
		return ENOSYS;
	if (q->head->opcode == FUSE_GETXATTR)
		return ENODATA;
	/* An empty list, or its length. */
	if (q->n < sizeof(*in))
		return EINVAL;
	return in->size ? 0 : answer(q, &none, sizeof(none));
}

/* What has no answer.  True: it was one of these. */
static bool told(struct hostfs_tree *t, const struct question *q)
{
	switch (q->head->opcode) {
	case FUSE_FORGET:
		if (q->n >= sizeof(struct fuse_forget_in))
			hostfs_node_forget(
				t, q->id,
				((const struct fuse_forget_in *)(const void *)q->body)->nlookup);
		return true;
	case FUSE_BATCH_FORGET:
		do_forget_many(t, q);
		return true;
	case FUSE_INTERRUPT:
		return true;
	default:
		return false;
	}
}

/* 0, or an errno. */
static int asked(struct hostfs_tree *t, struct question *q)
{
	if (q->head->opcode == FUSE_INIT)
		return do_init(t, q);
	if (!hostfs_node_is(t, q->id))
		return ESTALE;
	switch (q->head->opcode) {
	case FUSE_LOOKUP:
		return do_lookup(t, q);
	case FUSE_GETATTR:
		return do_getattr(t, q);
	case FUSE_READLINK:
		return do_readlink(t, q);
	case FUSE_READ:
		return do_read(t, q);
	case FUSE_READDIR:
		return do_readdir(t, q, false);
	case FUSE_READDIRPLUS:
		return do_readdir(t, q, true);
	case FUSE_STATFS:
		return do_statfs(t, q);
	case FUSE_GETXATTR:
	case FUSE_LISTXATTR:
		return do_xattr(t, q);
	default:
		return ENOSYS;
	}
}

size_t hostfs_answer(struct hostfs_tree *t, const char *in, size_t n, char *out)
{
	const struct fuse_in_header *head = (const void *)in;
	struct fuse_out_header *reply = (void *)out;
	struct question q = {.head = head, .body = in + sizeof(*head), .to = out + sizeof(*reply)};
	int e;

	if (n < sizeof(*head))
		return 0;
	q.n = n - sizeof(*head);
	q.id = (node_id)(head->nodeid - 1);
	if (told(t, &q))
		return 0;
	e = asked(t, &q);
	*reply = (struct fuse_out_header){
		.len = (uint32_t)(sizeof(*reply) + (e ? 0 : q.answered)),
		.error = -e,
		.unique = head->unique,
	};
	return reply->len;
}

void hostfs_serve(struct hostfs_tree *t, int fuse)
{
	_cleanup_free_ char *in = xmalloc(HOSTFS_IN_SIZE);
	_cleanup_free_ char *out = xmalloc(HOSTFS_OUT_SIZE);

	for (;;) {
		ssize_t n = read(fuse, in, HOSTFS_IN_SIZE);
		size_t answered;

		/* ENOENT: the question was taken back. */
		if (n < 0 && (errno == EINTR || errno == EAGAIN || errno == ENOENT))
			continue;
		/* ENODEV: it is unmounted. */
		if (n <= 0)
			return;
		answered = hostfs_answer(t, in, (size_t)n, out);
		/* Whoever asked may be gone (ENOENT). */
		if (answered > 0 && write(fuse, out, answered) < 0 && errno == ENODEV)
			return;
	}
}
