#include "store/layer_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/env.h"
#include "store/layer.h"
#include "store/layer_tar.h"
#include "store/unpack.h"

const char *layer_tree_name(struct arena *a, const struct layer_info *info, const char *map)
{
	return str_eq(info->map, map) ? LAYER_TREE : arena_printf(a, LAYER_TREE "-%s", map);
}

int layer_tree_find(struct arena *a, const struct layer_tree *t, const char **ret_name,
		    bool *ret_there, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct layer_info info;
	const char *name;

	if (layer_open(a, t->store, t->digest, &fd, &info, err) < 0)
		return -1;
	name = layer_tree_name(a, &info, t->map);
	*ret_name = name;
	*ret_there = faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	return 0;
}

/* Unpack the tar into the folder, and see that it was the right one. */
static int fill(const struct layer_tree *t, const struct layer_info *info, int layer_fd,
		int tree_fd, struct err *err)
{
	/* The tar of a layer holds no more than its own size says. */
	const struct untar_limits limits = {.entries = info->tar_size / TAR_BLOCK,
					    .bytes = info->tar_size};
	_cleanup_layer_tar_ struct layer_tar *tar = NULL;
	_cleanup_untar_ struct untar *u = NULL;
	char hex[DIGEST_HEX + 1];

	if (layer_tar_open(layer_fd, LAYER_TREE, &tar, err) < 0 ||
	    untar_open(layer_tar_read, tar, &limits, &u, err) < 0 ||
	    unpack(u, tree_fd, t->owners, err) < 0 || layer_tar_digest(tar, hex, err) < 0)
		return -1;
	if (!str_eq(hex, t->digest)) {
		err_set(err, "its files are not what they were: their digest is %s", hex);
		if (err)
			err->errnum = EBADMSG;
		return -1;
	}
	if (syncfs(tree_fd) < 0)
		return err_errno(err, errno, "cannot write it to the disk");
	return 0;
}

static int put(const struct layer_stage *stage, int layer_fd, const char *name, struct err *err)
{
	if (renameat(stage->fd, LAYER_TREE, layer_fd, name) < 0) {
		/* Somebody was faster, and made the very same. */
		if (errno == EEXIST || errno == ENOTEMPTY)
			return 0;
		err_errno(err, errno, "cannot rename it to '%s'", name);
		return store_hint(err);
	}
	if (fsync(layer_fd) < 0)
		return err_errno(err, errno, "cannot write it to the disk");
	return 0;
}

static int make_in(const struct layer_tree *t, const struct layer_stage *stage,
		   const struct layer_info *info, int layer_fd, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_fd_ int fd = -1;

	if (mkdirat(stage->fd, LAYER_TREE, 0755) < 0)
		return err_errno(err, errno, "cannot make a folder");
	fd = openat(stage->fd, LAYER_TREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open a folder");
	/* What shows as "/" inside, unless the tar says otherwise. */
	if (fchmod(fd, 0755) < 0 || (t->owners && fchown(fd, 0, 0) < 0))
		return err_errno(err, errno, "cannot give a folder to root");
	if (fill(t, info, layer_fd, fd, err) < 0)
		return store_hint(err);
	return put(stage, layer_fd, layer_tree_name(a, info, t->map), err);
}

int layer_tree_make(void *arg, struct err *err)
{
	const struct layer_tree *t = arg;
	_cleanup_arena_ struct arena *a = arena_new();
	__attribute__((cleanup(layer_stage_done))) struct layer_stage stage = {.fd = -1};
	_cleanup_fd_ int fd = -1;
	const char *name;
	struct layer_info info;
	struct err ignored = {0};
	bool there = false;
	int r;

	if (layer_tree_find(a, t, &name, &there, err) < 0)
		return -1;
	if (there)
		return 0;
	if (layer_open(a, t->store, t->digest, &fd, &info, err) < 0 ||
	    layer_stage_make(a, t->store, &stage, err) < 0)
		return -1;
	r = make_in(t, &stage, &info, fd, err);
	if (r < 0)
		err_prefix(err, "cannot unpack the layer %s for the ids '%s'", t->digest, t->map);
	(void)fs_remove_tree_at(t->store->fd, arena_printf(a, "tmp/%s", stage.name), &ignored);
	return r;
}
