/*
 * oci_kind — what a document is: an index or a manifest, however many ways there are to say so.
 *
 * The same bytes with two meanings have been an attack (CVE-2021-41190): what the transport says, the
 * document's own `mediaType` and its fields must all agree.
 */
#ifndef SBX_STORE_OCI_KIND_H
#define SBX_STORE_OCI_KIND_H

#include <stdbool.h>

#include <jansson.h>

#include "store/oci.h"

struct err;

/* Of a parsed document; the cause alone in `err` (oci_json.h). */
int oci_kind_of(const json_t *root, const char *media_type, enum oci_kind *ret, struct err *err);

/* Is it the media type of a manifest or an index? */
bool oci_media_kind(const char *media_type, enum oci_kind *ret);

#endif
