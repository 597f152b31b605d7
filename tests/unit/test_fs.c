#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/str.h"

/* A folder with "outside/secret" and the tree "root", in which the tests work. */
struct place {
	char path[64];
	int dir_fd;
	int root_fd;
};

static void put(int dir_fd, const char *name, const char *text)
{
	_cleanup_fd_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fs_write_all(fd, text, strlen(text)), 0);
}

static int make_place(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	(void)strncpy(p->path, "/tmp/sbx-test-fs.XXXXXX", sizeof(p->path) - 1);
	assert_non_null(mkdtemp(p->path));
	p->dir_fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(p->dir_fd, "root", 0755), 0);
	assert_int_equal(mkdirat(p->dir_fd, "outside", 0755), 0);
	put(p->dir_fd, "outside/secret", "host");
	p->root_fd = openat(p->dir_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(p->root_fd >= 0);
	*state = p;
	return 0;
}

static int remove_place(void **state)
{
	struct place *p = *state;
	struct err err = {0};

	(void)close(p->root_fd);
	(void)close(p->dir_fd);
	if (fs_remove_tree_at(AT_FDCWD, p->path, &err) < 0)
		print_error("%s\n", err.msg);
	free(p);
	return err.kind == ERR_NONE ? 0 : -1;
}

static int is_there(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void link_to(int dir_fd, const char *target, const char *name)
{
	assert_int_equal(symlinkat(target, dir_fd, name), 0);
}

/* The content found by fs_open_in_root, or the message why not. */
static void in_root_gives(const struct place *p, const char *path, const char *want)
{
	struct err err = {0};
	_cleanup_fd_ int fd = -1;
	char text[64] = "";

	if (fs_open_in_root(p->root_fd, path, O_RDONLY | O_NONBLOCK, 0, &fd, &err) < 0) {
		assert_string_equal(err.msg, want);
		assert_int_equal(fd, -1);
		return;
	}
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	assert_string_equal(text, want);
}

static void hostile_links_stay_in_the_root(void **state)
{
	const struct place *p = *state;
	char up[128];

	(void)snprintf(up, sizeof(up), "%s/outside/secret", p->path);
	assert_int_equal(mkdirat(p->root_fd, "etc", 0755), 0);
	put(p->root_fd, "etc/passwd", "inside");
	link_to(p->root_fd, "/etc/passwd", "absolute");
	link_to(p->root_fd, "../../../../../etc/passwd", "dots");
	link_to(p->root_fd, "/etc", "dir");
	link_to(p->root_fd, "../outside/secret", "beside");
	link_to(p->root_fd, up, "host-path");
	link_to(p->root_fd, "loop", "loop");

	in_root_gives(p, "etc/passwd", "inside");
	in_root_gives(p, "/etc/passwd", "inside");
	in_root_gives(p, "absolute", "inside");
	in_root_gives(p, "dots", "inside");
	in_root_gives(p, "/dir/passwd", "inside");
	in_root_gives(p, "dir/../../../etc/passwd", "inside");
	in_root_gives(p, "beside", "cannot open 'beside': No such file or directory");
	in_root_gives(p, "host-path", "cannot open 'host-path': No such file or directory");
	in_root_gives(p, "../outside/secret",
		      "cannot open '../outside/secret': No such file or directory");
	in_root_gives(p, "loop", "cannot open 'loop': Too many levels of symbolic links");
	in_root_gives(p, "", "cannot open '': No such file or directory");
}

static void magic_links_are_refused(void **state)
{
	_cleanup_fd_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int fd = -1;
	struct err err = {0};

	(void)state;
	assert_int_equal(fs_open_in_root(proc, "self/cwd", O_RDONLY, 0, &fd, &err), -1);
	assert_string_equal(err.msg, "cannot open 'self/cwd': Too many levels of symbolic links");
	assert_int_equal(fs_open_in_root(proc, "self/root/etc", O_RDONLY, 0, &fd, &err), -1);
	assert_int_equal(err.errnum, ELOOP);
	assert_int_equal(fs_open_beneath(proc, "self/fd/0", O_RDONLY, 0, &fd, &err), -1);
	assert_int_equal(fd, -1);
	assert_int_equal(fs_open_in_root(proc, "self/status", O_RDONLY, 0, &fd, &err), 0);
}

static void beneath_refuses_what_leaves(void **state)
{
	const struct place *p = *state;
	struct err err = {0};
	_cleanup_fd_ int fd = -1;

	link_to(p->root_fd, "../outside/secret", "out");
	link_to(p->root_fd, "/etc/passwd", "absolute");
	put(p->root_fd, "file", "inside");
	link_to(p->root_fd, "file", "in");
	assert_int_equal(fs_open_beneath(p->root_fd, "out", O_RDONLY, 0, &fd, &err), -1);
	assert_string_equal(err.msg, "cannot open 'out': the path leads out of its folder");
	assert_int_equal(err.errnum, EXDEV);
	assert_int_equal(fs_open_beneath(p->root_fd, "absolute", O_RDONLY, 0, &fd, &err), -1);
	assert_int_equal(fs_open_beneath(p->root_fd, "/etc", O_RDONLY, 0, &fd, &err), -1);
	assert_int_equal(fs_open_beneath(p->root_fd, "..", O_RDONLY, 0, &fd, &err), -1);
	assert_int_equal(fs_open_beneath(p->root_fd, "new/x", O_CREAT | O_WRONLY, 0600, &fd, &err),
			 -1);
	assert_string_equal(err.msg, "cannot create 'new/x': No such file or directory");
	assert_int_equal(fs_open_beneath(p->root_fd, "in", O_RDONLY, 0, &fd, &err), 0);
}

/* Keep exchanging two names and renaming a third until killed. */
static pid_t start_renamer(const struct place *p)
{
	pid_t pid = fork();

	assert_int_not_equal(pid, -1);
	if (pid)
		return pid;
	for (;;) {
		(void)renameat2(p->root_fd, "a", p->root_fd, "b", RENAME_EXCHANGE);
		(void)renameat(p->dir_fd, "spare", p->dir_fd, "spare2");
		(void)renameat(p->dir_fd, "spare2", p->dir_fd, "spare");
		if (getppid() == 1)
			_exit(0);
	}
}

static void races_neither_escape_nor_fail(void **state)
{
	const struct place *p = *state;
	pid_t renamer;
	int found = 0;

	assert_int_equal(mkdirat(p->dir_fd, "spare", 0755), 0);
	assert_int_equal(mkdirat(p->root_fd, "a", 0755), 0);
	assert_int_equal(mkdirat(p->root_fd, "fix", 0755), 0);
	assert_int_equal(mkdirat(p->root_fd, "fix/d", 0755), 0);
	put(p->root_fd, "fix/secret", "inside");
	put(p->root_fd, "a/secret", "inside");
	link_to(p->root_fd, "../outside", "b");
	renamer = start_renamer(p);
	for (int i = 0; i < 3000; i++) {
		struct err err = {0};
		_cleanup_fd_ int fd = -1;
		char text[16] = "";

		if (fs_open_in_root(p->root_fd, "a/secret", O_RDONLY, 0, &fd, &err) == 0) {
			assert_int_equal(read(fd, text, sizeof(text)), 6);
			assert_string_equal(text, "inside");
			found++;
		} else {
			assert_int_equal(err.errnum, ENOENT);
		}
		cleanup_fd(&fd);
		/* Steps over ".." while others rename: EAGAIN stays ours. */
		assert_int_equal(fs_open_in_root(p->root_fd, "fix/d/../d/../d/../secret", O_RDONLY,
						 0, &fd, &err),
				 0);
	}
	(void)kill(renamer, SIGKILL);
	(void)waitpid(renamer, NULL, 0);
	assert_true(found > 0);
}

static void mkdirs_follows_and_makes(void **state)
{
	const struct place *p = *state;
	struct err err = {0};
	struct stat st;
	mode_t mask = umask(0);

	link_to(p->root_fd, "/run", "var-run");            /* to what is missing yet */
	link_to(p->root_fd, "../../../outside", "escape"); /* clamped: /outside inside */
	link_to(p->root_fd, "chain2/x", "chain");
	link_to(p->root_fd, "deep/er", "chain2");
	static const struct {
		const char *path;
		const char *made;
	} cases[] = {
		{"/", "."},
		{"a/b/c", "a/b/c"},
		{"//a//./b/d/", "a/b/d"},
		{"a/b/../e", "a/e"},
		{"../../f", "f"},
		{"var-run/lock", "run/lock"},
		{"escape/x", "outside/x"},
		{"chain/y", "deep/er/x/y"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_fd_ int fd = -1;
		struct stat made;

		assert_int_equal(fs_mkdirs_in_root(p->root_fd, cases[i].path, 0751, &fd, &err), 0);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(fstatat(p->root_fd, cases[i].made, &made, AT_SYMLINK_NOFOLLOW), 0);
		assert_int_equal(st.st_ino, made.st_ino);
		if (i > 0)
			assert_int_equal(st.st_mode & 07777, 0751);
		assert_true(fcntl(fd, F_GETFL) & O_PATH);
	}
	(void)umask(mask);
	assert_false(is_there(p->dir_fd, "outside/x"));
	assert_false(is_there(p->dir_fd, "f"));
}

static void mkdirs_fails_clearly(void **state)
{
	const struct place *p = *state;
	struct err err = {0};
	int fd = -1;
	char longest[400];

	put(p->root_fd, "file", "x");
	link_to(p->root_fd, "loop2", "loop1");
	link_to(p->root_fd, "loop1", "loop2");
	link_to(p->root_fd, "grow/x", "grow");
	assert_int_equal(fs_mkdirs_in_root(p->root_fd, "file/x", 0755, &fd, &err), -1);
	assert_string_equal(err.msg, "cannot make the folder 'file/x': Not a directory");
	assert_int_equal(fs_mkdirs_in_root(p->root_fd, "loop1/x", 0755, &fd, &err), -1);
	assert_string_equal(err.msg,
			    "cannot make the folder 'loop1/x': Too many levels of symbolic links");
	assert_int_equal(fs_mkdirs_in_root(p->root_fd, "grow", 0755, &fd, &err), -1);
	assert_int_equal(err.errnum, ELOOP);
	memset(longest, 'n', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(fs_mkdirs_in_root(p->root_fd, longest, 0755, &fd, &err), -1);
	assert_int_equal(err.errnum, ENAMETOOLONG);
	assert_int_equal(fd, -1);
}

static void mkdirs_of_our_own(void **state)
{
	const struct place *p = *state;
	struct err err = {0};
	char path[128];
	char want[256];

	(void)snprintf(path, sizeof(path), "%s/x/y//z/", p->path);
	assert_int_equal(fs_mkdirs(path, 0700, &err), 0);
	assert_int_equal(fs_mkdirs(path, 0700, &err), 0);
	assert_true(is_there(p->dir_fd, "x/y/z"));
	(void)snprintf(path, sizeof(path), "%s/outside/secret/z", p->path);
	assert_int_equal(fs_mkdirs(path, 0700, &err), -1);
	(void)snprintf(want, sizeof(want), "cannot make the folder '%s': Not a directory", path);
	assert_string_equal(err.msg, want);
	(void)snprintf(path, sizeof(path), "%s/outside/secret", p->path);
	assert_int_equal(fs_mkdirs(path, 0700, &err), -1);
	assert_int_equal(err.errnum, ENOTDIR);
}

static void read_whole_within_the_limit(void **state)
{
	const struct place *p = *state;
	struct err err = {0};
	_cleanup_buf_ struct buf b = {0};

	put(p->root_fd, "five", "12345");
	put(p->root_fd, "empty", "");
	link_to(p->root_fd, "../outside/secret", "out");
	buf_adds(&b, ">");
	assert_int_equal(fs_read_at(p->root_fd, "five", 5, &b, &err), 0);
	assert_string_equal(b.p, ">12345");
	assert_int_equal(fs_read_at(p->root_fd, "empty", 0, &b, &err), 0);
	assert_int_equal(fs_read_at(p->root_fd, "five", 4, &b, &err), -1);
	assert_string_equal(err.msg, "cannot read 'five': more than 4 bytes: File too large");
	assert_int_equal(err.errnum, EFBIG);
	assert_int_equal(fs_read_at(p->root_fd, "out", 100, &b, &err), -1);
	assert_string_equal(err.msg, "cannot open 'out': the path leads out of its folder");
	assert_int_equal(fs_read_at(p->root_fd, ".", 100, &b, &err), -1);
	assert_string_equal(err.msg, "cannot read '.': Is a directory");
	assert_int_equal(fs_read_at(AT_FDCWD, "/dev/zero", 70000, &b, &err), -1);
	assert_int_equal(err.errnum, EFBIG);
	assert_int_equal(mkfifoat(p->root_fd, "pipe", 0600), 0);
	assert_int_equal(fs_read_at(p->root_fd, "pipe", 100, &b, &err), 0); /* does not hang */
	assert_string_equal(b.p, ">12345");
}

static int count_entries(int root_fd)
{
	int fd = openat(root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fdopendir(fd);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	return n - 2;
}

static void write_atomic_replaces_whole(void **state)
{
	const struct place *p = *state;
	struct err err = {0};
	_cleanup_buf_ struct buf b = {0};
	struct stat st;
	char longest[256];
	char path[128];

	/* A link at the name is replaced, not followed. */
	link_to(p->root_fd, "../outside/secret", "f");
	assert_int_equal(fs_write_atomic(p->root_fd, "f", "new", 3, 0666, &err), 0);
	assert_int_equal(fstatat(p->root_fd, "f", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0666);
	assert_int_equal(fs_read_at(p->dir_fd, "outside/secret", 10, &b, &err), 0);
	assert_string_equal(b.p, "host");

	memset(longest, 'n', 255);
	longest[255] = '\0';
	assert_int_equal(fs_write_atomic(p->root_fd, longest, "", 0, 0600, &err), 0);
	assert_int_equal(count_entries(p->root_fd), 2);

	assert_int_equal(mkdirat(p->root_fd, "d", 0755), 0);
	assert_int_equal(fs_write_atomic(p->root_fd, "d", "new", 3, 0600, &err), -1);
	assert_string_equal(err.msg, "cannot write 'd': Is a directory");
	assert_int_equal(count_entries(p->root_fd), 3); /* nothing is left over */

	(void)snprintf(path, sizeof(path), "%s/root/d/abs", p->path);
	assert_int_equal(fs_write_atomic(AT_FDCWD, path, "x", 1, 0600, &err), 0);
	assert_true(is_there(p->root_fd, "d/abs"));
	assert_int_equal(fs_write_atomic(p->root_fd, "no/f", "x", 1, 0600, &err), -1);
	assert_string_equal(err.msg, "cannot write 'no/f': No such file or directory");
}

static void knobs(void **state)
{
	const struct place *p = *state;
	char path[128];

	assert_int_equal(fs_write_knob("/dev/null", "1"), 0);
	assert_int_equal(fs_write_knob("/dev/full", "1"), -1);
	assert_int_equal(errno, ENOSPC);
	(void)snprintf(path, sizeof(path), "%s/missing", p->path);
	assert_int_equal(fs_write_knob(path, "1"), -1);
	assert_int_equal(errno, ENOENT);
	assert_false(is_there(p->dir_fd, "missing"));
}

static long ms_since(const struct timespec *start)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - start->tv_sec) * 1000 + (now.tv_nsec - start->tv_nsec) / 1000000;
}

static void locks_exclude_and_time_out(void **state)
{
	const struct place *p = *state;
	struct err err = {0};
	struct timespec start = {0};
	int first = -1;
	int second = -1;
	int third = -1;

	assert_int_equal(fs_lock_at(p->root_fd, "lock", true, 0, &first, &err), 0);
	assert_int_equal(fs_lock_at(p->root_fd, "lock", true, 0, &second, &err), -1);
	assert_string_equal(err.msg, "cannot lock 'lock': another process holds it");
	assert_int_equal(err.errnum, EWOULDBLOCK);
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(fs_lock_at(p->root_fd, "lock", false, 100, &second, &err), -1);
	assert_int_equal(err.errnum, EWOULDBLOCK);
	assert_in_range(ms_since(&start), 99, 5000);
	cleanup_fd(&first);
	assert_int_equal(fs_lock_at(p->root_fd, "lock", false, 0, &second, &err), 0);
	assert_int_equal(fs_lock_at(p->root_fd, "lock", false, -1, &third, &err), 0);
	assert_int_equal(second == third, 0);
	cleanup_fd(&second);
	cleanup_fd(&third);
	link_to(p->root_fd, "lock", "link");
	assert_int_equal(fs_lock_at(p->root_fd, "link", false, 0, &third, &err), -1);
	assert_string_equal(err.msg,
			    "cannot open the lock 'link': Too many levels of symbolic links");
}

/* Who waits for a lock whose file is removed gets a lock on the new file, not on the old one. */
static void a_lock_is_on_the_file_of_that_name(void **state)
{
	const struct place *p = *state;
	struct err err = {0};
	struct stat ours;
	struct stat named;
	int waiter_says[2];
	int first = -1;
	char ok = 0;
	pid_t pid;

	assert_int_equal(pipe(waiter_says), 0);
	assert_int_equal(fs_lock_at(p->root_fd, "lock", true, 0, &first, &err), 0);
	pid = fork();
	assert_int_not_equal(pid, -1);
	if (pid == 0) {
		int fd = -1;
		cleanup_fd(&first);
		(void)!write(waiter_says[1], "r", 1);
		ok = fs_lock_at(p->root_fd, "lock", true, 5000, &fd, &err) == 0 &&
		     fstat(fd, &ours) == 0 && fstatat(p->root_fd, "lock", &named, 0) == 0 &&
		     ours.st_ino == named.st_ino;
		(void)!write(waiter_says[1], ok ? "y" : "n", 1);
		_exit(0);
	}
	assert_int_equal(read(waiter_says[0], &ok, 1), 1);
	/* Let it come to its flock; the test holds either way. */
	(void)poll(NULL, 0, 20);
	assert_int_equal(unlinkat(p->root_fd, "lock", 0), 0);
	cleanup_fd(&first);
	assert_int_equal(read(waiter_says[0], &ok, 1), 1);
	assert_int_equal(ok, 'y');
	(void)waitpid(pid, NULL, 0);
	(void)close(waiter_says[0]);
	(void)close(waiter_says[1]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)
	const struct CMUnitTest tests[] = {
		TEST(hostile_links_stay_in_the_root),
		TEST(magic_links_are_refused),
		TEST(beneath_refuses_what_leaves),
		TEST(races_neither_escape_nor_fail),
		TEST(mkdirs_follows_and_makes),
		TEST(mkdirs_fails_clearly),
		TEST(mkdirs_of_our_own),
		TEST(read_whole_within_the_limit),
		TEST(write_atomic_replaces_whole),
		TEST(knobs),
		TEST(locks_exclude_and_time_out),
		TEST(a_lock_is_on_the_file_of_that_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
