#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/blob.h"
#include "store/image.h"

static const char default_path[] =
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/* What an image has of which nobody said more: every system has this shell. */
static void default_config(struct arena *a, struct oci_config *c)
{
	const char **cmd = arena_alloc(a, 2 * sizeof(*cmd));
	const char **env = arena_alloc(a, 2 * sizeof(*env));

	cmd[0] = "/bin/sh";
	env[0] = default_path;
	*c = (struct oci_config){
		.platform = oci_platform_here(),
		.cmd = {.v = cmd, .n = 1, .set = true},
		.env = {.v = env, .n = 1, .set = true},
	};
}

static const char *time_text(struct arena *a, int64_t t)
{
	char text[32] = "1970-01-01T00:00:00Z";
	time_t at = (time_t)t;
	struct tm tm;

	if (gmtime_r(&at, &tm))
		(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return arena_strdup(a, text);
}

static size_t count_made(const struct oci_config *c)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_history; i++)
		n += !c->history[i].empty_layer;
	return n;
}

/*
 * The history that `c` brings tells of the lowest layers, if it tells of as many as there are; the others'
 * are the messages of their commits.
 */
static void put_history(struct arena *a, const struct image_make *in, struct oci_config *c)
{
	const struct chain *chain = in->chain;
	size_t made = count_made(c);
	size_t kept = c->n_history;
	struct oci_history *v;

	if (made > chain->n || (!in->config && made != (in->from ? in->n_from : 0))) {
		made = 0;
		kept = 0;
	}
	v = arena_alloc(a, (kept + chain->n + 1) * sizeof(*v));
	if (kept > 0)
		memcpy(v, c->history, kept * sizeof(*v));
	for (size_t i = made; i < chain->n; i++) {
		const struct commit *l = &chain->v[i];
		int64_t at = l->created < in->created ? l->created : in->created;

		v[kept++] = (struct oci_history){
			.created = time_text(a, at),
			.created_by = l->message[0] ? l->message : l->by,
		};
	}
	c->history = v;
	c->n_history = kept;
}

/* What docker calls the same otherwise. */
static const char *oci_type(const char *media_type)
{
	static const char *const same[][2] = {
		{"application/vnd.docker.image.rootfs.diff.tar",
		 "application/vnd.oci.image.layer.v1.tar"},
		{"application/vnd.docker.image.rootfs.diff.tar.gzip",
		 "application/vnd.oci.image.layer.v1.tar+gzip"},
		{"application/vnd.docker.image.rootfs.diff.tar.zstd",
		 "application/vnd.oci.image.layer.v1.tar+zstd"},
		{"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
		 "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"},
	};

	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		if (str_eq(media_type, same[i][0]))
			return same[i][1];
	}
	return media_type;
}

static int write_config(struct arena *a, const struct store *s, const struct image_make *in,
			struct oci_descriptor *ret, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct oci_config c;

	if (in->config)
		c = *in->config;
	else if (in->from)
		c = in->from->config;
	else
		default_config(a, &c);
	c.created = time_text(a, in->created);
	c.n_diff_ids = in->chain->n;
	c.diff_ids = arena_alloc(a, (c.n_diff_ids + 1) * sizeof(*c.diff_ids));
	for (size_t i = 0; i < c.n_diff_ids; i++)
		memcpy(c.diff_ids[i], in->chain->v[i].digest, sizeof(c.diff_ids[i]));
	put_history(a, in, &c);
	oci_write_config(&c, &b);
	*ret = (struct oci_descriptor){.media_type = OCI_MEDIA_CONFIG, .size = b.len};
	return blob_put(s, b.p, b.len, ret->digest, err);
}

int image_make(struct arena *a, const struct store *s, const struct image_make *in,
	       char ret_manifest[DIGEST_HEX + 1], struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct oci_manifest m = {
		.media_type = OCI_MEDIA_MANIFEST,
		.n = in->chain->n,
		.annotations = in->annotations,
	};

	if (m.n > OCI_LAYERS_MAX)
		return err_errno(err, E2BIG,
				 "cannot make an image of %zu layers, for at most %u are read", m.n,
				 OCI_LAYERS_MAX);
	m.layers = arena_alloc(a, (m.n + 1) * sizeof(*m.layers));
	for (size_t i = 0; i < m.n; i++) {
		m.layers[i] = in->layers[i];
		m.layers[i].media_type = oci_type(in->layers[i].media_type);
	}
	if (write_config(a, s, in, &m.config, err) < 0)
		return -1;
	oci_write_manifest(&m, &b);
	if (b.len > OCI_MAX)
		return err_errno(err, E2BIG, "cannot make the image's manifest: %zu bytes", b.len);
	return blob_put(s, b.p, b.len, ret_manifest, err);
}
