/* One file a project, so that no lock is needed and no sandbox's record shares a file with another's. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "store/env.h"
#include "store/project.h"
#include "store/record.h"

#define ALLOW_VERSION 1

static int record_name(struct arena *a, const char *project, const char *digest,
		       const char **ret_project, const char **ret_name, struct err *err)
{
	char hex[DIGEST_HEX + 1];
	const char *clean = path_clean(a, project);

	if (!clean)
		return err_set(err, "cannot look up what '%s' is allowed: the path is not absolute",
			       project);
	if (strlen(digest) != DIGEST_HEX || digest[strspn(digest, "0123456789abcdef")] != '\0')
		return err_set(err, "cannot look up what '%s' is allowed: '%s' is not a digest",
			       project, digest);
	digest_sha256(clean, strlen(clean), hex);
	*ret_project = clean;
	*ret_name = arena_printf(a, "%s.json", hex);
	return 0;
}

static int open_allow(const struct store *s, int *ret_fd, struct err *err)
{
	_cleanup_fd_ int fd =
		openat(s->fd, "allow", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return err_errno(err, errno, "cannot open '%s/allow'", s->dir);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int allow_get(const struct store *s, const char *project, const char *digest, bool *ret_allowed,
	      struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_fd_ int fd = -1;
	json_auto_t *obj = NULL;
	struct err why = {0};
	const char *clean = NULL;
	const char *name = NULL;
	const char *given;

	if (record_name(a, project, digest, &clean, &name, err) < 0 || open_allow(s, &fd, err) < 0)
		return -1;
	if (record_load(fd, name, ALLOW_VERSION, &obj, &why) < 0) {
		/* A record that cannot be read allows nothing; `sbx allow` writes it anew. */
		if (why.errnum != ENOENT)
			log_warn("what was allowed counts no more: %s", why.msg);
		*ret_allowed = false;
		return 0;
	}
	given = json_string_value(json_object_get(obj, "digest"));
	*ret_allowed = str_eq(record_get_bytes(a, obj, "project"), clean) && given &&
		       strcmp(given, digest) == 0;
	return 0;
}

int allow_put(const struct store *s, const char *project, const char *digest, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	_cleanup_fd_ int fd = -1;
	json_auto_t *obj = json_object();
	const char *clean = NULL;
	const char *name = NULL;

	if (record_name(a, project, digest, &clean, &name, err) < 0 || open_allow(s, &fd, err) < 0)
		return -1;
	json_object_set_new(obj, "project", record_bytes(clean));
	json_object_set_new(obj, "digest", json_string(digest));
	json_object_set_new(obj, "time", json_integer((json_int_t)time(NULL)));
	if (record_save(fd, name, ALLOW_VERSION, obj, err) < 0) {
		err_prefix(err, "cannot record what '%s' is allowed", clean);
		return store_hint(err);
	}
	return 0;
}

/* ---- what is remembered without being asked ---- */

/* A file beside the record; NULL: `project` is no absolute path. */
static const char *note_name(struct arena *a, const char *project, const char *suffix)
{
	const char *clean = path_clean(a, project);
	char hex[DIGEST_HEX + 1];

	if (!clean)
		return NULL;
	digest_sha256(clean, strlen(clean), hex);
	return arena_printf(a, "allow/%s.%s", hex, suffix);
}

bool allow_was_closed(const struct store *s, const char *project)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *name = note_name(a, project, "closed");

	return name && faccessat(s->fd, name, F_OK, 0) == 0;
}

int allow_set_closed(const struct store *s, const char *project, bool closed, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *name = note_name(a, project, "closed");
	_cleanup_fd_ int fd = -1;

	if (!name)
		return err_set(err, "cannot remember anything of '%s'", project);
	if (!closed)
		return unlinkat(s->fd, name, 0) == 0 || errno == ENOENT
			       ? 0
			       : err_errno(err, errno, "cannot remove '%s/%s'", s->dir, name);
	fd = openat(s->fd, name, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	return fd >= 0 ? 0 : err_errno(err, errno, "cannot make '%s/%s'", s->dir, name);
}

bool allow_was_told(const struct store *s, const char *project, const char *digest)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *name = note_name(a, project, "told");
	_cleanup_buf_ struct buf text = {0};

	return name && fs_read_at(s->fd, name, DIGEST_HEX, &text, NULL) == 0 && text.p &&
	       str_eq(text.p, digest);
}

int allow_set_told(const struct store *s, const char *project, const char *digest, struct err *err)
{
	_cleanup_arena_ struct arena *a = arena_new();
	const char *name = note_name(a, project, "told");

	if (!name)
		return err_set(err, "cannot remember anything of '%s'", project);
	return fs_write_atomic(s->fd, name, digest, strlen(digest), 0600, err);
}
