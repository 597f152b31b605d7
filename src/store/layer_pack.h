/*
 * layer_pack — a layer of the store as a blob for others: its exact tar, compressed.
 */
#ifndef SBX_STORE_LAYER_PACK_H
#define SBX_STORE_LAYER_PACK_H

#include <stdint.h>

#include "store/emit.h"
#include "store/form.h"

struct err;
struct store;

enum layer_form {
	LAYER_GZIP, /* application/vnd.oci.image.layer.v1.tar+gzip: what everybody reads */
	LAYER_ZSTD, /* …+zstd: faster and smaller */
	LAYER_PLAIN,
};

const char *layer_form_name(enum layer_form f); /* "gzip", "zstd", "none" */
const char *layer_form_media_type(enum layer_form f);

/*
 * A blob of the layer: one that is there in that form (form.h), else it is made, with `tree` (a name in
 * the layer's folder) in the user namespace of that tree's map.  The same layer gives the same bytes.
 * Where it was seen, *ret does not say.
 */
int layer_pack(const struct store *s, const char *diff_id, const char *tree, enum layer_form how,
	       struct form *ret, struct err *err);

#endif
