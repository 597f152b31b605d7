#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/oci.h"
#include "store/oci_json.h"
#include "store/oci_kind.h"

static const char *const layer_types[] = {
	"application/vnd.oci.image.layer.v1.tar",
	"application/vnd.oci.image.layer.v1.tar+gzip",
	"application/vnd.oci.image.layer.v1.tar+zstd",
	"application/vnd.oci.image.layer.nondistributable.v1.tar",
	"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
	"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
	"application/vnd.docker.image.rootfs.diff.tar",
	"application/vnd.docker.image.rootfs.diff.tar.gzip",
	"application/vnd.docker.image.rootfs.diff.tar.zstd",
	"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
	NULL,
};

static bool is_layer(const char *media_type)
{
	for (size_t i = 0; layer_types[i]; i++) {
		if (str_eq(media_type, layer_types[i]))
			return true;
	}
	return false;
}

static bool is_config(const char *media_type)
{
	return str_eq(media_type, OCI_MEDIA_CONFIG) || str_eq(media_type, OCI_MEDIA_DOCKER_CONFIG);
}

static int read_platform(struct arena *a, const json_t *obj, struct oci_platform *ret,
			 struct err *err)
{
	if (obj && !json_is_null(obj) && !json_is_object(obj))
		return oci_bad(err, "'platform' is no object");
	if (oci_json_text(a, obj, "os", &ret->os, err) < 0 ||
	    oci_json_text(a, obj, "architecture", &ret->architecture, err) < 0)
		return -1;
	return oci_json_text(a, obj, "variant", &ret->variant, err);
}

/* What it has elsewhere (`urls`), or in itself (`data`), is left alone. */
static int read_descriptor(struct arena *a, const json_t *obj, struct oci_descriptor *ret,
			   struct err *err)
{
	const json_t *size = json_object_get(obj, "size");
	const char *digest = NULL;

	if (!json_is_object(obj))
		return oci_bad(err, "it is no object");
	if (oci_json_text(a, obj, "mediaType", &ret->media_type, err) < 0 ||
	    oci_json_text(a, obj, "digest", &digest, err) < 0 ||
	    oci_json_pairs(a, obj, "annotations", &ret->annotations, err) < 0)
		return -1;
	if (!ret->media_type)
		return oci_bad(err, "it has no media type");
	if (!digest)
		return oci_bad(err, "it has no digest");
	if (oci_digest(digest, ret->digest, err) < 0)
		return -1;
	if (!json_is_integer(size) || json_integer_value(size) < 0)
		return oci_bad(err, "its size is no number of bytes");
	ret->size = (uint64_t)json_integer_value(size);
	return 0;
}

static int read_descriptors(struct arena *a, const json_t *root, const char *key, size_t limit,
			    struct oci_descriptor **ret, struct err *err)
{
	json_t *list = NULL;
	struct oci_descriptor *v;

	if (oci_json_array(root, key, limit, &list, err) < 0)
		return -1;
	v = arena_alloc(a, (json_array_size(list) + 1) * sizeof(*v));
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);

		if (read_descriptor(a, item, &v[i], err) < 0 ||
		    read_platform(a, json_object_get(item, "platform"), &v[i].platform, err) < 0)
			return err_prefix(err, "'%s', number %zu", key, i + 1);
	}
	*ret = v;
	return 0;
}

static int fill_index(struct arena *a, const json_t *root, struct oci_index *ret, struct err *err)
{
	struct oci_index index = {0};
	enum oci_kind kind = OCI_IS_INDEX;

	if (oci_kind_of(root, NULL, &kind, err) < 0)
		return -1;
	if (kind != OCI_IS_INDEX)
		return oci_bad(err, "it is a manifest, not an index");
	if (oci_json_text(a, root, "mediaType", &index.media_type, err) < 0 ||
	    oci_json_pairs(a, root, "annotations", &index.annotations, err) < 0 ||
	    read_descriptors(a, root, "manifests", OCI_INDEX_MAX, &index.manifests, err) < 0)
		return -1;
	index.n = json_array_size(json_object_get(root, "manifests"));
	*ret = index;
	return 0;
}

int oci_read_index(struct arena *a, const void *p, size_t n, struct oci_index *ret, struct err *err)
{
	json_auto_t *root = NULL;

	if (oci_json(p, n, &root, err) < 0 || fill_index(a, root, ret, err) < 0)
		return err_prefix(err, "cannot use the image's index");
	return 0;
}

static int fill_manifest(struct arena *a, const json_t *root, struct oci_manifest *ret,
			 struct err *err)
{
	struct oci_manifest m = {0};
	enum oci_kind kind = OCI_IS_MANIFEST;

	if (oci_kind_of(root, NULL, &kind, err) < 0)
		return -1;
	if (kind != OCI_IS_MANIFEST)
		return oci_bad(err, "it is an index, not a manifest");
	if (oci_json_text(a, root, "mediaType", &m.media_type, err) < 0 ||
	    oci_json_pairs(a, root, "annotations", &m.annotations, err) < 0 ||
	    read_descriptors(a, root, "layers", OCI_LAYERS_MAX, &m.layers, err) < 0)
		return -1;
	if (read_descriptor(a, json_object_get(root, "config"), &m.config, err) < 0)
		return err_prefix(err, "'config'");
	if (!is_config(m.config.media_type))
		return oci_bad(err, "'%.100s' is no config of an image", m.config.media_type);
	if (m.config.size > OCI_MAX)
		return oci_bad(err, "its config has %llu bytes, at most %zu are read",
			       (unsigned long long)m.config.size, OCI_MAX);
	m.n = json_array_size(json_object_get(root, "layers"));
	for (size_t i = 0; i < m.n; i++) {
		if (!is_layer(m.layers[i].media_type))
			return oci_bad(err, "'%.100s' is no layer of an image",
				       m.layers[i].media_type);
	}
	*ret = m;
	return 0;
}

