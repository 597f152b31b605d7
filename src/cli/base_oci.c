/* An image layout (OCI's, a folder) as a base: what of it is not there yet is copied into the store. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/base.h"
#include "store/blob.h"
#include "store/layer.h"
#include "store/layer_proof.h"

struct layout {
	const struct base_source *src;
	int dir;
};

static int open_blob(const struct layout *l, const char *hex, int *ret_fd, struct err *err)
{
	_cleanup_free_ char *name = xasprintf("blobs/sha256/%s", hex);
	_cleanup_fd_ int fd = -1;
	struct stat st;

	if (fs_open_beneath(l->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0, &fd,
			    err) < 0)
		return -1;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, "'%s' is no file", name);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/*
 * The store has it: does the layout, too?  Where nobody allowed the user's own images, a digest alone is not enough to
 * have one of them.
 */
static int check_blob(const struct layout *l, const struct oci_descriptor *d, struct err *err)
{
	struct digest *digest;
	_cleanup_fd_ int fd = -1;
	char made[DIGEST_HEX + 1];
	char part[65536];
	ssize_t n;

	if (l->src->allowed)
		return 0;
	if (open_blob(l, d->digest, &fd, err) < 0)
		return -1;
	digest = digest_new();
	while ((n = read(fd, part, sizeof(part))) > 0)
		digest_add(digest, part, (size_t)n);
	digest_end(digest, made);
	if (n < 0)
		return err_errno(err, errno, "cannot read 'blobs/sha256/%s'", d->digest);
	return strcmp(made, d->digest) == 0
		       ? 0
		       : err_set(err, "'blobs/sha256/%s' has the digest %s", d->digest, made);
}

static int copy_blob(const struct layout *l, const struct oci_descriptor *d, struct err *err)
{
	_cleanup_blob_ struct blob_writer *w = NULL;
	struct blob_writer *done;
	char made[DIGEST_HEX + 1];
	char part[65536];
	_cleanup_fd_ int fd = -1;
	uint64_t left = d->size;
	ssize_t n = 1;

	if (pin_add(l->src->pin, d->digest, err) < 0)
		return -1;
	if (blob_has(l->src->store, d->digest))
		return check_blob(l, d, err);
	if (open_blob(l, d->digest, &fd, err) < 0 || blob_create(l->src->store, &w, err) < 0)
		return -1;
	/* One byte more than there should be is enough to tell that it is another. */
	while (n > 0 && left != UINT64_MAX) {
		n = read(fd, part, sizeof(part));
		if (n < 0)
			return err_errno(err, errno, "cannot read 'blobs/sha256/%s'", d->digest);
		left -= (uint64_t)n;
		if (left > d->size)
			left = UINT64_MAX;
		if (n > 0 && blob_write(w, part, (size_t)n, err) < 0)
			return -1;
	}
	/* It ends the writer in either case. */
	done = w;
	w = NULL;
	return blob_finish(done, d->digest, d->size, made, err);
}

/* Of the index, or one in it: one of that name, else the only one, else the one for this machine. */
static int choose(const struct layout *l, const struct oci_index *index,
		  const struct oci_descriptor **ret, struct err *err)
{
	const struct oci_platform here = oci_platform_here();

	for (size_t i = 0; l->src->tag && i < index->n; i++) {
		const char *name = oci_pair(&index->manifests[i].annotations, OCI_NOTE_REF);

		if (str_eq(name, l->src->tag)) {
			*ret = &index->manifests[i];
			return 0;
		}
	}
	if (l->src->tag) {
		err_set(err, "it has no image '%s'", l->src->tag);
		(void)err_hint(err, "skopeo list-tags oci:%s shows those that it has",
			       l->src->path);
		return -1;
	}
	if (index->n == 1) {
		*ret = &index->manifests[0];
		return 0;
	}
	return oci_choose(index, &here, ret, err);
}

