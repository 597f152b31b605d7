/* Mounts by descriptor, made in a user namespace. */
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include <seccomp.h>

#include "run/mnt.h"
#include "run_world.h"

#ifndef TMPFS_MAGIC
#define TMPFS_MAGIC 0x01021994
#endif

static int open_path(const char *path)
{
	return open(path, O_PATH | O_CLOEXEC);
}

static int make_tmpfs(const struct world *w)
{
	const struct mnt_tmpfs how = {.mode = 01750, .uid = 0, .gid = 0};
	_cleanup_fd_ int fd = -1;
	_cleanup_fd_ int at = -1;
	struct statfs fs;
	struct statvfs vfs;
	struct stat st;
	struct err err = {0};

	(void)w;
	REQUIRE(mkdir("at", 0755) == 0 && mkdir("at/hidden", 0755) == 0);
	at = open_path("at");
	REQUIRE_DONE(mnt_new_tmpfs(&how, &fd, &err));
	/* It can be filled before it is anywhere. */
	REQUIRE(mkdirat(fd, "early", 0755) == 0 && access("at/early", F_OK) < 0);
	REQUIRE_DONE(mnt_attach(fd, at, &err));
	REQUIRE(access("at/early", F_OK) == 0 && access("at/hidden", F_OK) < 0);
	REQUIRE(mkdirat(fd, "late", 0755) == 0 && access("at/late", F_OK) == 0);
	REQUIRE(fcntl(fd, F_GETFD) == FD_CLOEXEC);
	REQUIRE(statfs("at", &fs) == 0 && fs.f_type == TMPFS_MAGIC);
	REQUIRE(statvfs("at", &vfs) == 0);
	REQUIRE((vfs.f_flag & (ST_NOSUID | ST_NODEV)) == (ST_NOSUID | ST_NODEV));
	REQUIRE(stat("at", &st) == 0 && (st.st_mode & 07777) == 01750);
	return 0;
}

static void a_tmpfs_is_made_and_put_somewhere(void **state)
{
	in_namespace(*state, make_tmpfs);
}

static int make_with_options(const struct world *w)
{
	static const struct mnt_option good[] = {
		{"size", "64k"}, {"mode", "1777"}, {"inode64", NULL}, {NULL, NULL}};
	static const struct mnt_option bad[] = {{"size", "much"}, {NULL, NULL}};
	static const struct mnt_option unknown[] = {{"colour", NULL}, {NULL, NULL}};
	_cleanup_fd_ int fd = -1;
	struct err err = {0};
	struct statvfs vfs;

	(void)w;
	REQUIRE_DONE(mnt_new("tmpfs", good, MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY, &fd, &err));
	REQUIRE(fstatvfs(fd, &vfs) == 0 && vfs.f_blocks * vfs.f_frsize == 65536);
	REQUIRE((vfs.f_flag & (ST_NOEXEC | ST_RDONLY | ST_NODEV)) == (ST_NOEXEC | ST_RDONLY));
	cleanup_fd(&fd);
	/* The kernel's own words come along. */
	REQUIRE(mnt_new("tmpfs", bad, 0, &fd, &err) < 0 && fd == -1);
	REQUIRE(str_starts(err.msg, "cannot make a 'tmpfs' filesystem: tmpfs: Bad value for ") &&
		str_ends(err.msg, ": Invalid argument") && err.errnum == EINVAL);
	REQUIRE(mnt_new("tmpfs", unknown, 0, &fd, &err) < 0);
	REQUIRE(str_starts(err.msg, "cannot make a 'tmpfs' filesystem: tmpfs: Unknown parameter"));
	REQUIRE_MESSAGE(mnt_new("nosuchfs", NULL, 0, &fd, &err),
			"cannot make a 'nosuchfs' filesystem: No such device");
	/* What belongs to the first user namespace is refused without words. */
	REQUIRE_MESSAGE(mnt_new("proc", NULL, 0, &fd, &err),
			"cannot make a 'proc' filesystem: Operation not permitted");
	REQUIRE(err.errnum == EPERM);
	return 0;
}

static void options_reach_the_filesystem(void **state)
{
	in_namespace(*state, make_with_options);
}

/* a/ with b/ below, each a tmpfs, and two folders to put clones over. */
static int prepare_tree(void)
{
	REQUIRE(mkdir("a", 0755) == 0 && mkdir("one", 0755) == 0 && mkdir("all", 0755) == 0);
	REQUIRE(mount("none", "a", "tmpfs", 0, "") == 0 && mkdir("a/b", 0755) == 0);
	REQUIRE(mount("none", "a/b", "tmpfs", 0, "") == 0);
	REQUIRE(put_text("a/file", "a") == 0 && put_text("a/b/file", "b") == 0);
	return 0;
}