int oci_read_manifest(struct arena *a, const void *p, size_t n, struct oci_manifest *ret,
		      struct err *err)
{
	json_auto_t *root = NULL;

	if (oci_json(p, n, &root, err) < 0 || fill_manifest(a, root, ret, err) < 0)
		return err_prefix(err, "cannot use the image's manifest");
	return 0;
}

static int read_diff_ids(struct arena *a, const json_t *root, struct oci_config *c, struct err *err)
{
	const json_t *rootfs = json_object_get(root, "rootfs");
	struct oci_strings list = {0};
	const char *type = NULL;

	if (!json_is_object(rootfs))
		return oci_bad(err, "it has no 'rootfs'");
	if (oci_json_text(a, rootfs, "type", &type, err) < 0 ||
	    oci_json_list(a, rootfs, "diff_ids", &list, err) < 0)
		return -1;
	if (type && strcmp(type, "layers") != 0)
		return oci_bad(err, "its 'rootfs' is of '%.100s', not of layers", type);
	if (list.n > OCI_LAYERS_MAX)
		return oci_bad(err, "it has %zu layers, at most %u are read", list.n,
			       OCI_LAYERS_MAX);
	c->diff_ids = arena_alloc(a, (list.n + 1) * sizeof(*c->diff_ids));
	for (size_t i = 0; i < list.n; i++) {
		if (oci_digest(list.v[i], c->diff_ids[i], err) < 0)
			return err_prefix(err, "'diff_ids', number %zu", i + 1);
	}
	c->n_diff_ids = list.n;
	return 0;
}

static int read_history(struct arena *a, const json_t *root, struct oci_config *c, struct err *err)
{
	const json_t *there = json_object_get(root, "history");
	json_t *list = NULL;

	if (!there || json_is_null(there))
		return 0;
	if (oci_json_array(root, "history", OCI_VALUES_MAX, &list, err) < 0)
		return -1;
	c->n_history = json_array_size(list);
	c->history = arena_alloc(a, (c->n_history + 1) * sizeof(*c->history));
	for (size_t i = 0; i < c->n_history; i++) {
		const json_t *item = json_array_get(list, i);
		struct oci_history *h = &c->history[i];

		h->empty_layer = json_is_true(json_object_get(item, "empty_layer"));
		if (oci_json_text(a, item, "created", &h->created, err) < 0 ||
		    oci_json_text(a, item, "created_by", &h->created_by, err) < 0 ||
		    oci_json_text(a, item, "comment", &h->comment, err) < 0 ||
		    oci_json_text(a, item, "author", &h->author, err) < 0)
			return err_prefix(err, "'history', number %zu", i + 1);
	}
	return 0;
}

static int read_healthcheck(struct arena *a, const json_t *obj, struct oci_config *c,
			    struct err *err)
{
	const json_t *v = json_object_get(obj, "Healthcheck");
	char *text;

	if (!v || json_is_null(v))
		return 0;
	if (!json_is_object(v))
		return oci_bad(err, "'Healthcheck' is no object");
	text = json_dumps(v, JSON_COMPACT | JSON_SORT_KEYS);
	c->healthcheck = arena_strdup(a, text ? text : "{}");
	free(text);
	return 0;
}

/* How to run it: what OCI's runtime configuration calls `config`. */
static int read_run(struct arena *a, const json_t *obj, struct oci_config *c, struct err *err)
{
	const struct {
		const char *key;
		struct oci_strings *list;
	} lists[] = {
		{"Env", &c->env},         {"Entrypoint", &c->entrypoint}, {"Cmd", &c->cmd},
		{"Shell", &c->shell},     {"ExposedPorts", &c->ports},    {"Volumes", &c->volumes},
		{"OnBuild", &c->onbuild},
	};

	if (!obj || json_is_null(obj))
		return 0;
	if (!json_is_object(obj))
		return oci_bad(err, "'config' is no object");
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		if (oci_json_list(a, obj, lists[i].key, lists[i].list, err) < 0)
			return -1;
	}
	if (oci_json_text(a, obj, "User", &c->user, err) < 0 ||
	    oci_json_text(a, obj, "WorkingDir", &c->workdir, err) < 0 ||
	    oci_json_text(a, obj, "StopSignal", &c->stop_signal, err) < 0 ||
	    oci_json_pairs(a, obj, "Labels", &c->labels, err) < 0)
		return -1;
	return read_healthcheck(a, obj, c, err);
}

static int fill_config(struct arena *a, const json_t *root, struct oci_config *ret, struct err *err)
{
	struct oci_config c = {0};

	if (read_platform(a, root, &c.platform, err) < 0 ||
	    oci_json_text(a, root, "created", &c.created, err) < 0 ||
	    oci_json_text(a, root, "author", &c.author, err) < 0 ||
	    read_run(a, json_object_get(root, "config"), &c, err) < 0 ||
	    read_diff_ids(a, root, &c, err) < 0 || read_history(a, root, &c, err) < 0)
		return -1;
	*ret = c;
	return 0;
}

int oci_read_config(struct arena *a, const void *p, size_t n, struct oci_config *ret,
		    struct err *err)
{
	json_auto_t *root = NULL;

	if (oci_json(p, n, &root, err) < 0 || fill_config(a, root, ret, err) < 0)
		return err_prefix(err, "cannot use the image's config");
	return 0;
}
