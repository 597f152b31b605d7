/*
 * archive_in — an image that comes as files: an OCI layout in a folder or in a tar, or docker's tar.
 *
 * The files of a tar come in any order, and what they are for is told by one of them; so each that may be a
 * blob goes into the store as it comes, under limits, and what turns out not to be needed is for gc_forget.
 * Layers that are plain tars need no blob: what `layer` is there for unpacks them as they come.
 * Of a folder only what is asked for is read.  Whatever it holds, only names that are known are used; links are followed
 * within a tar alone, as docker's have them.
 */
#ifndef SBX_STORE_ARCHIVE_IN_H
#define SBX_STORE_ARCHIVE_IN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/untar.h"

struct err;
struct pin;
struct store;

/* A file of the tar, by its name there. */
struct archive_file {
	const char *name;
	const char *link; /* NULL: a file */
	char hex[DIGEST_HEX + 1];
	uint64_t size;
	bool layer; /* it was made a layer of the store, and no blob */
	const struct err *
		refused; /* why it could not be one, which counts where an image needs it; else NULL */
};

/*
 * Make a layer of the store of a plain tar, whose digest is `hex`: all that `read` gives.  After a failure the rest of it
 * may still be unread.
 */
typedef int (*archive_layer_fn)(void *ctx, const char *hex, uint64_t size, untar_read_fn read,
				void *read_ctx, struct err *err);

struct archive_in {
	struct arena *a;
	const struct store *store;
	const struct pin *pin;  /* has what came */
	int folder;             /* -1: a tar */
	archive_layer_fn layer; /* NULL: all layers become blobs */
	void *layer_ctx;
	struct {
		struct archive_file *v;
		size_t n, cap;
	} files;
	struct strv fresh;        /* blobs that were not in the store before */
	struct strv fresh_layers; /* and layers */
	struct buf index;         /* index.json; p NULL: there was none */
	struct buf docker;        /* docker's manifest.json */
};

void archive_in_done(struct archive_in *in);

/* Read the folder at fd, which is borrowed. */
int archive_in_folder(struct archive_in *in, int fd, struct err *err);

/* Read all of a tar. */
int archive_in_tar(struct archive_in *in, untar_read_fn read, void *ctx, struct err *err);

/*
 * See that the store has the blob, of that size (UINT64_MAX: any).  ENOENT: neither the store nor the folder has
 * it.
 */
int archive_in_blob(struct archive_in *in, const char *hex, uint64_t size, struct err *err);

/*
 * See that the store has the layer `diff_id` or, of that digest and size, the blob it is in.  ENOENT: as above.
 */
int archive_in_layer(struct archive_in *in, const char *hex, uint64_t size, const char *diff_id,
		     struct err *err);

/* The file of that name in the tar; links are followed.  ENOENT. */
int archive_in_file(const struct archive_in *in, const char *name, const struct archive_file **ret,
		    struct err *err);

#endif
