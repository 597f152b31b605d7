/*
 * oci — the JSON documents of OCI's image specification 1.1 (and docker's of the same shape): index,
 * manifest and config, as data.
 *
 * Bytes from anybody: at most OCI_MAX bytes, depth 32, no duplicate keys, digests checked
 * (sha256 and 64 lower-case digits alone; others are refused by name) before anything is built of them.
 * A document with both `layers` and `manifests` is refused; so is a media type that does not fit, and
 * more than OCI_LAYERS_MAX layers.  Whatever is refused: errnum EBADMSG, and nothing in `ret`.
 */
#ifndef SBX_STORE_OCI_H
#define SBX_STORE_OCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"

struct arena;
struct buf;
struct err;

#define OCI_MAX ((size_t)4 << 20)
#define OCI_LAYERS_MAX 500U
#define OCI_INDEX_MAX 1000U

#define OCI_MEDIA_MANIFEST "application/vnd.oci.image.manifest.v1+json"
#define OCI_MEDIA_INDEX "application/vnd.oci.image.index.v1+json"
#define OCI_MEDIA_CONFIG "application/vnd.oci.image.config.v1+json"
#define OCI_MEDIA_DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"
#define OCI_MEDIA_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
#define OCI_MEDIA_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"

/* io.sbx.base = host: the layers lie on a host's root, of which io.sbx.host is the fingerprint. */
#define OCI_NOTE_BASE "io.sbx.base"
#define OCI_NOTE_HOST "io.sbx.host"
#define OCI_NOTE_PROFILE "io.sbx.profile" /* digest of the profile */
#define OCI_NOTE_REF "org.opencontainers.image.ref.name"

struct oci_pair {
	const char *name;
	const char *value;
};

struct oci_pairs {
	struct oci_pair *v; /* sorted by name */
	size_t n;
};

/* The value, or NULL. */
const char *oci_pair(const struct oci_pairs *p, const char *name);
void oci_pair_put(struct arena *a, struct oci_pairs *p, const char *name, const char *value);

struct oci_platform {
	const char *os, *architecture, *variant; /* variant may be NULL */
};

/* This machine's, in OCI's words ("linux", "amd64"). */
struct oci_platform oci_platform_here(void);

struct oci_descriptor {
	const char *media_type;
	char digest[DIGEST_HEX + 1];
	uint64_t size;
	struct oci_pairs annotations;
	struct oci_platform platform; /* in an index; os NULL: not said */
};

struct oci_index {
	const char *media_type;
	struct oci_descriptor *manifests;
	size_t n;
	struct oci_pairs annotations;
};

struct oci_manifest {
	const char *media_type;
	struct oci_descriptor config;
	struct oci_descriptor *layers; /* the lowest first */
	size_t n;
	struct oci_pairs annotations;
};

struct oci_history {
	const char *created;                       /* RFC 3339, or NULL */
	const char *created_by, *comment, *author; /* or NULL */
	bool empty_layer;
};

struct oci_strings {
	const char *const *v; /* NULL-terminated */
	size_t n;
	bool set; /* an empty list is not none */
};

struct oci_config {
	struct oci_platform platform;
	const char *created, *author;
	struct oci_strings env, entrypoint, cmd, shell, ports, volumes, onbuild;
	const char *user, *workdir, *stop_signal; /* or NULL */
	struct oci_pairs labels;
	const char *healthcheck;          /* its JSON, or NULL */
	char (*diff_ids)[DIGEST_HEX + 1]; /* the lowest first */
	size_t n_diff_ids;
	struct oci_history *history;
	size_t n_history;
};

enum oci_kind { OCI_IS_INDEX, OCI_IS_MANIFEST };

/* What the document says it is; `media_type` is what the transport said, or NULL: they must agree. */
int oci_kind(const void *p, size_t n, const char *media_type, enum oci_kind *ret, struct err *err);

int oci_read_index(struct arena *a, const void *p, size_t n, struct oci_index *ret,
		   struct err *err);
int oci_read_manifest(struct arena *a, const void *p, size_t n, struct oci_manifest *ret,
		      struct err *err);
int oci_read_config(struct arena *a, const void *p, size_t n, struct oci_config *ret,
		    struct err *err);

/*
 * The entry for `want`: of variants the best that runs there, one that does not say what it is for before none.
 * It may be an index in turn (by its media type); callers go down once, not more.  None: a message that lists
 * what there is.
 */
int oci_choose(const struct oci_index *index, const struct oci_platform *want,
	       const struct oci_descriptor **ret, struct err *err);

/* As JSON, always the same bytes for the same data.  Adds to ret. */
void oci_write_index(const struct oci_index *index, struct buf *ret);
void oci_write_manifest(const struct oci_manifest *m, struct buf *ret);
void oci_write_config(const struct oci_config *c, struct buf *ret);

/* "sha256:HEX" → HEX.  Anything else fails, saying what it is. */
int oci_digest(const char *text, char ret_hex[DIGEST_HEX + 1], struct err *err);

#endif
