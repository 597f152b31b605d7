/*
 * archive_out — an image of the store as files for others: a tar, or a folder.
 */
#ifndef SBX_STORE_ARCHIVE_OUT_H
#define SBX_STORE_ARCHIVE_OUT_H

#include <stdint.h>

#include "store/emit.h"

struct arena;
struct err;
struct store;

enum archive_format {
	ARCHIVE_OCI,     /* a tar of an OCI layout: oci-layout, index.json, blobs/sha256/ */
	ARCHIVE_OCI_DIR, /* the layout as a folder */
	ARCHIVE_DOCKER,  /* what `docker load` reads; the layers must be plain tars */
};

struct archive_out {
	const struct store *store;
	enum archive_format format;
	int fd;                    /* borrowed: the tar, or the folder, which is empty */
	const char *manifest;      /* its digest */
	const char *ref;           /* the name that it has there, or NULL */
	emit_progress_fn progress; /* or NULL */
	void *progress_ctx;
};

/*
 * Each blob is read once, and compared with its digest meanwhile: EBADMSG where it is damaged.  ENOENT: a blob is
 * not there.  The same image and name give the same bytes.
 */
int archive_out(struct arena *a, const struct archive_out *out, struct err *err);

#endif
