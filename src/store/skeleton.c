#include "store/skeleton.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

#define MAGIC "sbxskel1"
#define MAGIC_LEN 8
/* Level 3 is zstd's own default; headers are mostly zeros. */
#define LEVEL 3
#define FLUSH_AT (256U << 10)
/* Far more than a header of ours, or of anybody's, is long. */
#define RECORD_MAX (64U << 20)

struct skeleton_writer {
	int fd;
	ZSTD_CCtx *z;
	char *name;
	struct buf in;  /* not compressed yet */
	struct buf raw; /* bytes of the tar that wait to be one record */
};

static void writer_free(struct skeleton_writer *w)
{
	cleanup_fd(&w->fd);
	ZSTD_freeCCtx(w->z);
	free(w->name);
	buf_done(&w->in);
	buf_done(&w->raw);
	free(w);
}

void skeleton_abort(struct skeleton_writer **w)
{
	if (*w)
		writer_free(*w);
	*w = NULL;
}

int skeleton_create(int dir_fd, const char *name, struct skeleton_writer **ret, struct err *err)
{
	_cleanup_fd_ int fd =
		openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct skeleton_writer *w;

	if (fd < 0)
		return err_errno(err, errno, "cannot make '%s'", name);
	w = xcalloc(1, sizeof(*w));
	w->z = ZSTD_createCCtx();
	w->fd = TAKE_FD(fd);
	w->name = xstrdup(name);
	if (!w->z || ZSTD_isError(ZSTD_CCtx_setParameter(w->z, ZSTD_c_compressionLevel, LEVEL)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(w->z, ZSTD_c_checksumFlag, 1))) {
		writer_free(w);
		return err_set(err, "cannot compress '%s': zstd does not start", name);
	}
	buf_add(&w->in, MAGIC, MAGIC_LEN);
	*ret = w;
	return 0;
}

/* Compress all that waits. */
static int drain(struct skeleton_writer *w, ZSTD_EndDirective end, struct err *err)
{
	ZSTD_inBuffer in = {.src = w->in.p, .size = w->in.len};
	char space[1U << 15];
	size_t left;

	do {
		ZSTD_outBuffer out = {.dst = space, .size = sizeof(space)};

		left = ZSTD_compressStream2(w->z, &out, &in, end);
		if (ZSTD_isError(left))
			return err_set(err, "cannot compress '%s': %s", w->name,
				       ZSTD_getErrorName(left));
		if (fs_write_all(w->fd, space, out.pos) < 0)
			return err_errno(err, errno, "cannot write '%s'", w->name);
	} while (in.pos < in.size || (end == ZSTD_e_end && left > 0));
	w->in.len = 0;
	return 0;
}

static void add_number(struct buf *b, uint64_t n, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++) {
		char byte = (char)(n >> (8 * i));

		buf_add(b, &byte, 1);
	}
}

static int end_raw(struct skeleton_writer *w, struct err *err)
{
	if (w->raw.len > 0) {
		buf_adds(&w->in, "R");
		add_number(&w->in, w->raw.len, 4);
		buf_add(&w->in, w->raw.p, w->raw.len);
		w->raw.len = 0;
	}
	return w->in.len >= FLUSH_AT ? drain(w, ZSTD_e_continue, err) : 0;
}

int skeleton_raw(struct skeleton_writer *w, const void *p, size_t n, struct err *err)
{
	buf_add(&w->raw, p, n);
	return w->raw.len >= FLUSH_AT ? end_raw(w, err) : 0;
}

int skeleton_file(struct skeleton_writer *w, const char *path, uint64_t size, struct err *err)
{
	if (end_raw(w, err) < 0)
		return -1;
	buf_adds(&w->in, "F");
	add_number(&w->in, size, 8);
	add_number(&w->in, strlen(path), 4);
	buf_adds(&w->in, path);
	return 0;
}

int skeleton_finish(struct skeleton_writer *w, struct err *err)
{
	int r = end_raw(w, err);

	buf_adds(&w->in, "E");
	if (r == 0)
		r = drain(w, ZSTD_e_end, err);
	writer_free(w);
	return r;
}

struct skeleton_reader {
	int fd;
	int tree_fd; /* borrowed */
	ZSTD_DCtx *z;
	char *name;
	char in[1U << 15]; /* compressed */
	ZSTD_inBuffer have;
	bool ended;    /* the compressed stream is whole and over */
	bool finished; /* the record 'E' was read */
	uint64_t left; /* of the record that is being given */
	int file;      /* the file it comes from, or -1: out of the stream */
	char *path;    /* of that file */
};

static int damaged(const struct skeleton_reader *r, const char *why, struct err *err)
{
	return err_errno(err, EBADMSG, "cannot read the skeleton '%s': %s", r->name, why);
}

void skeleton_close(struct skeleton_reader **r)
{
	if (!*r)
		return;
	cleanup_fd(&(*r)->fd);
	cleanup_fd(&(*r)->file);
	ZSTD_freeDCtx((*r)->z);
	free((*r)->name);
	free((*r)->path);
	free(*r);
	*r = NULL;
}

static int refill(struct skeleton_reader *r, struct err *err)
{
	ssize_t n = read(r->fd, r->in, sizeof(r->in));

	if (n < 0)
		return err_errno(err, errno, "cannot read the skeleton '%s'", r->name);
	if (n == 0)
		return damaged(r, "it ends too early", err);
	r->have = (ZSTD_inBuffer){.src = r->in, .size = (size_t)n};
	return 0;
}

