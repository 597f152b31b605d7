#include "store/layer_tar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/layer.h"
#include "store/skeleton.h"

#define BLOCK ((size_t)256 << 10)

struct layer_tar {
	int tree;
	struct skeleton_reader *skeleton;
	struct digest *digest;
};

int layer_tar_open(int layer_fd, const char *tree, struct layer_tar **ret, struct err *err)
{
	_cleanup_layer_tar_ struct layer_tar *t = xcalloc(1, sizeof(*t));

	t->tree = openat(layer_fd, tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (t->tree < 0)
		return err_errno(err, errno, "cannot open the layer's folder '%s'", tree);
	t->digest = digest_new_beside();
	if (skeleton_open(layer_fd, LAYER_SKELETON, t->tree, &t->skeleton, err) < 0)
		return -1;
	*ret = TAKE_PTR(t);
	return 0;
}

ssize_t layer_tar_read(void *ctx, void *p, size_t n, struct err *err)
{
	struct layer_tar *t = ctx;
	ssize_t got = skeleton_read(t->skeleton, p, n, err);

	if (got > 0)
		digest_add(t->digest, p, (size_t)got);
	return got;
}

int layer_tar_digest(struct layer_tar *t, char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	_cleanup_free_ char *block = xmalloc(BLOCK);
	ssize_t n;

	do
		n = layer_tar_read(t, block, BLOCK, err);
	while (n > 0);
	if (n < 0)
		return -1;
	digest_end(t->digest, ret_hex);
	t->digest = NULL;
	return 0;
}

void layer_tar_close(struct layer_tar **t)
{
	if (!*t)
		return;
	cleanup_fd(&(*t)->tree);
	skeleton_close(&(*t)->skeleton);
	digest_free(&(*t)->digest);
	free(*t);
	*t = NULL;
}