static int read_blob(struct arena *a, const struct layout *l, const struct oci_descriptor *d,
		     struct buf *ret, struct err *err)
{
	(void)a;
	if (d->size > OCI_MAX)
		return err_set(err, "'%s' is too large for a manifest", d->digest);
	return copy_blob(l, d, err) < 0 ? -1
					: blob_read(l->src->store, d->digest, OCI_MAX, ret, err);
}

/* The manifest that is meant: an index may name another index, for the machines it is for. */
static int find_manifest(struct arena *a, const struct layout *l, struct oci_descriptor *ret,
			 struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	const struct oci_platform here = oci_platform_here();
	const struct oci_descriptor *found = NULL;
	_cleanup_buf_ struct buf inner = {0};
	struct oci_index index;
	enum oci_kind kind;

	if (fs_read_at(l->dir, "index.json", OCI_MAX, &text, err) < 0 ||
	    oci_read_index(a, text.p ? text.p : "", text.len, &index, err) < 0 ||
	    choose(l, &index, &found, err) < 0)
		return -1;
	*ret = *found;
	if (read_blob(a, l, found, &inner, err) < 0 ||
	    oci_kind(inner.p, inner.len, found->media_type, &kind, err) < 0)
		return -1;
	if (kind == OCI_IS_MANIFEST)
		return 0;
	if (oci_read_index(a, inner.p, inner.len, &index, err) < 0 ||
	    oci_choose(&index, &here, &found, err) < 0)
		return -1;
	*ret = *found;
	return 0;
}

static bool is_named(struct arena *a, const struct base_source *src, const char *manifest)
{
	struct image image;
	struct err why = {0};

	return image_get(a, src->store, src->name, &image, &why) == 0 &&
	       strcmp(image.manifest, manifest) == 0;
}

/* What nobody unpacks, since the store has that layer, is it all the same. */
static int check_layers(struct arena *a, const struct layout *l, const struct image_info *info,
			struct err *err)
{
	for (size_t i = 0; i < info->manifest.n; i++) {
		const char *diff_id = info->config.diff_ids[i];

		if (!l->src->allowed && layer_has(a, l->src->store, diff_id) &&
		    layer_proof(a, l->src->store, &info->manifest.layers[i], diff_id, err) < 0)
			return -1;
	}
	return 0;
}

static int copy_image(struct arena *a, const struct layout *l, const struct oci_descriptor *d,
		      struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	struct oci_manifest m;
	struct image_info info;

	if (read_blob(a, l, d, &text, err) < 0 ||
	    oci_read_manifest(a, text.p, text.len, &m, err) < 0 || copy_blob(l, &m.config, err) < 0)
		return -1;
	for (size_t i = 0; i < m.n; i++)
		if (copy_blob(l, &m.layers[i], err) < 0)
			return -1;
	if (image_info(a, l->src->store, d->digest, &info, err) < 0)
		return -1;
	return check_layers(a, l, &info, err);
}

int base_read_oci(struct arena *a, const struct base_source *src, char ret_manifest[DIGEST_HEX + 1],
		  struct err *err)
{
	struct image image = {.ref = src->name, .created = (int64_t)time(NULL), .source = "oci"};
	_cleanup_fd_ int dir = -1;
	struct layout l = {.src = src};
	struct oci_descriptor d;

	if (base_open(src, O_DIRECTORY, &dir, err) < 0)
		return -1;
	l.dir = dir;
	if (find_manifest(a, &l, &d, err) < 0)
		return err_prefix(err, "cannot use '%s' as an image", src->path);
	if (!is_named(a, src, d.digest)) {
		if (copy_image(a, &l, &d, err) < 0)
			return err_prefix(err, "cannot use '%s' as an image", src->path);
		memcpy(image.manifest, d.digest, sizeof(image.manifest));
		if (image_put(src->store, &image, err) < 0)
			return -1;
	}
	memcpy(ret_manifest, d.digest, DIGEST_HEX + 1);
	return 0;
}