/* At least one and at most n bytes of what was compressed. */
static ssize_t pull(struct skeleton_reader *r, void *p, size_t n, struct err *err)
{
	ZSTD_outBuffer out = {.dst = p, .size = n};

	while (out.pos == 0) {
		size_t hint;

		if (r->ended)
			return damaged(r, "it ends too early", err);
		if (r->have.pos == r->have.size && refill(r, err) < 0)
			return -1;
		hint = ZSTD_decompressStream(r->z, &out, &r->have);
		if (ZSTD_isError(hint))
			return damaged(r, ZSTD_getErrorName(hint), err);
		r->ended = hint == 0;
	}
	return (ssize_t)out.pos;
}

static int pull_all(struct skeleton_reader *r, void *p, size_t n, struct err *err)
{
	for (char *at = p; n > 0;) {
		ssize_t got = pull(r, at, n, err);

		if (got < 0)
			return -1;
		at += got;
		n -= (size_t)got;
	}
	return 0;
}

static int pull_number(struct skeleton_reader *r, size_t bytes, uint64_t *ret, struct err *err)
{
	unsigned char raw[8] = {0};
	uint64_t n = 0;

	if (pull_all(r, raw, bytes, err) < 0)
		return -1;
	for (size_t i = 0; i < bytes; i++)
		n |= (uint64_t)raw[i] << (8 * i);
	*ret = n;
	return 0;
}

int skeleton_open(int dir_fd, const char *name, int tree_fd, struct skeleton_reader **ret,
		  struct err *err)
{
	_cleanup_skeleton_ struct skeleton_reader *r = xcalloc(1, sizeof(*r));
	char magic[MAGIC_LEN];

	r->file = -1;
	r->tree_fd = tree_fd;
	r->name = xstrdup(name);
	r->fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (r->fd < 0)
		return err_errno(err, errno, "cannot open the skeleton '%s'", name);
	r->z = ZSTD_createDCtx();
	if (!r->z)
		return err_set(err, "cannot read the skeleton '%s': zstd does not start", name);
	if (pull_all(r, magic, MAGIC_LEN, err) < 0)
		return -1;
	if (memcmp(magic, MAGIC, MAGIC_LEN) != 0)
		return damaged(r, "it does not begin as one", err);
	*ret = TAKE_PTR(r);
	return 0;
}

static int open_file(struct skeleton_reader *r, struct err *err)
{
	struct err why = {0};
	struct stat st;

	if (fs_open_beneath(r->tree_fd, r->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &r->file,
			    &why) < 0)
		return err_errno(err, EBADMSG, "cannot read '%s' of the layer: %s", r->path,
				 strerror(why.errnum));
	if (fstat(r->file, &st) < 0)
		return err_errno(err, errno, "cannot look at '%s' of the layer", r->path);
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size == r->left)
		return 0;
	err_set(err, "'%s' of the layer is no plain file of %llu bytes", r->path,
		(unsigned long long)r->left);
	if (err)
		err->errnum = EBADMSG;
	return -1;
}

/* Behind the record 'E' comes the end of the compressed stream, whose checksum counts, and nothing. */
static int check_end(struct skeleton_reader *r, struct err *err)
{
	char more;
	ZSTD_outBuffer out = {.dst = &more, .size = 1};

	while (!r->ended) {
		size_t hint;

		if (r->have.pos == r->have.size && refill(r, err) < 0)
			return -1;
		hint = ZSTD_decompressStream(r->z, &out, &r->have);
		if (ZSTD_isError(hint))
			return damaged(r, ZSTD_getErrorName(hint), err);
		if (out.pos > 0)
			break;
		r->ended = hint == 0;
	}
	if (out.pos > 0 || r->have.pos < r->have.size || read(r->fd, &more, 1) != 0)
		return damaged(r, "there is something behind its end", err);
	r->finished = true;
	return 0;
}

/* Begin with the next record. */
static int next_record(struct skeleton_reader *r, struct err *err)
{
	uint64_t n = 0;
	char kind = 0;

	cleanup_fd(&r->file);
	if (pull_all(r, &kind, 1, err) < 0)
		return -1;
	if (kind == 'E')
		return check_end(r, err);
	if (kind != 'R' && kind != 'F')
		return damaged(r, "a record is of no known kind", err);
	if ((kind == 'F' && pull_number(r, 8, &r->left, err) < 0) || pull_number(r, 4, &n, err) < 0)
		return -1;
	if (n > RECORD_MAX)
		return damaged(r, "a record is too long", err);
	if (kind == 'R') {
		r->left = n;
		return 0;
	}
	free(r->path);
	r->path = xcalloc(1, n + 1);
	if (pull_all(r, r->path, n, err) < 0)
		return -1;
	return open_file(r, err);
}

static ssize_t from_file(struct skeleton_reader *r, void *p, size_t n, struct err *err)
{
	ssize_t got = read(r->file, p, n);

	if (got < 0)
		return err_errno(err, errno, "cannot read '%s' of the layer", r->path);
	if (got == 0)
		return err_errno(err, EBADMSG, "cannot read '%s' of the layer: it was cut",
				 r->path);
	return got;
}

ssize_t skeleton_read(struct skeleton_reader *r, void *p, size_t n, struct err *err)
{
	ssize_t got;

	while (r->left == 0 && !r->finished) {
		if (next_record(r, err) < 0)
			return -1;
	}
	if (r->finished || n == 0)
		return 0;
	if (n > r->left)
		n = (size_t)r->left;
	got = r->file >= 0 ? from_file(r, p, n, err) : pull(r, p, n, err);
	if (got > 0)
		r->left -= (uint64_t)got;
	return got;
}
