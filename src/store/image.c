#include "store/image.h"

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
#include "store/layer.h"
#include "store/record.h"

#define IMAGE_VERSION 1
#define SUFFIX ".json"
/* With its suffix, and beside ".NAME.RANDOM.tmp", a file's name has at most 255 bytes. */
#define ENCODED_MAX 200

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       strchr("._-:@", c);
}

/* The name of its file: percent-encoded, or by its digest where that would be too long. */
static char *file_of(struct arena *a, const char *ref)
{
	_cleanup_buf_ struct buf b = {0};
	char hex[DIGEST_HEX + 1];

	for (const char *p = ref; *p; p++) {
		if (is_plain(*p) && (p > ref || *p != '.'))
			buf_add(&b, p, 1);
		else
			buf_printf(&b, "%%%02X", (unsigned char)*p);
	}
	if (b.len <= ENCODED_MAX)
		return arena_printf(a, "%s" SUFFIX, b.p ? b.p : "%");
	digest_sha256(ref, strlen(ref), hex);
	return arena_printf(a, "%.100s%%%s" SUFFIX, b.p, hex);
}

static int open_images(const struct store *s, int *ret_fd, struct err *err)
{
	*ret_fd = openat(s->fd, "images", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (*ret_fd < 0)
		return err_errno(err, errno, "cannot open '%s/images'", s->dir);
	return 0;
}

int image_put(const struct store *s, const struct image *image, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	json_auto_t *obj = json_object();
	_cleanup_fd_ int fd = -1;

	if (open_images(s, &fd, err) < 0)
		return -1;
	json_object_set_new(obj, "ref", record_bytes(image->ref));
	json_object_set_new(obj, "manifest", json_string(image->manifest));
	json_object_set_new(obj, "created", json_integer(image->created));
	json_object_set_new(obj, "source", record_bytes(image->source));
	if (record_save(fd, file_of(a, image->ref), IMAGE_VERSION, obj, err) == 0)
		return 0;
	err_prefix(err, "image '%s'", image->ref);
	return store_hint(err);
}

static int read_image(struct arena *a, int fd, const char *file, struct image *ret, struct err *err)
{
	json_auto_t *obj = NULL;
	const json_t *created;
	const char *manifest;
	struct image image;

	if (record_load(fd, file, IMAGE_VERSION, &obj, err) < 0)
		return err_prefix(err, "image '%s'", file);
	created = json_object_get(obj, "created");
	manifest = json_string_value(json_object_get(obj, "manifest"));
	image = (struct image){
		.ref = record_get_bytes(a, obj, "ref"),
		.created = json_integer_value(created),
		.source = record_get_bytes(a, obj, "source"),
	};
	if (!image.ref || !image.source || !json_is_integer(created) || !manifest ||
	    !layer_is_digest(manifest) || !str_eq(file_of(a, image.ref), file)) {
		err_set(err, "cannot read the image '%s': a value is missing or wrong", file);
		if (err)
			err->errnum = EBADMSG;
		return err_hint(err, "get the image again, or remove the file from 'images' in "
				     "the store");
	}
	memcpy(image.manifest, manifest, sizeof(image.manifest));
	*ret = image;
	return 0;
}

int image_get_file(struct arena *a, const struct store *s, const char *file, struct image *ret,
		   struct err *err)
{
	_cleanup_fd_ int fd = -1;

	if (open_images(s, &fd, err) < 0)
		return -1;
	return read_image(a, fd, file, ret, err);
}

int image_get(struct arena *a, const struct store *s, const char *ref, struct image *ret,
	      struct err *err)
{
	struct err why = {0};

	if (image_get_file(a, s, file_of(a, ref), ret, &why) == 0)
		return 0;
	if (why.errnum == ENOENT) {
		err_errno(err, ENOENT, "no image '%s'", ref);
		return err_hint(err, "'sbx images' lists them");
	}
	if (err)
		*err = why;
	return -1;
}

int image_delete(const struct store *s, const char *ref, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_fd_ int fd = -1;

	if (open_images(s, &fd, err) < 0)
		return -1;
	if (unlinkat(fd, file_of(a, ref), 0) < 0) {
		err_errno(err, errno, "cannot remove the image '%s'", ref);
		return errno == ENOENT ? err_hint(err, "'sbx images' lists them") : store_hint(err);
	}
	if (fsync(fd) < 0)
		return err_errno(err, errno, "cannot sync '%s/images'", s->dir);
	return 0;
}

int image_files(struct arena *a, const struct store *s, struct strv *ret, struct err *err)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_dir_ DIR *d = NULL;
	const struct dirent *entry;

	if (open_images(s, &fd, err) < 0)
		return -1;
	d = fdopendir(fd);
	if (!d)
		return err_errno(err, errno, "cannot list '%s/images'", s->dir);
	(void)TAKE_FD(fd);
	while ((errno = 0, entry = readdir(d)) != NULL) {
		if (entry->d_name[0] != '.' && str_ends(entry->d_name, SUFFIX))
			strv_push(a, ret, entry->d_name);
	}
	return errno ? err_errno(err, errno, "cannot list '%s/images'", s->dir) : 0;
}

static int compare_images(const void *x, const void *y)
{
	const struct image *a = x;
	const struct image *b = y;

	return strcmp(a->ref, b->ref);
}

int image_list(struct arena *a, const struct store *s, struct image **ret, size_t *ret_n,
	       size_t *ret_damaged, struct err *err)
{
	struct strv files = {0};
	struct image *v;
	size_t bad = 0;
	size_t n = 0;

	if (image_files(a, s, &files, err) < 0)
		return -1;
	v = arena_alloc(a, (files.n + 1) * sizeof(*v));
	for (size_t i = 0; i < files.n; i++) {
		struct err why = {0};

		if (image_get_file(a, s, files.v[i], &v[n], &why) == 0) {
			n++;
		} else if (why.errnum != ENOENT) {
			/* ENOENT: removed since the listing. */
			log_warn("left out: %s", why.msg);
			bad++;
		}
	}
	if (n > 0)
		qsort(v, n, sizeof(*v), compare_images);
	*ret = v;
	*ret_n = n;
	*ret_damaged = bad;
	return 0;
}
