#include "store/env_record.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/layer.h"
#include "store/record.h"

#define ENV_VERSION 2
#define ENV_FILE "env.json"
/* Far more than can be mounted: what says so is damaged. */
#define CHAIN_MAX 100000

const char *env_upper_name(struct arena *a, uint64_t n)
{
	return arena_printf(a, "upper.%llu", (unsigned long long)n);
}

/* One part of a path, and nothing hidden. */
static bool is_plain_name(const char *s)
{
	return s && s[0] != '\0' && s[0] != '.' && !strchr(s, '/');
}

static json_t *commit_to_json(const struct commit *c)
{
	json_t *obj = json_object();

	json_object_set_new(obj, "digest", json_string(c->digest));
	json_object_set_new(obj, "message", record_bytes(c->message));
	json_object_set_new(obj, "by", record_bytes(c->by));
	json_object_set_new(obj, "created", json_integer(c->created));
	json_object_set_new(obj, "tree", json_string(c->tree));
	return obj;
}

static int commit_from_json(struct arena *a, const json_t *obj, struct commit *ret)
{
	const json_t *created = json_object_get(obj, "created");
	const char *digest = json_string_value(json_object_get(obj, "digest"));

	const char *tree = json_string_value(json_object_get(obj, "tree"));

	*ret = (struct commit){
		.tree = arena_strdup(a, tree),
		.digest = arena_strdup(a, digest),
		.message = record_get_bytes(a, obj, "message"),
		.by = record_get_bytes(a, obj, "by"),
		.created = json_integer_value(created),
	};
	if (!digest || !layer_is_digest(digest) || !ret->message || !ret->by ||
	    !is_plain_name(tree) || !json_is_integer(created))
		return -1;
	return 0;
}

json_t *chain_to_json(const struct chain *c)
{
	json_t *array = json_array();

	for (size_t i = 0; i < c->n; i++)
		json_array_append_new(array, commit_to_json(&c->v[i]));
	return array;
}

int chain_from_json(struct arena *a, const json_t *array, struct chain *ret)
{
	size_t n = json_array_size(array);
	struct chain c = {.n = n};

	if (!json_is_array(array) || n > CHAIN_MAX)
		return -1;
	c.v = arena_alloc(a, (n + 1) * sizeof(*c.v));
	for (size_t i = 0; i < n; i++) {
		if (commit_from_json(a, json_array_get(array, i), &c.v[i]) < 0)
			return -1;
	}
	*ret = c;
	return 0;
}

/* "pending": a commit, and the name of its staging folder. */
static int read_pending(struct arena *a, const json_t *obj, struct env *e)
{
	const json_t *pending = json_object_get(obj, "pending");
	const char *stage = json_string_value(json_object_get(pending, "stage"));

	if (!pending)
		return 0;
	if (!is_plain_name(stage) || commit_from_json(a, pending, &e->pending) < 0)
		return -1;
	e->stage = arena_strdup(a, stage);
	return 0;
}

/* "below" is written only while it is not all of the chain. */
static int read_below(const json_t *below, struct env *e)
{
	e->below = e->chain.n;
	if (!below)
		return 0;
	if (!json_is_integer(below) || json_integer_value(below) < 0 ||
	    (size_t)json_integer_value(below) > e->chain.n)
		return -1;
	e->below = (size_t)json_integer_value(below);
	return 0;
}

static int read_previous(struct arena *a, const json_t *previous, struct env *e)
{
	return previous ? chain_from_json(a, previous, &e->previous) : 0;
}

/* After the chain, of which the image has the lowest part. */
static int read_image(struct arena *a, const json_t *image, struct env *e)
{
	const char *manifest = json_string_value(json_object_get(image, "manifest"));
	const char *build = json_string_value(json_object_get(image, "build"));
	const json_t *n = json_object_get(image, "layers");

	if (!image)
		return 0;
	e->image.ref = record_get_bytes(a, image, "ref");
	if (!e->image.ref || !manifest || !layer_is_digest(manifest) || !json_is_integer(n) ||
	    json_integer_value(n) < 0 || (size_t)json_integer_value(n) > e->chain.n)
		return -1;
	memcpy(e->image.manifest, manifest, sizeof(e->image.manifest));
	e->image.n = (size_t)json_integer_value(n);
	e->image.over_host = json_is_true(json_object_get(image, "over_host"));
	if (build && !layer_is_digest(build))
		return -1;
	if (build)
		memcpy(e->image.build, build, sizeof(e->image.build));
	return 0;
}

