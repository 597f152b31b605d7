/*
 * gc_blobs — the part of gc.h that is about blobs, and about what is known of layers; for gc.c alone.
 */
#ifndef SBX_STORE_GC_BLOBS_H
#define SBX_STORE_GC_BLOBS_H

struct arena;
struct err;
struct gc_result;
struct store;
struct strv;

/* With the store's lock, and r->roots and r->layers: fills in what is about blobs and downloads. */
int gc_blobs(struct arena *a, const struct store *s, unsigned how, struct gc_result *r,
	     struct err *err);

/* With the store's lock, and r->roots: of these blobs those that nothing needs. */
int gc_forget_blobs(struct arena *a, const struct store *s, const struct gc_result *r,
		    const struct strv *blobs, struct err *err);

/* Make litter of FOLDER/DIGEST. */
int gc_sweep(struct arena *a, const struct store *s, const char *folder, const char *digest,
	     struct err *err);

#endif
