#include "store/unpack_into.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "store/context.h"
#include "store/inflate.h"
#include "store/place.h"
#include "store/untar.h"

#define MAGIC_AT 257 /* "ustar" in a tar's first block */
#define LIMIT_ENTRIES 10000000U
#define LIMIT_BYTES ((uint64_t)1 << 40)

static const struct {
	const char *magic;
	size_t n;
	size_t at;
} archives[] = {
	{"ustar", 5, MAGIC_AT},
	{"\x1f\x8b\x08", 3, 0},
	{"\x28\xb5\x2f\xfd", 4, 0},
	{"BZh", 3, 0},
	{"\xfd"
	 "7zXZ",
	 6, 0},
};

bool unpack_into_is_archive(int fd)
{
	char head[MAGIC_AT + 8] = "";
	ssize_t n = pread(fd, head, sizeof(head), 0);

	for (size_t i = 0; i < sizeof(archives) / sizeof(archives[0]); i++)
		if (n >= (ssize_t)(archives[i].at + archives[i].n) &&
		    memcmp(head + archives[i].at, archives[i].magic, archives[i].n) == 0)
			return true;
	return false;
}

/* One that is not read here. */
static bool is_other(int fd)
{
	char head[6] = "";

	return pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) &&
	       (memcmp(head, "BZh", 3) == 0 || memcmp(head + 1, "7zXZ", 4) == 0);
}

/* ---- reading ---- */

struct reader {
	int fd; /* borrowed */
	off_t at;
};

static ssize_t read_plain(void *ctx, void *p, size_t n, struct err *err)
{
	struct reader *r = ctx;
	ssize_t got = pread(r->fd, p, n, r->at);

	if (got < 0)
		return err_errno(err, errno, "cannot read the archive");
	r->at += got;
	return got;
}

/* ---- entries ---- */

static int put_file(struct place *p, struct untar *u, const char *path,
		    const struct context_item *item, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (place_file_begin(p, path, &fd, err) < 0)
		return -1;
	for (;;) {
		const void *piece;
		uint64_t offset;
		bool end;
		size_t n;

		if (untar_data(u, &piece, &n, &offset, &end, err) < 0)
			return -1;
		if (end)
			break;
		if (lseek(fd, (off_t)offset, SEEK_SET) < 0 || fs_write_all(fd, piece, n) < 0)
			return err_errno(err, errno, "cannot write '%s'", path);
	}
	if (ftruncate(fd, item->st.st_size) < 0)
		return err_errno(err, errno, "cannot write '%s'", path);
	return place_file_end(p, path, fd, item, err);
}

static mode_t type_of(enum untar_kind kind)
{
	if (kind == UNTAR_FOLDER)
		return S_IFDIR;
	if (kind == UNTAR_SYMLINK)
		return S_IFLNK;
	return kind == UNTAR_FIFO ? S_IFIFO : S_IFREG;
}

static int put_entry(struct place *p, struct untar *u, const struct untar_entry *e,
		     const char *below, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *path = path_join(a, below, e->path);
	const struct context_item item = {
		.path = e->path,
		.to = e->path,
		.fd = -1,
		.link = e->link,
		.st = {.st_mode = type_of(e->kind) | e->mode,
		       .st_uid = e->uid,
		       .st_gid = e->gid,
		       .st_size = (off_t)e->size,
		       .st_nlink = 1,
		       .st_mtim = {.tv_sec = e->mtime}},
	};

	switch (e->kind) {
	case UNTAR_FILE:
		return put_file(p, u, path, &item, err);
	case UNTAR_FOLDER:
		/* The archive's own "." says nothing of the folder that it goes into. */
		return *e->path ? place_item(p, path, &item, err) : place_folder(p, below, err);
	case UNTAR_SYMLINK:
	case UNTAR_FIFO:
		return place_item(p, path, &item, err);
	case UNTAR_HARDLINK:
		return place_link(p, path, path_join(a, below, e->link), err);
	case UNTAR_WHITEOUT:
	case UNTAR_OPAQUE:
		return untar_refuse(e->path, "it is a deletion, as layers have them", err);
	case UNTAR_DEVICE:
		break;
	}
	return 0;
}

int unpack_into(struct place *p, int fd, const char *path, struct err *err)
{
	const struct untar_limits limits = {LIMIT_ENTRIES, LIMIT_BYTES};
	struct reader r = {.fd = fd};
	struct place with = *p;
	_cleanup_inflate_ struct inflate *f = NULL;
	_cleanup_untar_ struct untar *u = NULL;
	struct untar_entry e;
	bool end = false;

	with.keep_owners = true;
	if (is_other(fd)) {
		err_set(err, "cannot unpack the archive: it is compressed by bzip2 or xz");
		return err_hint(err,
				"compress it by gzip or zstd; or COPY it, and unpack it in a RUN");
	}
	f = inflate_new(read_plain, &r);
	if (place_folder(p, path, err) < 0 || untar_open(inflate_read, f, &limits, &u, err) < 0)
		return -1;
	for (;;) {
		if (untar_next(u, &e, &end, err) < 0)
			return -1;
		if (end)
			break;
		if (put_entry(&with, u, &e, path, err) < 0)
			return -1;
	}
	p->times = with.times;
	return 0;
}
