#include "store/inflate.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "base/err.h"
#include "base/mem.h"

#define BLOCK ((size_t)256 << 10)
#define MAGIC 6 /* so many bytes tell */
/* zlib's: the largest window, of gzip alone. */
#define GZIP_WINDOW (15 + 16)

enum form { FORM_PLAIN, FORM_GZIP, FORM_ZSTD };

struct inflate {
	untar_read_fn read;
	void *ctx;
	bool known; /* the form was looked for */
	enum form form;
	z_stream gzip;
	ZSTD_DCtx *zstd;
	bool whole; /* a member or frame has ended: here the stream may end */
	bool eof;   /* of what is read */
	size_t pos, len;
	unsigned char in[BLOCK];
};

struct inflate *inflate_new(untar_read_fn read, void *ctx)
{
	struct inflate *f = xcalloc(1, sizeof(*f));

	f->read = read;
	f->ctx = ctx;
	return f;
}

void inflate_free(struct inflate **f)
{
	if (!f || !*f)
		return;
	if ((*f)->form == FORM_GZIP)
		(void)inflateEnd(&(*f)->gzip);
	ZSTD_freeDCtx((*f)->zstd);
	free(*f);
	*f = NULL;
}

bool inflate_is_plain(const struct inflate *f)
{
	return f->known && f->form == FORM_PLAIN;
}

static int damaged(const char *why, struct err *err)
{
	return err_errno(err, EBADMSG, "cannot decompress the layer: %s", why);
}

/* More bytes behind those that are there. */
static int refill(struct inflate *f, struct err *err)
{
	ssize_t n;

	if (f->pos == f->len)
		f->pos = f->len = 0;
	n = f->read(f->ctx, f->in + f->len, BLOCK - f->len, err);
	if (n < 0)
		return -1;
	f->eof = n == 0;
	f->len += (size_t)n;
	return 0;
}

static int start_gzip(struct inflate *f, struct err *err)
{
	if (inflateInit2(&f->gzip, GZIP_WINDOW) != Z_OK)
		return err_set(err, "cannot decompress the layer: zlib does not start");
	f->form = FORM_GZIP;
	return 0;
}

static int start_zstd(struct inflate *f, struct err *err)
{
	f->zstd = ZSTD_createDCtx();
	if (!f->zstd)
		return err_set(err, "cannot decompress the layer: zstd does not start");
	f->form = FORM_ZSTD;
	return 0;
}

static bool is_zstd(const unsigned char *p)
{
	/* A frame, or one to be skipped, with which a stream may begin. */
	return memcmp(p, "\x28\xb5\x2f\xfd", 4) == 0 ||
	       ((p[0] & 0xf0) == 0x50 && memcmp(p + 1, "\x2a\x4d\x18", 3) == 0);
}

static int tell_form(struct inflate *f, struct err *err)
{
	while (f->len < MAGIC && !f->eof) {
		if (refill(f, err) < 0)
			return -1;
	}
	f->known = true;
	if (f->len >= 2 && memcmp(f->in, "\x1f\x8b", 2) == 0)
		return start_gzip(f, err);
	if (f->len >= 4 && is_zstd(f->in))
		return start_zstd(f, err);
	if (f->len >= MAGIC && memcmp(f->in,
				      "\xfd"
				      "7zXZ",
				      MAGIC) == 0)
		return damaged("it is of the form xz, which layers do not have", err);
	if (f->len >= 4 && memcmp(f->in, "BZh", 3) == 0)
		return damaged("it is of the form bzip2, which layers do not have", err);
	return 0;
}

static ssize_t plain(struct inflate *f, void *p, size_t n)
{
	if (n > f->len - f->pos)
		n = f->len - f->pos;
	memcpy(p, f->in + f->pos, n);
	f->pos += n;
	return (ssize_t)n;
}

static ssize_t gunzip(struct inflate *f, void *p, size_t n, struct err *err)
{
	int r;

	if (f->whole) {
		f->whole = false;
		(void)inflateReset(&f->gzip);
	}
	f->gzip.next_in = f->in + f->pos;
	f->gzip.avail_in = (uInt)(f->len - f->pos);
	f->gzip.next_out = p;
	f->gzip.avail_out = (uInt)n;
	r = inflate(&f->gzip, Z_NO_FLUSH);
	f->pos = f->len - f->gzip.avail_in;
	if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
		return damaged(f->gzip.msg ? f->gzip.msg : "its gzip form is damaged", err);
	f->whole = r == Z_STREAM_END;
	return (ssize_t)(n - f->gzip.avail_out);
}

static ssize_t unzstd(struct inflate *f, void *p, size_t n, struct err *err)
{
	ZSTD_inBuffer in = {.src = f->in, .size = f->len, .pos = f->pos};
	ZSTD_outBuffer out = {.dst = p, .size = n};
	size_t hint = ZSTD_decompressStream(f->zstd, &out, &in);

	if (ZSTD_isError(hint))
		return damaged(ZSTD_getErrorName(hint), err);
	f->pos = in.pos;
	f->whole = hint == 0;
	return (ssize_t)out.pos;
}

static ssize_t step(struct inflate *f, void *p, size_t n, struct err *err)
{
	switch (f->form) {
	case FORM_GZIP:
		return gunzip(f, p, n, err);
	case FORM_ZSTD:
		return unzstd(f, p, n, err);
	case FORM_PLAIN:
	default:
		return plain(f, p, n);
	}
}

ssize_t inflate_read(void *ctx, void *p, size_t n, struct err *err)
{
	struct inflate *f = ctx;

	if (n > BLOCK)
		n = BLOCK;
	if (!f->known && tell_form(f, err) < 0)
		return -1;
	for (;;) {
		bool dry = f->pos == f->len;
		ssize_t got;

		if (dry && !f->eof && refill(f, err) < 0)
			return -1;
		/* Nothing more comes; what is inside may still have something to give. */
		if (f->pos == f->len && f->eof && (f->whole || f->form == FORM_PLAIN))
			return 0;
		got = step(f, p, n, err);
		if (got != 0)
			return got;
		if (f->pos == f->len && f->eof && !f->whole)
			return damaged("it was cut", err);
	}
}