static int clone_tree(const struct world *w)
{
	_cleanup_fd_ int a = -1;
	_cleanup_fd_ int one = -1;
	_cleanup_fd_ int all = -1;
	_cleanup_fd_ int one_at = -1;
	_cleanup_fd_ int all_at = -1;
	struct err err = {0};

	(void)w;
	REQUIRE(prepare_tree() == 0);
	a = open_path("a");
	one_at = open_path("one");
	all_at = open_path("all");
	REQUIRE_DONE(mnt_clone(a, false, &one, &err));
	REQUIRE_DONE(mnt_clone(a, true, &all, &err));
	REQUIRE(fcntl(one, F_GETFD) == FD_CLOEXEC);
	REQUIRE_DONE(mnt_attach(one, one_at, &err));
	REQUIRE_DONE(mnt_attach(all, all_at, &err));
	REQUIRE(has_text("one/file", "a") && access("one/b/file", F_OK) < 0);
	REQUIRE(has_text("all/file", "a") && has_text("all/b/file", "b"));
	/* Clones of one filesystem, not copies. */
	REQUIRE(put_text("all/b/file", "new") == 0 && has_text("a/b/file", "new"));
	return 0;
}

static void a_mount_is_cloned_alone_or_with_what_is_on_it(void **state)
{
	in_namespace(*state, clone_tree);
}

static int clone_file(const struct world *w)
{
	_cleanup_fd_ int file = -1;
	_cleanup_fd_ int clone = -1;
	_cleanup_fd_ int at = -1;
	struct err err = {0};

	(void)w;
	REQUIRE(put_text("from", "from") == 0 && put_text("to", "to") == 0);
	file = open_path("from");
	at = open_path("to");
	REQUIRE_DONE(mnt_clone(file, false, &clone, &err));
	REQUIRE_DONE(mnt_restrict(clone, MOUNT_ATTR_RDONLY, false, &err));
	REQUIRE_DONE(mnt_attach(clone, at, &err));
	REQUIRE(has_text("to", "from"));
	REQUIRE(put_text("to", "x") < 0 && errno == EROFS);
	REQUIRE(put_text("from", "x") == 0);
	return 0;
}

static void a_file_can_be_mounted_on_a_file(void **state)
{
	in_namespace(*state, clone_file);
}

static int restrict_tree(const struct world *w)
{
	_cleanup_fd_ int a = -1;
	_cleanup_fd_ int one = -1;
	_cleanup_fd_ int all = -1;
	_cleanup_fd_ int one_at = -1;
	_cleanup_fd_ int all_at = -1;
	struct err err = {0};

	(void)w;
	REQUIRE(prepare_tree() == 0);
	a = open_path("a");
	one_at = open_path("one");
	all_at = open_path("all");
	REQUIRE_DONE(mnt_clone(a, true, &one, &err));
	REQUIRE_DONE(mnt_clone(a, true, &all, &err));
	REQUIRE_DONE(mnt_restrict(one, MOUNT_ATTR_RDONLY, false, &err));
	REQUIRE_DONE(mnt_restrict(all, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID, true, &err));
	REQUIRE_DONE(mnt_attach(one, one_at, &err));
	REQUIRE_DONE(mnt_attach(all, all_at, &err));
	REQUIRE(put_text("one/file", "x") < 0 && errno == EROFS &&
		put_text("one/b/file", "x") == 0);
	REQUIRE(put_text("all/file", "x") < 0 && errno == EROFS);
	REQUIRE(put_text("all/b/file", "x") < 0 && errno == EROFS);
	/* What was cloned stays as it was. */
	REQUIRE(put_text("a/file", "x") == 0 && put_text("a/b/file", "x") == 0);
	return 0;
}

static void a_mount_is_restricted_alone_or_with_what_is_on_it(void **state)
{
	in_namespace(*state, restrict_tree);
}

static int fail_all(const struct world *w)
{
	_cleanup_fd_ int here = open_path(".");
	struct err err = {0};
	int fd = -2;

	(void)w;
	REQUIRE_MESSAGE(mnt_clone(-1, true, &fd, &err),
			"cannot clone a mount: Bad file descriptor");
	REQUIRE_MESSAGE(mnt_restrict(-1, MOUNT_ATTR_RDONLY, false, &err),
			"cannot restrict a mount: Bad file descriptor");
	REQUIRE(err.hint[0] == '\0');
	REQUIRE_MESSAGE(mnt_attach(-1, here, &err), "cannot attach a mount: Bad file descriptor");
	REQUIRE(fd == -2);
	return 0;
}

