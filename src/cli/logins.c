#include "cli/logins.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "conf/image.h"
#include "store/authfile.h"

#define FILE_MAX ((size_t)1 << 20)

int logins_check_name(struct arena *a, const char *registry, struct err *err)
{
	struct image_ref ref;

	/* Any image of it would do: it is the registry's name that is checked. */
	if (image_ref_parse(a, arena_printf(a, "%s/a", registry), &ref, err) == 0)
		return 0;
	(void)err_prefix(err, "'%s' is not a registry", registry);
	if (err)
		err->kind = ERR_USAGE;
	return err_hint(err, "such as registry.example or localhost:5000");
}

/* The folder of the file, made where it is missing. */
static int open_folder(struct arena *a, const char *file, int *ret_fd, struct err *err)
{
	const char *base = path_base(file);
	size_t n = (size_t)(base - file);
	const char *dir = n == 0 ? "." : n == 1 ? "/" : arena_strndup(a, file, n - 1);
	_cleanup_fd_ int fd = -1;

	if (n > 1 && fs_mkdirs(dir, 0700, err) < 0)
		return -1;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(err, errno, "cannot open '%s'", dir);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int logins_set(struct arena *a, const char *file, const char *registry, const struct auth *auth,
	       bool *ret_was_there, struct err *err)
{
	_cleanup_buf_ struct buf before = {0};
	_cleanup_buf_ struct buf after = {0};
	_cleanup_fd_ int dir = -1;
	_cleanup_fd_ int lock = -1;
	struct err why = {0};
	bool was_there = false;

	if (open_folder(a, file, &dir, err) < 0 ||
	    fs_lock_at(dir, arena_printf(a, "%s.lock", path_base(file)), true, -1, &lock, err) < 0)
		return -1;
	if (fs_read_at(dir, path_base(file), FILE_MAX, &before, &why) < 0 && why.errnum != ENOENT) {
		*err = why;
		return -1;
	}
	if (authfile_set(&before, registry, auth, &after, &was_there, err) < 0)
		return err_prefix(err, "cannot use '%s'", file);
	/* To remove what is not there is to change nothing. */
	if ((auth->user || was_there) &&
	    fs_write_atomic(dir, path_base(file), after.p, after.len, 0600, err) < 0)
		return -1;
	explicit_bzero(after.p, after.len);
	*ret_was_there = was_there;
	return 0;
}
