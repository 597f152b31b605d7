/*
 * manifest — the manifest that a reference means, out of a registry.
 */
#ifndef SBX_REGISTRY_MANIFEST_H
#define SBX_REGISTRY_MANIFEST_H

#include "base/digest.h"
#include "base/str.h"
#include "conf/image.h"
#include "registry/client.h"

struct err;

/*
 * Get it, through an index by the platform ("os/arch[/variant]"; NULL: this machine's), and check its digest
 * where the reference or the index says one.  Its bytes are added to ret.
 */
int manifest_get(struct client *c, const struct image_ref *ref, const char *platform,
		 struct buf *ret, char ret_digest[DIGEST_HEX + 1], struct err *err);

#endif
