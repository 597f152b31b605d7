#include "store/fsck_blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/blob.h"
#include "store/image.h"

#define BLOCK ((size_t)256 << 10)
#define PARTIAL "partial"
#define SHORT 12

static void add_blob(struct findings *f, const char *name, const char *what)
{
	findings_add(f, &(struct finding){.kind = FSCK_BLOB, .name = name, .what = what});
}

struct look {
	const struct store *s;
	struct findings *f;
	emit_progress_fn progress;
	void *progress_ctx;
	uint64_t done, total;
	char *space;
};

/* -1 with errno. */
static int hash(struct look *l, int fd, char ret_hex[DIGEST_HEX + 1])
{
	_cleanup_digest_ struct digest *d = digest_new();
	ssize_t n;

	while ((n = read(fd, l->space, BLOCK)) > 0) {
		digest_add(d, l->space, (size_t)n);
		l->done += (uint64_t)n;
		if (l->progress)
			l->progress(l->progress_ctx, l->done, l->total);
	}
	if (n < 0)
		return -1;
	digest_end(TAKE_PTR(d), ret_hex);
	return 0;
}

static void look_at(struct look *l, const char *name)
{
	_cleanup_fd_ int fd = -1;
	char hex[DIGEST_HEX + 1];
	struct err why = {0};
	uint64_t size;

	if (!layer_is_digest(name)) {
		add_blob(l->f, name, "it does not belong there");
		return;
	}
	if (blob_open(l->s, name, &fd, &size, &why) < 0) {
		if (why.errnum != ENOENT)
			add_blob(l->f, name, why.msg);
	} else if (hash(l, fd, hex) < 0) {
		add_blob(l->f, name, arena_printf(l->f->a, "cannot read it: %s", strerror(errno)));
	} else if (!str_eq(hex, name)) {
		add_blob(l->f, name,
			 arena_printf(l->f->a, "it is not what it was: its digest is %s", hex));
	}
}

static int list(const struct store *s, struct findings *f, struct strv *ret, uint64_t *ret_total,
		struct err *err)
{
	_cleanup_fd_ int fd =
		openat(s->fd, "blobs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct stat st;

	if (!d)
		return err_errno(err, errno, "cannot list '%s/blobs'", s->dir);
	(void)TAKE_FD(fd);
	while ((errno = 0, entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.' || str_eq(entry->d_name, PARTIAL))
			continue;
		strv_push(f->a, ret, entry->d_name);
		if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			*ret_total += (uint64_t)st.st_size;
	}
	return errno ? err_errno(err, errno, "cannot list '%s/blobs'", s->dir) : 0;
}

int fsck_blobs(const struct store *s, struct findings *f, emit_progress_fn progress,
	       void *progress_ctx, struct err *err)
{
	_cleanup_free_ char *space = xmalloc(BLOCK);
	struct look l = {
		.s = s, .f = f, .progress = progress, .progress_ctx = progress_ctx, .space = space};
	struct strv names = {0};

	if (list(s, f, &names, &l.total, err) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++)
		look_at(&l, names.v[i]);
	return 0;
}

static bool is_found(const struct findings *f, enum fsck_kind kind, const char *name)
{
	for (size_t i = 0; i < f->n; i++) {
		if (f->v[i].kind == kind && !f->v[i].tree && str_eq(f->v[i].name, name))
			return true;
	}
	return false;
}

static bool has_layer(const struct store *s, const struct findings *f, const char *digest)
{
	const char *path = arena_printf(f->a, "layers/%s", digest);

	return !is_found(f, FSCK_LAYER, digest) &&
	       faccessat(s->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void check_image(const struct store *s, const struct image *image, struct findings *f)
{
	struct finding x = {.kind = FSCK_IMAGE, .name = image->ref};
	struct image_info info;
	struct err why = {0};

	/* Where its manifest cannot be read, that was said already (fsck_roots). */
	if (image_info(f->a, s, image->manifest, &info, &why) < 0)
		return;
	x.hint = "get it again, or forget it: sbx images -d REF";
	for (size_t i = 0; i < info.manifest.n; i++) {
		const char *blob = info.manifest.layers[i].digest;
		const char *layer = info.config.diff_ids[i];

		if (has_layer(s, f, layer) || (blob_has(s, blob) && !is_found(f, FSCK_BLOB, blob)))
			continue;
		x.what = arena_printf(f->a, "its layer %.*s is neither there nor its blob", SHORT,
				      layer);
		findings_add(f, &x);
		return;
	}
}

static void check_env(const struct store *s, const struct env *e, struct findings *f)
{
	struct finding x = {.kind = FSCK_ENVIRONMENT, .name = e->id};
	struct image_info info;
	struct err why = {0};

	if (!e->image.ref || image_info(f->a, s, e->image.manifest, &info, &why) == 0)
		return;
	x.what = why.msg;
	x.hint = "its files are all there; get its image again, so that it can be saved and sent";
	findings_add(f, &x);
}

void fsck_images(const struct store *s, const struct roots *roots, struct findings *f)
{
	for (size_t i = 0; i < roots->n_images; i++)
		check_image(s, &roots->images[i], f);
	for (size_t i = 0; i < roots->n_envs; i++)
		check_env(s, &roots->envs[i], f);
}
