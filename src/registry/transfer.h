/*
 * transfer — pull, push and login: what sbx-registry does, from beginning to end.
 */
#ifndef SBX_REGISTRY_TRANSFER_H
#define SBX_REGISTRY_TRANSFER_H

#include "conf/image.h"
#include "registry/session.h"

struct err;
struct store;

struct transfer {
	const struct store *store;
	struct image_ref ref;
	bool plain_http;
	bool anonymous;                  /* as in session.h.  Of pull */
	const char *authfile, *cert_dir; /* NULL: as in session.h */
	const char *platform;            /* "os/arch[/variant]"; NULL: this machine's.  Of pull */
	const char *manifest;            /* of push */
	struct events *events;
};

/*
 * Manifest, config and the layers that are neither in the store nor their blobs, as blobs; the image's record.
 * Tells the result by an event.
 */
int transfer_pull(const struct transfer *t, struct err *err);

/* What the registry does not have is sent, the manifest at last. */
int transfer_push(const struct transfer *t, struct err *err);

/* Does the registry accept them?  *ret_asked false: it lets everybody in, and did not look. */
int transfer_check(const struct transfer *t, const char *registry, const struct auth *auth,
		   bool *ret_asked, struct err *err);

#endif