static json_t *image_to_json(const struct env_image *image)
{
	json_t *obj = json_object();

	json_object_set_new(obj, "ref", record_bytes(image->ref));
	json_object_set_new(obj, "manifest", json_string(image->manifest));
	json_object_set_new(obj, "layers", json_integer((json_int_t)image->n));
	json_object_set_new(obj, "over_host", json_boolean(image->over_host));
	if (image->build[0])
		json_object_set_new(obj, "build", json_string(image->build));
	return obj;
}

static int read_values(struct arena *a, const json_t *obj, struct env *e)
{
	const json_t *rung = json_object_get(obj, "rung");
	const json_t *created = json_object_get(obj, "created");
	const json_t *upper = json_object_get(obj, "upper");

	e->project = record_get_bytes(a, obj, "project");
	e->name = arena_strdup(a, json_string_value(json_object_get(obj, "name")));
	if (!e->project || e->project[0] != '/' || !e->name || !json_is_integer(rung) ||
	    json_integer_value(rung) < -1 || json_integer_value(rung) > 16 ||
	    !json_is_integer(created) || !json_is_integer(upper) || json_integer_value(upper) < 0)
		return -1;
	e->rung = (int)json_integer_value(rung);
	e->as = (int)json_integer_value(json_object_get(obj, "as"));
	e->fuse = json_is_true(json_object_get(obj, "fuse"));
	e->created = json_integer_value(created);
	e->upper_n = (uint64_t)json_integer_value(upper);
	e->upper = env_upper_name(a, e->upper_n);
	if (chain_from_json(a, json_object_get(obj, "chain"), &e->chain) < 0 ||
	    read_below(json_object_get(obj, "below"), e) < 0 ||
	    read_image(a, json_object_get(obj, "image"), e) < 0)
		return -1;
	if (read_previous(a, json_object_get(obj, "previous"), e) < 0)
		return -1;
	return read_pending(a, obj, e);
}

int env_record_read(struct arena *a, int fd, struct env *e, struct err *err)
{
	json_auto_t *obj = NULL;

	if (record_load(fd, ENV_FILE, ENV_VERSION, &obj, err) < 0)
		return err_prefix(err, "environment '%s'", e->dir);
	if (read_values(a, obj, e) == 0)
		return 0;
	err_set(err, "cannot read '%s/%s': a value is missing or wrong", e->dir, ENV_FILE);
	if (err)
		err->errnum = EBADMSG;
	return err_hint(err, "the environment is damaged; move '%s' away", e->dir);
}

int env_record_write(int fd, const struct env *e, struct err *err)
{
	json_auto_t *obj = json_object();

	json_object_set_new(obj, "project", record_bytes(e->project));
	json_object_set_new(obj, "name", json_string(e->name));
	json_object_set_new(obj, "rung", json_integer(e->rung));
	json_object_set_new(obj, "as", json_integer(e->as));
	json_object_set_new(obj, "fuse", json_boolean(e->fuse));
	json_object_set_new(obj, "created", json_integer(e->created));
	json_object_set_new(obj, "upper", json_integer((json_int_t)e->upper_n));
	json_object_set_new(obj, "chain", chain_to_json(&e->chain));
	if (e->image.ref)
		json_object_set_new(obj, "image", image_to_json(&e->image));
	if (e->previous.n > 0)
		json_object_set_new(obj, "previous", chain_to_json(&e->previous));
	if (e->below < e->chain.n)
		json_object_set_new(obj, "below", json_integer((json_int_t)e->below));
	if (e->stage) {
		json_t *pending = commit_to_json(&e->pending);

		json_object_set_new(pending, "stage", json_string(e->stage));
		json_object_set_new(obj, "pending", pending);
	}
	return record_save(fd, ENV_FILE, ENV_VERSION, obj, err);
}
