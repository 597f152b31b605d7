#include "store/tag.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/env_record.h"
#include "store/record.h"

#define TAG_VERSION 1
#define TAG_NAME_MAX 64
#define SUFFIX ".json"

static bool is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool is_name(const char *name)
{
	size_t n = strlen(name);
	bool good = n > 0 && n <= TAG_NAME_MAX && is_alnum(name[0]);

	for (size_t i = 0; i < n && good; i++)
		good = is_alnum(name[i]) || strchr("._-", name[i]);
	return good && strcmp(name, "base") != 0;
}

int tag_check_name(const char *name, struct err *err)
{
	if (is_name(name))
		return 0;
	err_kind(err, ERR_USAGE, "cannot use '%s' as a tag", name);
	return err_hint(
		err,
		"use at most %d letters, digits, '.', '_' and '-', a letter or digit first; "
		"'base' is taken",
		TAG_NAME_MAX);
}

static int open_tags(const struct store *s, int *ret_fd, struct err *err)
{
	*ret_fd = openat(s->fd, "tags", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd < 0)
		return err_errno(err, errno, "cannot open '%s/tags'", s->dir);
	return 0;
}

int tag_put(const struct store *s, const struct tag *tag, struct err *err)
{
	_cleanup_free_ char *file = xasprintf("%s" SUFFIX, tag->name);
	json_auto_t *obj = json_object();
	_cleanup_fd_ int fd = -1;

	if (tag_check_name(tag->name, err) < 0 || open_tags(s, &fd, err) < 0)
		return -1;
	json_object_set_new(obj, "base", record_bytes(tag->base));
	json_object_set_new(obj, "project", record_bytes(tag->project));
	json_object_set_new(obj, "created", json_integer(tag->created));
	json_object_set_new(obj, "chain", chain_to_json(&tag->chain));
	if (record_save(fd, file, TAG_VERSION, obj, err) == 0)
		return 0;
	err_prefix(err, "tag '%s'", tag->name);
	return store_hint(err);
}

static int read_tag(struct arena *a, int fd, const char *name, struct tag *ret, struct err *err)
{
	json_auto_t *obj = NULL;
	const json_t *created;

	if (record_load(fd, arena_printf(a, "%s" SUFFIX, name), TAG_VERSION, &obj, err) < 0)
		return err_prefix(err, "tag '%s'", name);
	created = json_object_get(obj, "created");
	*ret = (struct tag){
		.name = arena_strdup(a, name),
		.base = record_get_bytes(a, obj, "base"),
		.project = record_get_bytes(a, obj, "project"),
		.created = json_integer_value(created),
	};
	if (ret->base && ret->project && json_is_integer(created) &&
	    chain_from_json(a, json_object_get(obj, "chain"), &ret->chain) == 0)
		return 0;
	err_set(err, "cannot read the tag '%s': a value is missing or wrong", name);
	if (err)
		err->errnum = EBADMSG;
	return err_hint(err, "make it again, or remove it: sbx tag -d %s", name);
}

int tag_get(struct arena *a, const struct store *s, const char *name, struct tag *ret,
	    struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct err why = {0};

	if (tag_check_name(name, err) < 0 || open_tags(s, &fd, err) < 0)
		return -1;
	if (read_tag(a, fd, name, ret, &why) == 0)
		return 0;
	if (why.errnum == ENOENT) {
		err_errno(err, ENOENT, "no tag '%s'", name);
		return err_hint(err, "'sbx tag' lists them");
	}
	if (err)
		*err = why;
	return -1;
}

int tag_delete(const struct store *s, const char *name, struct err *err)
{
	_cleanup_free_ char *file = xasprintf("%s" SUFFIX, name);
	_cleanup_fd_ int fd = -1;

	if (tag_check_name(name, err) < 0 || open_tags(s, &fd, err) < 0)
		return -1;
	if (unlinkat(fd, file, 0) < 0) {
		err_errno(err, errno, "cannot remove the tag '%s'", name);
		return errno == ENOENT ? err_hint(err, "'sbx tag' lists them") : store_hint(err);
	}
	if (fsync(fd) < 0)
		return err_errno(err, errno, "cannot sync '%s/tags'", s->dir);
	return 0;
}

/* The names of all of them, in any order. */
static int list_names(struct arena *a, const struct store *s, struct strv *ret, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_dir_ DIR *d = NULL;
	const struct dirent *entry;

	if (open_tags(s, &fd, err) < 0)
		return -1;
	d = fdopendir(fd);
	if (!d)
		return err_errno(err, errno, "cannot list '%s/tags'", s->dir);
	(void)TAKE_FD(fd);
	while ((errno = 0, entry = readdir(d)) != NULL) {
		size_t n = strlen(entry->d_name);
		char *name;

		if (!str_ends(entry->d_name, SUFFIX))
			continue;
		name = arena_strndup(a, entry->d_name, n - (sizeof(SUFFIX) - 1));
		if (is_name(name))
			strv_push(a, ret, name);
	}
	return errno ? err_errno(err, errno, "cannot list '%s/tags'", s->dir) : 0;
}

static int compare_tags(const void *x, const void *y)
{
	const struct tag *a = x;
	const struct tag *b = y;

	return strcmp(a->name, b->name);
}

int tag_list(struct arena *a, const struct store *s, struct tag **ret, size_t *ret_n,
	     size_t *ret_damaged, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	struct strv names = {0};
	struct tag *v;
	size_t n = 0;

	*ret_damaged = 0;
	if (list_names(a, s, &names, err) < 0 || open_tags(s, &fd, err) < 0)
		return -1;
	v = arena_alloc(a, (names.n + 1) * sizeof(*v));
	for (size_t i = 0; i < names.n; i++) {
		struct err why = {0};

		if (read_tag(a, fd, names.v[i], &v[n], &why) == 0) {
			n++;
		} else if (why.errnum != ENOENT) {
			/* ENOENT: removed since the listing. */
			log_warn("left out: %s", why.msg);
			(*ret_damaged)++;
		}
	}
	if (n > 0)
		qsort(v, n, sizeof(*v), compare_tags);
	*ret = v;
	*ret_n = n;
	return 0;
}
