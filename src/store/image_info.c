#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/blob.h"
#include "store/image.h"
#include "store/layer.h"
#include "store/layer_tree.h"
#include "store/oci_json.h"

#define BASE_HOST "host"

/* Of a history that others wrote: what fits into a line of a listing. */
#define MESSAGE_MAX 200

static int read_config(struct arena *a, const struct store *s, struct image_info *info,
		       struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (blob_read(s, info->manifest.config.digest, OCI_MAX, &b, err) < 0)
		return err_prefix(err, "the image's config");
	if (b.len != info->manifest.config.size)
		return oci_bad(err, "the image's config has %zu bytes, its manifest says %llu",
			       b.len, (unsigned long long)info->manifest.config.size);
	if (oci_read_config(a, b.p, b.len, &info->config, err) < 0)
		return -1;
	if (info->config.n_diff_ids != info->manifest.n)
		return oci_bad(err, "the image has %zu layers, but its config knows %zu",
			       info->manifest.n, info->config.n_diff_ids);
	return 0;
}

int image_info(struct arena *a, const struct store *s, const char *manifest, struct image_info *ret,
	       struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	struct image_info info = {0};
	const char *base;

	if (blob_read(s, manifest, OCI_MAX, &b, err) < 0)
		return err_prefix(err, "the image's manifest");
	if (oci_read_manifest(a, b.p ? b.p : "", b.len, &info.manifest, err) < 0 ||
	    read_config(a, s, &info, err) < 0)
		return -1;
	memcpy(info.digest, manifest, sizeof(info.digest));
	base = oci_pair(&info.manifest.annotations, OCI_NOTE_BASE);
	info.over_host = str_eq(base, BASE_HOST);
	if (info.over_host)
		info.host = oci_pair(&info.manifest.annotations, OCI_NOTE_HOST);
	*ret = info;
	return 0;
}

/* RFC 3339, without a fraction; what is none gives 0. */
int64_t image_time(const char *text)
{
	struct tm tm = {0};
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	struct tm zone = {0};
	int64_t t;

	if (!rest)
		return 0;
	t = (int64_t)timegm(&tm);
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if ((*rest == '+' || *rest == '-') && strptime(rest + 1, "%H:%M", &zone)) {
		int64_t off = (zone.tm_hour * 60 + zone.tm_min) * (int64_t)60;

		t -= *rest == '+' ? off : -off;
	}
	return t;
}

/* The first line of what made the layer. */
static const char *message(struct arena *a, const char *created_by)
{
	size_t n = created_by ? strcspn(created_by, "\n") : 0;

	if (n <= MESSAGE_MAX)
		return arena_strndup(a, created_by ? created_by : "", n);
	/* Not in the middle of a character. */
	for (n = MESSAGE_MAX; n > 0 && ((unsigned char)created_by[n] & 0xc0U) == 0x80U; n--)
		;
	return arena_printf(a, "%.*s…", (int)n, created_by);
}

/* Which entries made a layer; in `v`, which has room for them all.  How many there are. */
static size_t made_layers(const struct oci_config *c, size_t *v)
{
	size_t n = 0;

	for (size_t i = 0; i < c->n_history; i++) {
		if (!c->history[i].empty_layer)
			v[n++] = i;
	}
	return n;
}

int image_chain(struct arena *a, const struct store *s, const struct image_info *info,
		const char *map, struct chain *ret, struct err *err)
{
	const struct oci_config *c = &info->config;
	size_t *made = arena_alloc(a, (c->n_history + 1) * sizeof(*made));
	bool told = made_layers(c, made) == c->n_diff_ids;
	struct commit *v = arena_alloc(a, (c->n_diff_ids + 1) * sizeof(*v));

	for (size_t i = 0; i < c->n_diff_ids; i++) {
		const struct layer_tree t = {.store = s, .digest = c->diff_ids[i], .map = map};
		bool there = false;

		if (layer_tree_find(a, &t, &v[i].tree, &there, err) < 0)
			return -1;
		if (!there)
			return err_errno(err, ENOENT, "the layer %s for the ids '%s'",
					 c->diff_ids[i], map);
		v[i].digest = c->diff_ids[i];
		v[i].message = message(a, told ? c->history[made[i]].created_by : NULL);
		v[i].by = "image";
		v[i].created = told ? image_time(c->history[made[i]].created) : 0;
	}
	*ret = (struct chain){.v = v, .n = c->n_diff_ids};
	return 0;
}
