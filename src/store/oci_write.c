#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/oci.h"

#define SCHEMA 2

/* Bytes that are no UTF-8 (a commit's message may have them) are written as \xNN. */
static json_t *text(const char *s)
{
	_cleanup_buf_ struct buf b = {0};
	json_t *v = json_string(s);

	if (v)
		return v;
	str_escape(&b, s, strlen(s));
	return json_string(b.p);
}

static void put_text(json_t *obj, const char *key, const char *s)
{
	if (s)
		json_object_set_new(obj, key, text(s));
}

static void put_digest(json_t *obj, const char *key, const char *hex)
{
	json_object_set_new(obj, key, json_sprintf("sha256:%s", hex));
}

static void put_pairs(json_t *obj, const char *key, const struct oci_pairs *p)
{
	json_t *v;

	if (p->n == 0)
		return;
	v = json_object();
	for (size_t i = 0; i < p->n; i++)
		put_text(v, p->v[i].name, p->v[i].value);
	json_object_set_new(obj, key, v);
}

static void put_list(json_t *obj, const char *key, const struct oci_strings *list)
{
	json_t *v;

	if (!list->set)
		return;
	v = json_array();
	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(v, text(list->v[i]));
	json_object_set_new(obj, key, v);
}

/* Go's way to write a set: {"80/tcp": {}}. */
static void put_set(json_t *obj, const char *key, const struct oci_strings *list)
{
	json_t *v;

	if (list->n == 0)
		return;
	v = json_object();
	for (size_t i = 0; i < list->n; i++)
		json_object_set_new(v, list->v[i], json_object());
	json_object_set_new(obj, key, v);
}

static void put_platform(json_t *obj, const struct oci_platform *p)
{
	put_text(obj, "os", p->os);
	put_text(obj, "architecture", p->architecture);
	put_text(obj, "variant", p->variant);
}

static json_t *descriptor(const struct oci_descriptor *d)
{
	json_t *obj = json_object();

	put_text(obj, "mediaType", d->media_type);
	put_digest(obj, "digest", d->digest);
	json_object_set_new(obj, "size", json_integer((json_int_t)d->size));
	put_pairs(obj, "annotations", &d->annotations);
	if (d->platform.os) {
		json_t *platform = json_object();

		put_platform(platform, &d->platform);
		json_object_set_new(obj, "platform", platform);
	}
	return obj;
}

static json_t *descriptors(const struct oci_descriptor *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, descriptor(&v[i]));
	return list;
}

static json_t *document(const char *media_type)
{
	json_t *root = json_object();

	json_object_set_new(root, "schemaVersion", json_integer(SCHEMA));
	put_text(root, "mediaType", media_type);
	return root;
}

/* Sorted keys, no white space: the same data gives the same bytes, hence the same digest. */
static void finish(json_t *root, struct buf *ret)
{
	char *s = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);

	buf_adds(ret, s ? s : "");
	free(s);
	json_decref(root);
}

void oci_write_index(const struct oci_index *index, struct buf *ret)
{
	json_t *root = document(index->media_type);

	json_object_set_new(root, "manifests", descriptors(index->manifests, index->n));
	put_pairs(root, "annotations", &index->annotations);
	finish(root, ret);
}

void oci_write_manifest(const struct oci_manifest *m, struct buf *ret)
{
	json_t *root = document(m->media_type);

	json_object_set_new(root, "config", descriptor(&m->config));
	json_object_set_new(root, "layers", descriptors(m->layers, m->n));
	put_pairs(root, "annotations", &m->annotations);
	finish(root, ret);
}

static json_t *history(const struct oci_history *v, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++) {
		json_t *obj = json_object();

		put_text(obj, "created", v[i].created);
		put_text(obj, "created_by", v[i].created_by);
		put_text(obj, "comment", v[i].comment);
		put_text(obj, "author", v[i].author);
		if (v[i].empty_layer)
			json_object_set_new(obj, "empty_layer", json_true());
		json_array_append_new(list, obj);
	}
	return list;
}

static json_t *run(const struct oci_config *c)
{
	json_t *obj = json_object();

	put_list(obj, "Env", &c->env);
	put_list(obj, "Entrypoint", &c->entrypoint);
	put_list(obj, "Cmd", &c->cmd);
	put_list(obj, "Shell", &c->shell);
	put_list(obj, "OnBuild", &c->onbuild);
	put_set(obj, "ExposedPorts", &c->ports);
	put_set(obj, "Volumes", &c->volumes);
	put_text(obj, "User", c->user);
	put_text(obj, "WorkingDir", c->workdir);
	put_text(obj, "StopSignal", c->stop_signal);
	put_pairs(obj, "Labels", &c->labels);
	if (c->healthcheck)
		json_object_set_new(obj, "Healthcheck", json_loads(c->healthcheck, 0, NULL));
	return obj;
}

void oci_write_config(const struct oci_config *c, struct buf *ret)
{
	json_t *root = json_object();
	json_t *rootfs = json_object();
	json_t *ids = json_array();

	for (size_t i = 0; i < c->n_diff_ids; i++)
		json_array_append_new(ids, json_sprintf("sha256:%s", c->diff_ids[i]));
	json_object_set_new(rootfs, "type", json_string("layers"));
	json_object_set_new(rootfs, "diff_ids", ids);
	put_platform(root, &c->platform);
	put_text(root, "created", c->created);
	put_text(root, "author", c->author);
	json_object_set_new(root, "config", run(c));
	json_object_set_new(root, "rootfs", rootfs);
	if (c->n_history > 0)
		json_object_set_new(root, "history", history(c->history, c->n_history));
	finish(root, ret);
}
