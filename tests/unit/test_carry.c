/*
 * store/carry: between two folders of one user.  What it stands on in `sbx cp`, run/client_root and run/command_root, is
 * covered by tests/cli/test_cp.py with a running sandbox.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/carry.h"
#include "store_world.h"

struct dirs {
	char path[64];
	int from, to;
};

static int setup(void **state)
{
	struct dirs *d = xcalloc(1, sizeof(*d));

	(void)snprintf(d->path, sizeof(d->path), "/tmp/sbx-carry-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	d->from = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(d->from, "from", 0755), 0);
	assert_int_equal(mkdirat(d->from, "to", 0755), 0);
	d->to = openat(d->from, "to", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)close(d->from);

	char *from = xasprintf("%s/from", d->path);

	d->from = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(from);
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct dirs *d = *state;
	struct err err = {0};

	(void)close(d->from);
	(void)close(d->to);
	(void)fs_remove_tree_at(AT_FDCWD, d->path, &err);
	free(d);
	return 0;
}

static void put(int dir, const char *name, const char *text, mode_t mode)
{
	_cleanup_fd_ int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
}

static void assert_holds(int dir, const char *name, const char *text)
{
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	assert_int_equal(fs_read_at(dir, name, 1000, &b, &err), 0);
	assert_string_equal(b.p, text);
}

static void files_and_links(void **state)
{
	const struct dirs *d = *state;
	const struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 2000}};
	struct carry c = {0};
	struct err err = {0};
	char target[64] = "";
	struct stat st;

	put(d->from, "f", "one", 0640);
	assert_int_equal(fchmodat(d->from, "f", 06750, 0), 0);
	assert_int_equal(utimensat(d->from, "f", times, 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", d->from, "l"), 0);
	assert_int_equal(carry_entry(&c, d->from, "f", d->to, "g", &err), 0);
	assert_holds(d->to, "g", "one");
	assert_int_equal(fstatat(d->to, "g", &st, 0), 0);
	/* No setuid, no setgid. */
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(st.st_mtim.tv_sec, 2000);
	/* Over a link: it is replaced, what it leads to is not. */
	put(d->from, "target", "kept", 0600);
	assert_int_equal(symlinkat("../from/target", d->to, "way"), 0);
	assert_int_equal(carry_entry(&c, d->from, "f", d->to, "way", &err), 0);
	assert_holds(d->from, "target", "kept");
	assert_holds(d->to, "way", "one");
	assert_int_equal(carry_entry(&c, d->from, "l", d->to, "l", &err), 0);
	assert_true(readlinkat(d->to, "l", target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "/etc/passwd");
	assert_int_equal(carry_entry(&c, d->from, "none", d->to, "n", &err), -1);
	assert_string_equal(err.msg, "cannot copy 'none': No such file or directory");
}

static void folders(void **state)
{
	const struct dirs *d = *state;
	struct carry c = {0};
	struct err err = {0};
	struct stat st;

	assert_int_equal(mkdirat(d->from, "a", 0755), 0);
	assert_int_equal(mkdirat(d->from, "a/b", 0711), 0);
	put(d->from, "a/b/f", "deep", 0644);
	assert_int_equal(mkfifoat(d->from, "a/p", 0644), 0);
	assert_int_equal(carry_entry(&c, d->from, "a", d->to, "x", &err), 0);
	assert_holds(d->to, "x/b/f", "deep");
	assert_int_equal(fstatat(d->to, "x/b", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(fstatat(d->to, "x/p", &st, 0), 0);
	assert_true(S_ISFIFO(st.st_mode));
	/* Merged. */
	put(d->to, "x/own", "mine", 0644);
	assert_int_equal(carry_contents(&c, d->from, d->to, &err), 0);
	assert_int_equal(carry_entry(&c, d->from, "a", d->to, "x", &err), 0);
	assert_holds(d->to, "x/own", "mine");
	/* A folder over a file, over a link to a folder; a file over a folder. */
	put(d->to, "file", "x", 0644);
	assert_int_equal(carry_entry(&c, d->from, "a", d->to, "file", &err), -1);
	assert_int_equal(symlinkat("x", d->to, "linked"), 0);
	assert_int_equal(carry_entry(&c, d->from, "a", d->to, "linked", &err), -1);
	put(d->from, "f", "x", 0644);
	assert_int_equal(carry_entry(&c, d->from, "f", d->to, "x", &err), -1);
	assert_string_equal(err.msg, "cannot copy 'f': Is a directory");
}

static void into_itself(void **state)
{
	const struct dirs *d = *state;
	struct carry c = {0};
	struct err err = {0};
	_cleanup_fd_ int a = -1;

	assert_int_equal(mkdirat(d->from, "a", 0755), 0);
	assert_int_equal(mkdirat(d->from, "a/b", 0755), 0);
	a = openat(d->from, "a/b", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(carry_entry(&c, d->from, "a", a, "a", &err), -1);
	assert_non_null(strstr(err.msg, "into itself"));
	assert_int_equal(carry_contents(&c, a, a, &err), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(files_and_links, setup, teardown),
		cmocka_unit_test_setup_teardown(folders, setup, teardown),
		cmocka_unit_test_setup_teardown(into_itself, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
