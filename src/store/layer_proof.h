/*
 * layer_proof — is a blob that layer?
 *
 * A layer that is there is not unpacked again: whoever has a blob that is said to be it, and may have only what he
 * brought himself, has to show that it is.
 */
#ifndef SBX_STORE_LAYER_PROOF_H
#define SBX_STORE_LAYER_PROOF_H

#include "store/oci.h"

struct arena;
struct err;
struct store;

/* By the forms that are known (form.h), else by its bytes, and then it is known.  Another one: EBADMSG. */
int layer_proof(struct arena *a, const struct store *s, const struct oci_descriptor *blob,
		const char *diff_id, struct err *err);

#endif
