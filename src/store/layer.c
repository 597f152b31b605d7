#include "store/layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/env.h"
#include "store/record.h"
#include "store/stage.h"

#define INFO_VERSION 1
#define INFO_FILE "layer.json"

bool layer_is_digest(const char *s)
{
	return strlen(s) == DIGEST_HEX && s[strspn(s, "0123456789abcdef")] == '\0';
}

static int bad_info(const char *digest, struct err *err)
{
	err_set(err, "cannot read layers/%s/%s: a value is missing or wrong", digest, INFO_FILE);
	if (err)
		err->errnum = EBADMSG;
	return err_hint(err, "'sbx fsck' looks at the whole store");
}

static bool get_count(const json_t *obj, const char *key, uint64_t *ret)
{
	const json_t *v = json_object_get(obj, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(v);
	return true;
}

static int read_info(struct arena *a, int fd, const char *digest, struct layer_info *ret,
		     struct err *err)
{
	json_auto_t *obj = NULL;
	struct layer_info info = {0};
	const json_t *created;

	if (record_load(fd, INFO_FILE, INFO_VERSION, &obj, err) < 0)
		return err_prefix(err, "layer %s", digest);
	created = json_object_get(obj, "created");
	info.map = record_get_bytes(a, obj, "map");
	info.host = record_get_bytes(a, obj, "host");
	info.created = json_integer_value(created);
	if (!info.map || !json_is_integer(created) || !get_count(obj, "entries", &info.entries) ||
	    !get_count(obj, "bytes", &info.bytes) || !get_count(obj, "tarSize", &info.tar_size) ||
	    !str_eq(json_string_value(json_object_get(obj, "digest")), digest))
		return bad_info(digest, err);
	memcpy(info.digest, digest, DIGEST_HEX + 1);
	*ret = info;
	return 0;
}

int layer_open(struct arena *a, const struct store *s, const char *digest, int *ret_fd,
	       struct layer_info *ret, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct err why = {0};

	if (!layer_is_digest(digest))
		return err_set(err, "'%s' is not the digest of a layer", digest);
	if (fs_open_beneath(s->fd, arena_printf(a, "layers/%s", digest),
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, &fd, &why) < 0) {
		err_errno(err, why.errnum, "cannot open the layer %s", digest);
		return why.errnum == ENOENT ? err_hint(err, "'sbx fsck' tells what needs it") : -1;
	}
	if (ret && read_info(a, fd, digest, ret, err) < 0)
		return -1;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

bool layer_has(struct arena *a, const struct store *s, const char *digest)
{
	_cleanup_fd_ int fd = -1;

	return layer_open(a, s, digest, &fd, NULL, NULL) == 0;
}

int layer_open_tree(struct arena *a, const struct store *s, const char *digest, const char *tree,
		    int *ret_fd, struct err *err)
{
	_cleanup_fd_ int layer = -1;
	_cleanup_fd_ int fd = -1;

	if (layer_open(a, s, digest, &layer, NULL, err) < 0)
		return -1;
	fd = openat(layer, tree, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open '%s' of the layer %s", tree, digest);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static int compare_names(const void *x, const void *y)
{
	const char *const *a = x;
	const char *const *b = y;

	return strcmp(*a, *b);
}

int layer_list(struct arena *a, const struct store *s, char ***ret, size_t *ret_n, struct err *err)
{
	_cleanup_fd_ int fd = openat(s->fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = NULL;
	const struct dirent *entry;
	struct strv names = {0};

	if (fd < 0 || !(d = fdopendir(fd)))
		return err_errno(err, errno, "cannot list '%s/layers'", s->dir);
	(void)TAKE_FD(fd);
	while ((errno = 0, entry = readdir(d)) != NULL) {
		if (layer_is_digest(entry->d_name))
			strv_push(a, &names, entry->d_name);
	}
	if (errno)
		return err_errno(err, errno, "cannot list '%s/layers'", s->dir);
	if (names.n > 0)
		qsort(names.v, names.n, sizeof(*names.v), compare_names);
	*ret = names.v;
	*ret_n = names.n;
	return 0;
}

int layer_stage_make(struct arena *a, const struct store *s, struct layer_stage *ret,
		     struct err *err)
{
	char name[STAGE_NAME];

	if (stage_make(s, "layer", name, &ret->fd, err) < 0)
		return -1;
	ret->name = arena_strdup(a, name);
	return 0;
}

void layer_stage_done(struct layer_stage *st)
{
	if (!st || !st->name)
		return;
	cleanup_fd(&st->fd);
	st->name = NULL;
}

int layer_stage_tree(const struct layer_stage *st, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (mkdirat(st->fd, LAYER_TREE, 0755) < 0)
		return err_errno(err, errno, "cannot make the layer's tree");
	fd = openat(st->fd, LAYER_TREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchmod(fd, 0755) < 0)
		return err_errno(err, errno, "cannot open the layer's tree");
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void layer_stage_remove(const struct store *s, const struct layer_stage *st)
{
	_cleanup_fd_ int tmp_fd = openat(s->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (tmp_fd >= 0)
		(void)fs_remove_tree_at(tmp_fd, st->name, NULL);
}

int layer_stage_info(const struct layer_stage *st, const struct layer_info *info, struct err *err)
{
	json_auto_t *obj = json_object();

	json_object_set_new(obj, "digest", json_string(info->digest));
	json_object_set_new(obj, "map", record_bytes(info->map));
	json_object_set_new(obj, "created", json_integer(info->created));
	json_object_set_new(obj, "entries", json_integer((json_int_t)info->entries));
	json_object_set_new(obj, "bytes", json_integer((json_int_t)info->bytes));
	json_object_set_new(obj, "tarSize", json_integer((json_int_t)info->tar_size));
	if (info->host)
		json_object_set_new(obj, "host", record_bytes(info->host));
	return record_save(st->fd, INFO_FILE, INFO_VERSION, obj, err);
}

int layer_publish(const struct store *s, const struct layer_stage *st, const char *digest,
		  bool *ret_new, struct err *err)
{
	_cleanup_fd_ int tmp_fd = openat(s->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int layers_fd = openat(s->fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool fresh = true;

	if (tmp_fd < 0 || layers_fd < 0)
		return err_errno(err, errno, "cannot open '%s'", s->dir);
	/* A folder that holds something is not replaced by rename(2) anyway; it works on NFS too. */
	if (fsync(st->fd) < 0)
		return err_errno(err, errno, "cannot write the layer %s to the disk", digest);
	if (renameat(tmp_fd, st->name, layers_fd, digest) < 0) {
		if (errno != EEXIST && errno != ENOTEMPTY) {
			err_errno(err, errno, "cannot put the layer %s into the store", digest);
			return store_hint(err);
		}
		fresh = false;
	}
	if (fresh && (fsync(layers_fd) < 0 || fsync(tmp_fd) < 0))
		return err_errno(err, errno, "cannot write the layer %s to the disk", digest);
	*ret_new = fresh;
	return 0;
}

int layer_lock(const struct store *s, bool exclusive, int *ret_fd, struct err *err)
{
	return fs_lock_at(s->fd, "lock", exclusive, -1, ret_fd, err);
}
