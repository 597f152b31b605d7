#include "store/deflate.h"

#include <stdbool.h>
#include <stdlib.h>
#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>

#include "base/err.h"
#include "base/mem.h"

#define BLOCK ((size_t)64 << 10)
#define GZIP_LEVEL 6
#define GZIP_WINDOW (15 + 16) /* zlib's: the largest, in gzip's form */
#define GZIP_MEMORY 8
#define GZIP_UNIX 3
#define ZSTD_LEVEL 3

struct deflate {
	enum layer_form form;
	deflate_write_fn write;
	void *ctx;
	z_stream gzip;
	gz_header header;
	ZSTD_CCtx *zstd;
	unsigned char out[BLOCK];
};

static int start(struct deflate *d)
{
	switch (d->form) {
	case LAYER_GZIP:
		if (deflateInit2(&d->gzip, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
				 Z_DEFAULT_STRATEGY) != Z_OK)
			return -1;
		d->header.os = GZIP_UNIX;
		return deflateSetHeader(&d->gzip, &d->header) == Z_OK ? 0 : -1;
	case LAYER_ZSTD:
		d->zstd = ZSTD_createCCtx();
		if (!d->zstd)
			return -1;
		return ZSTD_isError(ZSTD_CCtx_setParameter(d->zstd, ZSTD_c_compressionLevel,
							   ZSTD_LEVEL)) ||
				       ZSTD_isError(ZSTD_CCtx_setParameter(d->zstd,
									   ZSTD_c_checksumFlag, 1))
			       ? -1
			       : 0;
	case LAYER_PLAIN:
	default:
		return 0;
	}
}

int deflate_new(enum layer_form form, deflate_write_fn write, void *ctx, struct deflate **ret,
		struct err *err)
{
	struct deflate *d = xcalloc(1, sizeof(*d));

	d->form = form;
	d->write = write;
	d->ctx = ctx;
	if (start(d) < 0) {
		deflate_free(&d);
		return err_set(err, "cannot compress: the library does not start");
	}
	*ret = d;
	return 0;
}

void deflate_free(struct deflate **d)
{
	if (!d || !*d)
		return;
	if ((*d)->form == LAYER_GZIP)
		(void)deflateEnd(&(*d)->gzip);
	ZSTD_freeCCtx((*d)->zstd);
	free(*d);
	*d = NULL;
}

static int gzip(struct deflate *d, const void *p, size_t n, bool end, struct err *err)
{
	int r;

	d->gzip.next_in = p;
	d->gzip.avail_in = (uInt)n;
	do {
		d->gzip.next_out = d->out;
		d->gzip.avail_out = BLOCK;
		r = deflate(&d->gzip, end ? Z_FINISH : Z_NO_FLUSH);
		if (r == Z_STREAM_ERROR)
			return err_set(err, "cannot compress: zlib fails");
		if (d->write(d->ctx, d->out, BLOCK - d->gzip.avail_out, err) < 0)
			return -1;
	} while (d->gzip.avail_out == 0 || (end && r != Z_STREAM_END));
	return 0;
}

static int zstd(struct deflate *d, const void *p, size_t n, bool end, struct err *err)
{
	ZSTD_inBuffer in = {.src = p, .size = n};
	size_t left;

	do {
		ZSTD_outBuffer out = {.dst = d->out, .size = BLOCK};

		left = ZSTD_compressStream2(d->zstd, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return err_set(err, "cannot compress: %s", ZSTD_getErrorName(left));
		if (d->write(d->ctx, d->out, out.pos, err) < 0)
			return -1;
	} while (in.pos < in.size || (end && left > 0));
	return 0;
}

static int feed(struct deflate *d, const void *p, size_t n, bool end, struct err *err)
{
	switch (d->form) {
	case LAYER_GZIP:
		return gzip(d, p, n, end, err);
	case LAYER_ZSTD:
		return zstd(d, p, n, end, err);
	case LAYER_PLAIN:
	default:
		return d->write(d->ctx, p, n, err);
	}
}

int deflate_add(struct deflate *d, const void *p, size_t n, struct err *err)
{
	/* zlib counts in 32 bits. */
	for (const char *at = p; n > 0;) {
		size_t part = n < (1U << 30) ? n : 1U << 30;

		if (feed(d, at, part, false, err) < 0)
			return -1;
		at += part;
		n -= part;
	}
	return 0;
}

int deflate_end(struct deflate *d, struct err *err)
{
	return feed(d, "", 0, true, err);
}
