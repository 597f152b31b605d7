#include "store/authfile.h"

#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "store/dirs.h"
#include "store/oci_json.h"

#define DOCKER_HUB "docker.io"

int authfile_own(struct arena *a, const char *named, const char **ret, struct err *err)
{
	const char *said = getenv("REGISTRY_AUTH_FILE");
	const char *config;

	if (named || (said && said[0] != '\0')) {
		*ret = arena_strdup(a, named ? named : said);
		return 0;
	}
	if (dirs_config(a, &config, err) < 0)
		return -1;
	*ret = path_join(a, config, "containers/auth.json");
	return 0;
}

int authfile_paths(struct arena *a, const char *named, struct strv *ret, struct err *err)
{
	const char *said = getenv("REGISTRY_AUTH_FILE");
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	const char *docker = getenv("DOCKER_CONFIG");
	const char *own, *home;

	if (authfile_own(a, named, &own, err) < 0)
		return -1;
	if (named || (said && said[0] != '\0')) {
		strv_push(a, ret, own);
		return 0;
	}
	if (dirs_home(a, &home, err) < 0)
		return -1;
	if (runtime && runtime[0] == '/')
		strv_push(a, ret, path_join(a, runtime, "containers/auth.json"));
	strv_push(a, ret, own);
	strv_push(a, ret,
		  path_join(a, docker && docker[0] == '/' ? docker : path_join(a, home, ".docker"),
			    "config.json"));
	return 0;
}

/*
 * What a key is about: docker's old ones are addresses ("https://registry.example/v1/").  The
 * Docker Hub has several names.
 */
static const char *plain_key(struct arena *a, const char *key)
{
	static const char *const ends[] = {"/", "/v1", "/v2"};
	static const char *const hubs[] = {"index.docker.io", "registry-1.docker.io"};
	const char *behind = strstr(key, "://");
	char *s = arena_strdup(a, behind ? behind + 3 : key);

	for (size_t i = 0; behind && i < sizeof(ends) / sizeof(ends[0]); i++) {
		if (str_ends(s, ends[i]))
			s[strlen(s) - strlen(ends[i])] = '\0';
	}
	for (size_t i = 0; i < sizeof(hubs) / sizeof(hubs[0]); i++) {
		if (str_eq(s, hubs[i]))
			return DOCKER_HUB;
	}
	return s;
}

/* How much of "registry/repository" the key names; 0: another one. */
static size_t fits(const char *key, const char *whole)
{
	size_t n = strlen(key);

	if (n == 0 || strncmp(key, whole, n) != 0 || (whole[n] != '/' && whole[n] != '\0'))
		return 0;
	return n;
}

/* The key of the object that fits best, or NULL. */
static const char *best_key(struct arena *a, json_t *obj, const char *whole)
{
	const char *best = NULL;
	size_t longest = 0;
	const char *key;
	json_t *value;

	json_object_foreach(obj, key, value)
	{
		size_t n = fits(plain_key(a, key), whole);

		/* Where two are as good: the plain one. */
		if (n > longest || (n > 0 && n == longest && !strstr(key, "://"))) {
			longest = n;
			best = arena_strdup(a, key);
		}
	}
	return best;
}

/* The helper's name becomes part of a program's. */
static int set_helper(struct arena *a, const char *name, const char *server, struct auth *ret,
		      struct err *err)
{
	if (name[0] == '\0' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(name))
		return oci_bad(err, "'%.100s' is not the name of a credential helper", name);
	*ret = (struct auth){
		.helper = arena_strdup(a, name),
		.server = str_eq(server, DOCKER_HUB) ? "https://index.docker.io/v1/" : server,
	};
	return 0;
}

static int split_auth(struct arena *a, const char *key, const char *auth, struct auth *ret,
		      struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	const char *colon;

	if (base64_bytes(&b, auth, strlen(auth)) < 0 || !b.p || strlen(b.p) != b.len ||
	    !strchr(b.p, ':'))
		return oci_bad(err, "the 'auth' of '%.100s' is not user:password in base64", key);
	colon = strchr(b.p, ':');
	ret->user = arena_strndup(a, b.p, (size_t)(colon - b.p));
	ret->password = arena_strdup(a, colon + 1);
	explicit_bzero(b.p, b.len);
	return 0;
}

