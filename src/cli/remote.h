/*
 * remote — registries, by the program sbx-registry (src/registry), which links libcurl: sbx itself is static.
 */
#ifndef SBX_CLI_REMOTE_H
#define SBX_CLI_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"

struct arena;
struct err;
struct image_info;
struct store;

struct remote_options {
	bool plain_http;      /* by name; for loopback it is the default */
	bool anonymous;       /* pull what anybody is given, and not from this machine itself */
	const char *authfile; /* NULL: the usual ones */
	const char *cert_dir; /* NULL: none beyond the system's */
	const char *platform; /* "linux/arm64"; NULL: this machine's */
};

/* What a transfer did: blobs that went over the line, and those that were there. */
struct remote_result {
	char manifest[DIGEST_HEX + 1];
	uint64_t moved, reused;
};

/*
 * Fetch manifest, config and those layers that are not there (by diffID) as blobs, with progress; name the
 * image (image_put, with its tag: "…:latest" where `ref` says none).  Nothing is unpacked.
 */
int remote_pull(struct arena *a, const struct store *s, const char *ref,
		const struct remote_options *how, struct remote_result *ret, struct err *err);

/* Send the image, whose blobs are all there; what the registry has is not sent. */
int remote_push(struct arena *a, const char *manifest, const char *ref,
		const struct remote_options *how, struct remote_result *ret, struct err *err);

/* Does the registry let this user in? */
int remote_check(struct arena *a, const char *registry, const char *user, const char *password,
		 const struct remote_options *how, struct err *err);

/*
 * Remember that the image's layers are in the repository of `ref`, for pushes to another one of that registry.
 * After its layers were unpacked: only forms that were checked are known by then.  Best effort.
 */
void remote_remember(struct arena *a, const struct store *s, const char *ref,
		     const struct image_info *info);

#endif
