#include "conf/lockfile.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/image.h"

#define VERSION 1
#define LAYERS_MAX 1000U
#define PREFIX "sha256:"
/* Where a project is shared by people, two of them may merge it: it is told apart from a torn one. */
#define CONFLICT "<<<<<<<"

static int get_digest(const json_t *value, char ret[DIGEST_HEX + 1])
{
	const char *s = json_string_value(value);

	if (!s || !str_starts(s, PREFIX) || !image_is_hex(s + strlen(PREFIX)))
		return -1;
	memcpy(ret, s + strlen(PREFIX), DIGEST_HEX + 1);
	return 0;
}

static int get_layers(struct arena *a, const json_t *array, struct lock_image *ret)
{
	size_t n = json_array_size(array);

	if (!json_is_array(array) || n > LAYERS_MAX)
		return -1;
	ret->layers = arena_alloc(a, (n + 1) * sizeof(*ret->layers));
	ret->n_layers = n;
	for (size_t i = 0; i < n; i++)
		if (get_digest(json_array_get(array, i), ret->layers[i]) < 0)
			return -1;
	return 0;
}

static const char *get_text(struct arena *a, const json_t *obj, const char *key)
{
	return arena_strdup(a, json_string_value(json_object_get(obj, key)));
}

static int get_image(struct arena *a, const json_t *obj, const char *what, struct lock_image *ret,
		     struct err *err)
{
	const json_t *manifest = json_object_get(obj, "manifest");
	const json_t *steps = json_object_get(obj, "steps");

	ret->image = get_text(a, obj, "image");
	ret->host = get_text(a, obj, "host");
	if (!ret->image || !ret->image[0])
		return err_set(err, "\"%s\" names no image", what);
	if (steps && get_digest(steps, ret->steps) < 0)
		return err_set(err, "\"steps\" is no digest");
	if (!manifest)
		return 0;
	if (get_digest(manifest, ret->manifest) < 0 ||
	    get_layers(a, json_object_get(obj, "layers"), ret) < 0)
		return err_set(err, "a digest in \"%s\" is not sha256: and 64 hexadecimal digits",
			       what);
	return 0;
}

static int get_all(struct arena *a, const json_t *root, struct lockfile *ret, struct err *err)
{
	const json_t *version = json_object_get(root, "version");
	const json_t *build = json_object_get(root, "build");

	if (!json_is_integer(version) || json_integer_value(version) < 1)
		return err_set(err, "it says no version");
	if (json_integer_value(version) > VERSION) {
		err_set(err, "it is of version %lld, which this sbx does not know",
			(long long)json_integer_value(version));
		return err_hint(err, "a newer sbx made it: update sbx");
	}
	if (get_digest(json_object_get(root, "profile"), ret->profile) < 0)
		return err_set(err, "it has no digest of the profile");
	if (get_image(a, json_object_get(root, "base"), "base", &ret->base, err) < 0)
		return -1;
	return build ? get_image(a, build, "build", &ret->build, err) : 0;
}

int lockfile_parse(struct arena *a, const char *text, size_t n, struct lockfile *ret,
		   struct err *err)
{
	json_auto_t *root = NULL;
	struct lockfile lock = {0};
	json_error_t where;

	if (n > LOCKFILE_MAX)
		return err_set(err, "it is larger than %zu bytes", LOCKFILE_MAX);
	root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &where);
	if (!root) {
		err_set(err, "line %d: %s", where.line, where.text);
		if (memmem(text, n, CONFLICT, strlen(CONFLICT)))
			return err_hint(err, "it holds both sides of a merge: choose, or make it "
					     "again by sbx lock");
		return -1;
	}
	if (!json_is_object(root))
		return err_set(err, "it is no object");
	if (get_all(a, root, &lock, err) < 0)
		return -1;
	*ret = lock;
	return 0;
}

static json_t *put_digest(const char *hex)
{
	_cleanup_free_ char *text = xasprintf(PREFIX "%s", hex);

	return json_string(text);
}

static json_t *put_image(const struct lock_image *image)
{
	json_t *obj = json_object();
	json_t *layers;

	json_object_set_new(obj, "image", json_string(image->image));
	if (image->host)
		json_object_set_new(obj, "host", json_string(image->host));
	if (!image->manifest[0])
		return obj;
	layers = json_array();
	for (size_t i = 0; i < image->n_layers; i++)
		json_array_append_new(layers, put_digest(image->layers[i]));
	json_object_set_new(obj, "manifest", put_digest(image->manifest));
	json_object_set_new(obj, "layers", layers);
	if (image->steps[0])
		json_object_set_new(obj, "steps", put_digest(image->steps));
	return obj;
}

void lockfile_write(const struct lockfile *lock, struct buf *ret)
{
	json_auto_t *root = json_object();
	_cleanup_free_ char *text = NULL;

	json_object_set_new(root, "version", json_integer(VERSION));
	json_object_set_new(root, "base", put_image(&lock->base));
	if (lock->build.image)
		json_object_set_new(root, "build", put_image(&lock->build));
	json_object_set_new(root, "profile", put_digest(lock->profile));
	text = json_dumps(root, JSON_INDENT(2));
	buf_adds(ret, text ? text : "{}");
	buf_adds(ret, "\n");
}