static int read_entry(struct arena *a, const char *key, const json_t *entry, struct auth *ret,
		      struct err *err)
{
	const char *auth = NULL;
	struct auth found = {0};

	if (!json_is_object(entry))
		return oci_bad(err, "the entry '%.100s' is no object", key);
	if (oci_json_text(a, entry, "auth", &auth, err) < 0 ||
	    oci_json_text(a, entry, "username", &found.user, err) < 0 ||
	    oci_json_text(a, entry, "password", &found.password, err) < 0 ||
	    oci_json_text(a, entry, "identitytoken", &found.token, err) < 0)
		return -1;
	if (auth && auth[0] != '\0' && split_auth(a, key, auth, &found, err) < 0)
		return -1;
	if (found.token && found.token[0] == '\0')
		found.token = NULL;
	if (found.token || (found.user && found.password))
		*ret = found;
	return 0;
}

static int check_shape(json_t *root, struct err *err)
{
	static const char *const objects[] = {"auths", "credHelpers"};

	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		const json_t *o = json_object_get(root, objects[i]);

		if (o && !json_is_object(o) && !json_is_null(o))
			return oci_bad(err, "'%s' is no object", objects[i]);
	}
	return 0;
}

int authfile_find(struct arena *a, const struct buf *text, const char *registry,
		  const char *repository, struct auth *ret, struct err *err)
{
	const char *whole = plain_key(a, registry);
	const char *helper = NULL;
	const char *store = NULL;
	json_auto_t *root = NULL;
	const char *key;

	if (oci_json(text->p ? text->p : "", text->len, &root, err) < 0 ||
	    check_shape(root, err) < 0)
		return -1;
	key = best_key(a, json_object_get(root, "credHelpers"), whole);
	if (key && oci_json_text(a, json_object_get(root, "credHelpers"), key, &helper, err) < 0)
		return -1;
	if (helper && helper[0] != '\0')
		return set_helper(a, helper, whole, ret, err);
	if (repository)
		key = best_key(a, json_object_get(root, "auths"),
			       arena_printf(a, "%s/%s", whole, repository));
	else
		key = best_key(a, json_object_get(root, "auths"), whole);
	if (key &&
	    read_entry(a, key, json_object_get(json_object_get(root, "auths"), key), ret, err) < 0)
		return -1;
	if (ret->token || ret->user)
		return 0;
	if (oci_json_text(a, root, "credsStore", &store, err) < 0)
		return -1;
	return store && store[0] != '\0' ? set_helper(a, store, whole, ret, err) : 0;
}

int authfile_set(const struct buf *text, const char *registry, const struct auth *auth,
		 struct buf *ret, bool *ret_was_there, struct err *err)
{
	_cleanup_buf_ struct buf plain = {0};
	_cleanup_buf_ struct buf coded = {0};
	_cleanup_free_ char *out = NULL;
	json_auto_t *root = NULL;
	json_t *auths;

	if (text->len == 0)
		root = json_object();
	else if (oci_json(text->p, text->len, &root, err) < 0 || check_shape(root, err) < 0)
		return -1;
	auths = json_object_get(root, "auths");
	if (!json_is_object(auths)) {
		auths = json_object();
		json_object_set_new(root, "auths", auths);
	}
	*ret_was_there = json_object_del(auths, registry) == 0;
	if (auth->user) {
		json_t *entry = json_object();

		buf_printf(&plain, "%s:%s", auth->user, auth->password);
		base64_encode(&coded, plain.p, plain.len);
		explicit_bzero(plain.p, plain.len);
		json_object_set_new(entry, "auth", json_string(coded.p));
		json_object_set_new(auths, registry, entry);
	}
	out = json_dumps(root, JSON_INDENT(8));
	if (!out)
		return err_set(err, "no memory");
	buf_adds(ret, out);
	buf_adds(ret, "\n");
	return 0;
}
