/*
 * authfile — who one is at a registry: containers-auth.json(5), and docker's config.json of the same shape.
 *
 *     {"auths": {"registry.example/me": {"auth": BASE64("user:password")}}, "credHelpers": {…}, "credsStore": …}
 *
 * A key is a registry, or a registry and the beginning of a repository; the longest that fits counts.
 */
#ifndef SBX_STORE_AUTHFILE_H
#define SBX_STORE_AUTHFILE_H

#include <stdbool.h>
#include <stddef.h>

struct arena;
struct buf;
struct err;
struct strv;

/* All NULL: nothing is known. */
struct auth {
	const char *user, *password;
	const char *token;  /* an identity token (OAuth2's refresh token), in place of a password */
	const char *helper; /* or "docker-credential-<helper> get" tells, … */
	const char *server; /* … when it is given this */
};

/*
 * The files that may tell, in their order: `named` alone, or $REGISTRY_AUTH_FILE alone, or
 * $XDG_RUNTIME_DIR/containers/auth.json, containers/auth.json below the user's configuration, and
 * config.json in $DOCKER_CONFIG or ~/.docker.
 */
int authfile_paths(struct arena *a, const char *named, struct strv *ret, struct err *err);

/* Where `sbx login` writes: of those, `named`, $REGISTRY_AUTH_FILE or the second. */
int authfile_own(struct arena *a, const char *named, const char **ret, struct err *err);

/* Look in the text of a file.  Fails with the cause alone where it is none, or what it says of this registry is bad. */
int authfile_find(struct arena *a, const struct buf *text, const char *registry,
		  const char *repository, struct auth *ret, struct err *err);

/* The text with the entry of `registry` set (user NULL: removed), and all else as it is. Adds to ret. */
int authfile_set(const struct buf *text, const char *registry, const struct auth *auth,
		 struct buf *ret, bool *ret_was_there, struct err *err);

#endif
