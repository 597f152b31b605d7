#include "store/layer_proof.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "store/blob.h"
#include "store/form.h"
#include "store/inflate.h"
#include "store/layer_load.h"

static bool is_known(struct arena *a, const struct store *s, const char *blob, const char *diff_id)
{
	struct form *v = NULL;
	size_t n = 0;

	if (form_list(a, s, diff_id, &v, &n, NULL) < 0)
		return false;
	for (size_t i = 0; i < n; i++)
		if (strcmp(v[i].digest, blob) == 0)
			return true;
	return false;
}

struct reading {
	int fd; /* borrowed */
	struct digest *blob;
};

static ssize_t read_blob(void *ctx, void *p, size_t n, struct err *err)
{
	const struct reading *r = ctx;
	ssize_t got = read(r->fd, p, n);

	if (got < 0)
		return err_errno(err, errno, "cannot read the blob");
	digest_add(r->blob, p, (size_t)got);
	return got;
}

/* The digests of its bytes, and of what they become; no more of that than a layer may have. */
static int hash(int fd, uint64_t size, char ret_blob[DIGEST_HEX + 1], char ret_tar[DIGEST_HEX + 1],
		struct err *err)
{
	struct reading r = {.fd = fd, .blob = digest_new()};
	_cleanup_inflate_ struct inflate *f = inflate_new(read_blob, &r);
	uint64_t left = layer_load_limits(size).bytes;
	struct digest *tar = digest_new();
	char part[65536];
	ssize_t n;

	while ((n = inflate_read(f, part, sizeof(part), err)) > 0 && (uint64_t)n <= left) {
		digest_add(tar, part, (size_t)n);
		left -= (uint64_t)n;
	}
	digest_end(r.blob, ret_blob);
	digest_end(tar, ret_tar);
	if (n < 0)
		return -1;
	return n == 0 ? 0 : err_errno(err, EFBIG, "it becomes too large");
}

int layer_proof(struct arena *a, const struct store *s, const struct oci_descriptor *blob,
		const char *diff_id, struct err *err)
{
	struct form form = {.size = blob->size, .media_type = blob->media_type};
	_cleanup_fd_ int fd = -1;
	char made[DIGEST_HEX + 1];
	char tar[DIGEST_HEX + 1];
	uint64_t size;

	if (is_known(a, s, blob->digest, diff_id))
		return 0;
	if (blob_open(s, blob->digest, &fd, &size, err) < 0)
		return -1;
	if (hash(fd, size, made, tar, err) < 0)
		return err_prefix(err, "the blob sha256:%s", blob->digest);
	if (strcmp(made, blob->digest) != 0 || strcmp(tar, diff_id) != 0) {
		err_set(err, "the blob sha256:%s is not the layer sha256:%s", blob->digest,
			diff_id);
		if (err)
			err->errnum = EBADMSG;
		return -1;
	}
	memcpy(form.digest, blob->digest, sizeof(form.digest));
	/* A help, no more: else it is looked at again. */
	(void)form_add(a, s, diff_id, &form, NULL, NULL);
	return 0;
}