static void failures_are_told(void **state)
{
	in_namespace(*state, fail_all);
}

/* As before Linux 5.12. */
static int restrict_on_an_old_kernel(const struct world *w)
{
	_cleanup_fd_ int here = open_path(".");
	_cleanup_fd_ int clone = -1;
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	struct err err = {0};
	int r;

	(void)w;
	REQUIRE_DONE(mnt_clone(here, false, &clone, &err));
	r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(mount_setattr), 0);
	REQUIRE(r == 0 && seccomp_load(filter) == 0);
	seccomp_release(filter);
	REQUIRE_MESSAGE(mnt_restrict(clone, MOUNT_ATTR_RDONLY, false, &err),
			"cannot restrict a mount: Function not implemented");
	REQUIRE(strcmp(err.hint, "sbx needs Linux 5.12 or later") == 0);
	return 0;
}

static void an_old_kernel_has_a_hint(void **state)
{
	in_namespace(*state, restrict_on_an_old_kernel);
}

/* Are there mounts that pass on what happens to them, or hear of others? */
static bool mountinfo_has(const char *word)
{
	_cleanup_buf_ struct buf b = {0};

	return fs_read_at(AT_FDCWD, "/proc/self/mountinfo", 1u << 24, &b, NULL) == 0 &&
	       strstr(b.p, word) != NULL;
}

static bool any_is_shared(void)
{
	return mountinfo_has(" shared:") || mountinfo_has(" master:");
}

static int make_private(const struct world *w)
{
	/* Keeps the mounts that ours are copies of. */
	_cleanup_fd_ int others = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	struct err err = {0};

	(void)w;
	REQUIRE(others >= 0 && mount("none", "/", NULL, MS_REC | MS_SHARED, NULL) == 0);
	REQUIRE(unshare(CLONE_NEWNS) == 0 && any_is_shared());
	REQUIRE_DONE(mnt_make_private(&err));
	REQUIRE(!any_is_shared());
	return 0;
}

static void all_mounts_become_private(void **state)
{
	in_namespace(*state, make_private);
}

/* In a copy of the mounts: an unmount comes in, and nothing goes out. */
static int make_slave(const struct world *w)
{
	struct err err = {0};
	int ends[2];
	pid_t pid;
	int status = -1;
	char byte;

	REQUIRE(mkdir("disk", 0755) == 0 && mount("none", "disk", "tmpfs", 0, "") == 0);
	REQUIRE(mkdir("disk/x", 0755) == 0 && mkdir("mine", 0755) == 0);
	REQUIRE(mount("none", "/", NULL, MS_REC | MS_SHARED, NULL) == 0);
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
	pid = fork();
	if (pid == 0) {
		const char *x = world_path(w, "disk/x");
		bool fine = unshare(CLONE_NEWNS) == 0 && mnt_make_slave(&err) == 0 &&
			    !mountinfo_has(" shared:") && mountinfo_has(" master:") &&
			    access(x, F_OK) == 0 &&
			    mount("none", world_path(w, "mine"), "tmpfs", 0, "mode=700") == 0;

		(void)!write(ends[1], "1", 1);
		(void)!read(ends[1], &byte, 1);
		_exit(fine && access(x, F_OK) < 0 ? 0 : 1);
	}
	REQUIRE(readable(ends[0]) && read(ends[0], &byte, 1) == 1);
	REQUIRE(mode_of("mine") == 0755 && umount2("disk", 0) == 0);
	REQUIRE(write(ends[0], "1", 1) == 1);
	REQUIRE_DONE(proc_wait(pid, &status, &err));
	REQUIRE(status == 0);
	return 0;
}

static void a_slave_hears_of_unmounts_and_tells_none(void **state)
{
	in_namespace(*state, make_slave);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_tmpfs_is_made_and_put_somewhere),
		TEST(options_reach_the_filesystem),
		TEST(a_mount_is_cloned_alone_or_with_what_is_on_it),
		TEST(a_file_can_be_mounted_on_a_file),
		TEST(a_mount_is_restricted_alone_or_with_what_is_on_it),
		TEST(failures_are_told),
		TEST(an_old_kernel_has_a_hint),
		TEST(all_mounts_become_private),
		TEST(a_slave_hears_of_unmounts_and_tells_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
