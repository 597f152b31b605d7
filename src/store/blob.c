#include "store/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/env.h"
#include "store/layer.h"

#define DIR_BLOBS "blobs"
#define DIR_PARTIAL "partial" /* in blobs/ */
#define BLOCK ((size_t)256 << 10)
/* So much is given to the disk at a time, while more comes: then there is little to wait for at the end. */
#define WRITE_AHEAD ((uint64_t)8 << 20)

struct blob_writer {
	int blobs;                 /* the folder */
	int partial;               /* the folder in it */
	int fd;                    /* the file; holds its lock */
	bool kept;                 /* what is there stays where it is given up */
	char name[DIGEST_HEX + 1]; /* in partial/ */
	struct digest *digest;
	uint64_t size;
	uint64_t given; /* of it, to the disk */
};

static int bad_blob(struct err *err)
{
	if (err)
		err->errnum = EBADMSG;
	return -1;
}

static int open_folders(const struct store *s, struct blob_writer *w, struct err *err)
{
	w->blobs = openat(s->fd, DIR_BLOBS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (w->blobs >= 0)
		w->partial = openat(w->blobs, DIR_PARTIAL,
				    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (w->blobs < 0 || w->partial < 0)
		return err_errno(err, errno, "cannot open '%s/blobs/partial'", s->dir);
	return 0;
}

static void writer_free(struct blob_writer **w)
{
	if (!*w)
		return;
	cleanup_fd(&(*w)->blobs);
	cleanup_fd(&(*w)->partial);
	cleanup_fd(&(*w)->fd);
	digest_free(&(*w)->digest);
	free(*w);
	*w = NULL;
}

static int writer_new(const struct store *s, struct blob_writer **ret, struct err *err)
{
	__attribute__((cleanup(writer_free))) struct blob_writer *w = xcalloc(1, sizeof(*w));

	w->blobs = w->partial = w->fd = -1;
	w->digest = digest_new();
	if (open_folders(s, w, err) < 0)
		return -1;
	*ret = TAKE_PTR(w);
	return 0;
}

/*
 * Open the file and lock it, waiting for who has it.  Whoever had it may have put it in its place or
 * removed it meanwhile: then anew.  -1 with errno.
 */
static int open_locked(struct blob_writer *w, int flags)
{
	struct stat st;

	for (;;) {
		_cleanup_fd_ int fd =
			openat(w->partial, w->name,
			       O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | flags, 0600);

		if (fd < 0)
			return -1;
		while (flock(fd, LOCK_EX) < 0) {
			if (errno != EINTR)
				return -1;
		}
		if (fstat(fd, &st) < 0)
			return -1;
		if (st.st_nlink == 0)
			continue;
		/* Under its final name: openat found it just before it was renamed. */
		if (faccessat(w->partial, w->name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		w->fd = TAKE_FD(fd);
		return 0;
	}
}

static int cannot_make(struct err *err)
{
	err_errno(err, errno, "cannot make a file in 'blobs/partial'");
	return store_hint(err);
}

int blob_create(const struct store *s, struct blob_writer **ret, struct err *err)
{
	__attribute__((cleanup(writer_free))) struct blob_writer *w = NULL;
	uint64_t r = 0;

	if (writer_new(s, &w, err) < 0)
		return -1;
	if (getrandom(&r, sizeof(r), 0) < 0)
		return err_errno(err, errno, "cannot get random bytes");
	(void)snprintf(w->name, sizeof(w->name), "new-%016" PRIx64, r);
	if (open_locked(w, 0) < 0)
		return cannot_make(err);
	*ret = TAKE_PTR(w);
	return 0;
}

static int hash_what_is_there(struct blob_writer *w, struct err *err)
{
	_cleanup_free_ char *block = xmalloc(BLOCK);
	ssize_t n;

	while ((n = read(w->fd, block, BLOCK)) > 0) {
		digest_add(w->digest, block, (size_t)n);
		w->size += (uint64_t)n;
	}
	return n < 0 ? err_errno(err, errno, "cannot read 'blobs/partial/%s'", w->name) : 0;
}

int blob_resume(const struct store *s, const char *hex, struct blob_writer **ret,
		uint64_t *ret_offset, struct err *err)
{
	__attribute__((cleanup(writer_free))) struct blob_writer *w = NULL;

	if (!layer_is_digest(hex))
		return err_set(err, "cannot make the blob '%s': it is no digest", hex);
	if (writer_new(s, &w, err) < 0)
		return -1;
	(void)snprintf(w->name, sizeof(w->name), "%s", hex);
	w->kept = true;
	if (open_locked(w, 0) < 0)
		return cannot_make(err);
	/* Looked for with the lock in hand: nobody can be just about to name it. */
	if (blob_has(s, hex)) {
		(void)unlinkat(w->partial, w->name, 0);
		return err_errno(err, EEXIST, "the blob sha256:%s", hex);
	}
	if (hash_what_is_there(w, err) < 0)
		return -1;
	*ret_offset = w->size;
	*ret = TAKE_PTR(w);
	return 0;
}

int blob_restart(struct blob_writer *w, struct err *err)
{
	if (ftruncate(w->fd, 0) < 0 || lseek(w->fd, 0, SEEK_SET) < 0)
		return err_errno(err, errno, "cannot begin 'blobs/partial/%s' anew", w->name);
	digest_free(&w->digest);
	w->digest = digest_new();
	w->size = w->given = 0;
	return 0;
}

int blob_write(struct blob_writer *w, const void *p, size_t n, struct err *err)
{
	if (fs_write_all(w->fd, p, n) < 0) {
		err_errno(err, errno, "cannot write 'blobs/partial/%s'", w->name);
		return store_hint(err);
	}
	digest_add(w->digest, p, n);
	w->size += n;
	if (w->size - w->given >= WRITE_AHEAD) {
		/* Only a start; it is blob_finish that sees to it. */
		(void)sync_file_range(w->fd, (off_t)w->given, (off_t)(w->size - w->given),
				      SYNC_FILE_RANGE_WRITE);
		w->given = w->size;
	}
	return 0;
}

/* Is it what was asked for?  `found` is what it is. */
static int check(const struct blob_writer *w, const char *found, const char *hex, uint64_t size,
		 struct err *err)
{
	if (size != UINT64_MAX && w->size != size) {
		err_set(err,
			"cannot take the blob sha256:%s: it has %" PRIu64 " bytes, not %" PRIu64,
			hex ? hex : found, w->size, size);
		return bad_blob(err);
	}
	if (hex && !str_eq(hex, found)) {
		err_set(err, "cannot take the blob sha256:%s: what came has the digest sha256:%s",
			hex, found);
		return bad_blob(err);
	}
	return 0;
}

/* One of that name is replaced: it is the same, unless it was damaged. */
static int put(struct blob_writer *w, const char *hex, struct err *err)
{
	if (fchmod(w->fd, 0400) < 0 || fdatasync(w->fd) < 0 ||
	    renameat(w->partial, w->name, w->blobs, hex) < 0 || fsync(w->blobs) < 0) {
		err_errno(err, errno, "cannot put the blob sha256:%s into the store", hex);
		return store_hint(err);
	}
	return 0;
}

int blob_finish(struct blob_writer *writer, const char *hex, uint64_t size,
		char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	__attribute__((cleanup(writer_free))) struct blob_writer *w = writer;
	char found[DIGEST_HEX + 1];

	digest_end(TAKE_PTR(w->digest), found);
	if (check(w, found, hex, size, err) < 0 || put(w, found, err) < 0) {
		(void)unlinkat(w->partial, w->name, 0);
		return -1;
	}
	if (ret_hex)
		memcpy(ret_hex, found, sizeof(found));
	return 0;
}

void blob_abort(struct blob_writer **w)
{
	if (*w && !(*w)->kept)
		(void)unlinkat((*w)->partial, (*w)->name, 0);
	writer_free(w);
}

bool blob_has(const struct store *s, const char *hex)
{
	char path[sizeof(DIR_BLOBS) + 1 + DIGEST_HEX];
	struct stat st;

	if (!layer_is_digest(hex))
		return false;
	(void)snprintf(path, sizeof(path), DIR_BLOBS "/%s", hex);
	return fstatat(s->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

int blob_open(const struct store *s, const char *hex, int *ret_fd, uint64_t *ret_size,
	      struct err *err)
{
	char path[sizeof(DIR_BLOBS) + 1 + DIGEST_HEX];
	_cleanup_fd_ int fd = -1;
	struct err why = {0};
	struct stat st;

	if (!layer_is_digest(hex))
		return err_set(err, "'%s' is not the digest of a blob", hex);
	(void)snprintf(path, sizeof(path), DIR_BLOBS "/%s", hex);
	if (fs_open_beneath(s->fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0, &fd, &why) < 0)
		return err_errno(err, why.errnum, "cannot open the blob sha256:%s", hex);
	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "cannot look at the blob sha256:%s", hex);
	if (!S_ISREG(st.st_mode)) {
		err_set(err, "cannot read the blob sha256:%s: it is no file", hex);
		return bad_blob(err);
	}
	*ret_fd = TAKE_FD(fd);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

int blob_read(const struct store *s, const char *hex, size_t limit, struct buf *ret,
	      struct err *err)
{
	_cleanup_free_ char *bytes = NULL;
	_cleanup_fd_ int fd = -1;
	char found[DIGEST_HEX + 1];
	uint64_t size = 0;
	size_t have = 0;

	if (blob_open(s, hex, &fd, &size, err) < 0)
		return -1;
	if (size > limit)
		return err_errno(err, EFBIG, "cannot read the blob sha256:%s: %" PRIu64 " bytes",
				 hex, size);
	bytes = xmalloc((size_t)size + 1);
	while (have < size) {
		ssize_t n = read(fd, bytes + have, (size_t)size - have);

		if (n < 0)
			return err_errno(err, errno, "cannot read the blob sha256:%s", hex);
		if (n == 0)
			break;
		have += (size_t)n;
	}
	digest_sha256(bytes, have, found);
	if (!str_eq(found, hex)) {
		err_set(err, "the blob sha256:%s is damaged: its digest is sha256:%s", hex, found);
		return bad_blob(err);
	}
	buf_add(ret, bytes, have);
	return 0;
}

int blob_put(const struct store *s, const void *p, size_t n, char ret_hex[DIGEST_HEX + 1],
	     struct err *err)
{
	_cleanup_blob_ struct blob_writer *w = NULL;
	_cleanup_buf_ struct buf there = {0};
	char hex[DIGEST_HEX + 1];

	digest_sha256(p, n, hex);
	if (blob_read(s, hex, n, &there, NULL) < 0) {
		if (blob_create(s, &w, err) < 0)
			return -1;
		if (!w || blob_write(w, p, n, err) < 0 ||
		    blob_finish(TAKE_PTR(w), hex, n, NULL, err) < 0)
			return -1;
	}
	if (ret_hex)
		memcpy(ret_hex, hex, sizeof(hex));
	return 0;
}
