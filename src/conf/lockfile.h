/*
 * lockfile — sbx.lock as data: exactly what a project's environments stand on, for whoever else has the project.
 *
 *     {
 *       "version": 1,
 *       "base": {"image": "registry.example/debian:12", "manifest": "sha256:…", "layers": ["sha256:…"]},
 *       "build": {"image": "localhost/demo:latest", "manifest": "sha256:…", "layers": […],
 *                 "steps": "sha256:…"},
 *       "profile": "sha256:…"
 *     }
 *
 * For the host's root, "base" is {"image": "host", "host": its fingerprint}; for a folder {"image": "dir:…"}.
 * "build" is there where the project has build steps: what they made, and a digest of what
 * they said.
 */
#ifndef SBX_CONF_LOCKFILE_H
#define SBX_CONF_LOCKFILE_H

#include <stddef.h>

#include "base/digest.h"

struct arena;
struct buf;
struct err;

#define LOCKFILE_NAME "sbx.lock"
#define LOCKFILE_MAX ((size_t)1 << 20)

struct lock_image {
	const char *image;              /* as the profile has it; NULL: none */
	char manifest[DIGEST_HEX + 1];  /* "": no image */
	char (*layers)[DIGEST_HEX + 1]; /* diffIDs, the lowest first */
	size_t n_layers;
	const char *host;           /* fingerprint, or NULL */
	char steps[DIGEST_HEX + 1]; /* build: of what [build] said; "": not known */
};

struct lockfile {
	struct lock_image base;
	struct lock_image build; /* image NULL: none */
	char profile[DIGEST_HEX + 1];
};

/* Fails with the cause alone. */
int lockfile_parse(struct arena *a, const char *text, size_t n, struct lockfile *ret,
		   struct err *err);

/* Always the same bytes for the same data.  Adds to ret. */
void lockfile_write(const struct lockfile *lock, struct buf *ret);

#endif
