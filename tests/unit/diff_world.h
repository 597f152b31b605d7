/*
 * diff_world — a lower and an upper folder made by hand, and what diff says of them as text.
 */
#ifndef SBX_TESTS_DIFF_WORLD_H
#define SBX_TESTS_DIFF_WORLD_H

#include <errno.h>
#include <ftw.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>

#include "store/diff.h"
#include "store_world.h"

struct diff_world {
	struct world *w;
	int lower, upper;
};

static inline int folder(int dir_fd, const char *name)
{
	int fd;

	assert_true(mkdirat(dir_fd, name, 0755) == 0 || errno == EEXIST);
	assert_int_equal(fchmodat(dir_fd, name, 0755, 0), 0);
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static inline void dir(int dir_fd, const char *name)
{
	_cleanup_fd_ int fd = folder(dir_fd, name);
}

/* A file with a time that is always the same. */
static inline void file(int dir_fd, const char *name, const char *text)
{
	_cleanup_fd_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(futimens(fd, times), 0);
}

/* In both places alike. */
static inline void both(const struct diff_world *d, const char *name, const char *text)
{
	file(d->lower, name, text);
	file(d->upper, name, text);
}

static inline void both_dirs(const struct diff_world *d, const char *name)
{
	dir(d->lower, name);
	dir(d->upper, name);
}

static inline void gone(int dir_fd, const char *name)
{
	assert_int_equal(mknodat(dir_fd, name, S_IFCHR, makedev(0, 0)), 0);
}

static inline void xattr(int dir_fd, const char *name, const char *key, const char *value)
{
	_cleanup_fd_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fsetxattr(fd, key, value, strlen(value), 0), 0);
}

static inline bool has_xattr(int dir_fd, const char *name, const char *key)
{
	_cleanup_fd_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	char value[64];

	assert_true(fd >= 0);
	return fgetxattr(fd, key, value, sizeof(value)) >= 0;
}

static inline bool there(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static inline int diff_world_make(void **state)
{
	struct diff_world *d = calloc(1, sizeof(*d));
	_cleanup_fd_ int top = -1;

	assert_non_null(d);
	assert_int_equal(world_make((void **)&d->w), 0);
	top = open(d->w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(top >= 0);
	d->lower = folder(top, "lower");
	d->upper = folder(top, "upper");
	*state = d;
	return 0;
}

static inline int diff_world_remove(void **state)
{
	struct diff_world *d = *state;

	(void)close(d->lower);
	(void)close(d->upper);
	assert_int_equal(world_remove((void **)&d->w), 0);
	free(d);
	return 0;
}

#define TOUCHED 5

static inline int even_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};

	(void)at;
	if (type == FTW_D && st->st_mtim.tv_sec > 1000)
		assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	return 0;
}

/* Give all folders one time, but those that a test gave an earlier one, such as TOUCHED. */
static inline void even_times(const struct diff_world *d)
{
	assert_int_equal(nftw(d->w->dir, even_one, 16, FTW_PHYS), 0);
}

static inline const char *one_line(struct arena *a, const struct entry *e)
{
	static const char verdicts[] = {
		[ENTRY_SAME] = '=',  [ENTRY_TIME] = 't',     [ENTRY_PARENT] = 'p',
		[ENTRY_ADDED] = 'A', [ENTRY_MODIFIED] = 'M', [ENTRY_DELETED] = 'D',
		[ENTRY_HIDDEN] = 'H'};

	return arena_printf(
		a, "%c %s%s%s%s%s%s%s%s%s%s\n", verdicts[e->verdict], e->path,
		S_ISDIR(e->st.st_mode) ? "/" : "", e->what & CHANGE_CONTENT ? " content" : "",
		e->what & CHANGE_MODE ? " mode" : "", e->what & CHANGE_OWNER ? " owner" : "",
		e->what & CHANGE_XATTR ? " xattr" : "", e->what & CHANGE_TYPE ? " type" : "",
		e->opaque ? " opaque" : "", e->covered ? " covered" : "",
		e->excluded ? " excluded" : "");
}

/* What diff says, a line an entry. */
static inline const char *diff_text(const struct diff_world *d, struct diff_input in)
{
	struct entries all = {0};
	struct err err = {0};
	struct buf b = {0};
	const char *text;

	even_times(d);
	in.lower = d->lower;
	in.upper = d->upper;
	assert_int_equal(diff_entries(d->w->a, &in, &all, &err), 0);
	buf_adds(&b, "");
	for (size_t i = 0; i < all.n; i++)
		buf_adds(&b, one_line(d->w->a, &all.v[i]));
	text = arena_strdup(d->w->a, b.p);
	buf_done(&b);
	return text;
}

static inline const char *diff_plain(const struct diff_world *d)
{
	return diff_text(d, (struct diff_input){.owners = true});
}

#define DIFF_TEST(name) cmocka_unit_test_setup_teardown(name, diff_world_make, diff_world_remove)

#endif
