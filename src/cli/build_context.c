/*
 * What a build is given: the folder that it copies from, the time that nothing in it is later than, and its usual name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"
#include "cli/build.h"

/* With --check and no SOURCE_DATE_EPOCH: any time will do, as long as it is the same twice. */
#define CHECK_EPOCH 1

int build_read_first(int dir_fd, const char *const *names, size_t limit, const char **ret_name,
		     struct buf *ret, struct err *err)
{
	for (; *names; names++) {
		struct err why = {0};

		if (fs_read_at(dir_fd, *names, limit, ret, &why) == 0) {
			*ret_name = *names;
			return 0;
		}
		if (why.errnum != ENOENT) {
			*err = why;
			return -1;
		}
	}
	return err_errno(err, ENOENT, "cannot open the file");
}

static int read_ignore(struct build *b, struct err *err)
{
	static const char *const names[] = {".containerignore", ".dockerignore", NULL};
	_cleanup_buf_ struct buf text = {0};
	const char *name = NULL;
	struct err why = {0};

	if (build_read_first(b->context_fd, names, DOCKERIGNORE_MAX, &name, &text, &why) == 0)
		return dockerignore_parse(b->a, name, text.p ? text.p : "", text.len, &b->ignore,
					  err);
	if (why.errnum == ENOENT)
		return 0;
	*err = why;
	return -1;
}

int build_open_context(struct build *b, const char *dir, struct err *err)
{
	char *real = realpath(dir, NULL);

	if (!real)
		return err_errno(err, errno, "cannot use the context '%s'", dir);
	b->context = arena_strdup(b->a, real);
	free(real);
	b->context_fd = open(b->context, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->context_fd < 0)
		return err_errno(err, errno, "cannot open the context '%s'", dir);
	return read_ignore(b, err);
}

int build_read_epoch(struct build *b, bool check, struct err *err)
{
	const char *text = getenv("SOURCE_DATE_EPOCH");
	uint64_t n = CHECK_EPOCH;

	b->newest = INT64_MAX;
	if (text && *text && num_u64(text, 0, INT64_MAX, &n, NULL) < 0) {
		err_kind(err, ERR_USAGE, "cannot use SOURCE_DATE_EPOCH='%s': not a number", text);
		return err_hint(err, "it is a time in seconds since 1970, or unset");
	}
	if ((text && *text) || check)
		b->newest = (int64_t)n;
	return 0;
}

/* "localhost/my-folder:latest", of what a reference may hold. */
const char *build_default_ref(struct arena *a, const char *dir)
{
	_cleanup_buf_ struct buf b = {0};

	for (const char *c = path_base(dir); *c; c++) {
		char low = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;

		if ((low >= 'a' && low <= 'z') || (low >= '0' && low <= '9'))
			buf_add(&b, &low, 1);
		else if (b.len > 0 && b.p[b.len - 1] != '-')
			buf_adds(&b, "-");
	}
	while (b.len > 0 && b.p[b.len - 1] == '-')
		b.len--;
	return arena_printf(a, "localhost/%.*s:latest", b.len ? (int)b.len : 5,
			    b.len ? b.p : "image");
}
