/* One file a project, so that no lock is needed and no sandbox's record shares a file with another's. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/err.h"
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
