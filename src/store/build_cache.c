#include "store/build_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/env.h"
#include "store/layer.h"
#include "store/record.h"

#define FOLDER "cache"
#define VERSION 1

static int open_folder(const struct store *s, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (mkdirat(s->fd, FOLDER, 0700) < 0 && errno != EEXIST) {
		err_errno(err, errno, "cannot make '%s/%s'", s->dir, FOLDER);
		return store_hint(err);
	}
	fd = openat(s->fd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open '%s/%s'", s->dir, FOLDER);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

static void file_name(const char *key, char ret[DIGEST_HEX + sizeof(".json")])
{
	(void)snprintf(ret, DIGEST_HEX + sizeof(".json"), "%.*s.json", DIGEST_HEX, key);
}

static int read_record(int fd, const char *key, struct build_cached *ret, struct err *err)
{
	struct build_cached c = {0};
	char name[DIGEST_HEX + sizeof(".json")];
	const char *layer;
	json_t *root;
	bool good;

	file_name(key, name);
	if (record_load(fd, name, VERSION, &root, err) < 0)
		return -1;
	layer = json_string_value(json_object_get(root, "layer"));
	good = layer && (!*layer || layer_is_digest(layer));
	if (good)
		memcpy(c.layer, layer, strlen(layer));
	c.created = json_integer_value(json_object_get(root, "created"));
	json_decref(root);
	if (!good)
		return err_errno(err, EBADMSG, "cannot use '%s/%s': it names no layer", FOLDER,
				 name);
	memcpy(c.key, key, DIGEST_HEX);
	*ret = c;
	return 0;
}

int build_cache_get(const struct store *s, const char *key, struct build_cached *ret,
		    struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (open_folder(s, &fd, err) < 0)
		return -1;
	if (read_record(fd, key, ret, err) == 0)
		return 0;
	if (err && err->errnum == EBADMSG)
		err->errnum = ENOENT;
	return -1;
}

int build_cache_put(const struct store *s, const struct build_cached *c, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	char name[DIGEST_HEX + sizeof(".json")];
	json_t *root;
	int r;

	if (open_folder(s, &fd, err) < 0)
		return -1;
	root = json_pack("{s:s, s:I}", "layer", c->layer, "created", (json_int_t)c->created);
	if (!root)
		return err_errno(err, ENOMEM, "cannot write the build cache");
	file_name(c->key, name);
	r = record_save(fd, name, VERSION, root, err);
	json_decref(root);
	return r < 0 ? store_hint(err) : 0;
}

static int compare(const void *x, const void *y)
{
	const struct build_cached *a = x;
	const struct build_cached *b = y;

	return strcmp(a->key, b->key);
}

struct listed {
	struct build_cached *v;
	size_t n, cap;
};

/* The record of that file name, if it is one that can be read. */
static void list_one(struct arena *a, int fd, const char *name, struct listed *l)
{
	char *key = arena_strdup(a, name);
	struct build_cached c;
	struct err why = {0};

	if (!str_ends(key, ".json"))
		return;
	key[strlen(key) - strlen(".json")] = '\0';
	if (!layer_is_digest(key) || read_record(fd, key, &c, &why) < 0)
		return;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		struct build_cached *more = arena_alloc(a, cap * sizeof(*more));

		if (l->n > 0)
			memcpy(more, l->v, l->n * sizeof(*more));
		l->v = more;
		l->cap = cap;
	}
	l->v[l->n++] = c;
}

int build_cache_list(struct arena *a, const struct store *s, struct build_cached **ret,
		     size_t *ret_n, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_fd_ int list_fd = -1;
	_cleanup_dir_ DIR *d = NULL;
	struct listed l = {0};
	const struct dirent *entry;

	if (open_folder(s, &fd, err) < 0)
		return -1;
	list_fd = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = list_fd < 0 ? NULL : fdopendir(list_fd);
	if (!d)
		return err_errno(err, errno, "cannot list '%s/%s'", s->dir, FOLDER);
	(void)TAKE_FD(list_fd);
	while ((errno = 0, entry = readdir(d)) != NULL)
		list_one(a, fd, entry->d_name, &l);
	if (errno)
		return err_errno(err, errno, "cannot list '%s/%s'", s->dir, FOLDER);
	if (l.n > 0)
		qsort(l.v, l.n, sizeof(*l.v), compare);
	*ret = l.v;
	*ret_n = l.n;
	return 0;
}

int build_cache_delete(const struct store *s, const char *key, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	char name[DIGEST_HEX + sizeof(".json")];

	if (open_folder(s, &fd, err) < 0)
		return -1;
	file_name(key, name);
	if (unlinkat(fd, name, 0) < 0 && errno != ENOENT)
		return err_errno(err, errno, "cannot remove '%s/%s'", FOLDER, name);
	return 0;
}
