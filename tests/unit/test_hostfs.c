/*
 * The host's root by our own FUSE server: run/hostfs, run/hostfs_serve, run/hostfs_look, run/hostfs_dir and
 * run/hostfs_node; and run/prefetch, which reads through it.  What shows is this test's own folder in /tmp, by the real kernel.
 */
#include <dirent.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "base/overlay.h"
#include "plan/host.h"
#include "plan/plan.h"
#include "run/hostfs.h"
#include "run/mnt.h"
#include "run/prefetch.h"
#include "run_world.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

/* The server runs outside, and shows /tmp and a link. */
static struct hostfs server;

static struct plan plan_of(const struct world *w)
{
	static const struct host_entry entries[] = {{"bin", "usr/bin"}, {"tmp", NULL}};
	static struct hidden_path hidden[2];

	hidden[0] = (struct hidden_path){world_path(w, "secret"), 0711};
	hidden[1] = (struct hidden_path){world_path(w, "letters"), 0};
	return (struct plan){
		.rung = RUNG_SINGLE,
		.entries = entries,
		.n_entries = N(entries),
		.hidden = hidden,
		.n_hidden = N(hidden),
		.driver = ROOT_KERNEL,
	};
}

static int make_files(const struct world *w)
{
	static const char *const folders[] = {"sub",     "sub/deep", "secret",
					      "letters", "closed",   "m"};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	_cleanup_fd_ int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(chdir(w->dir), 0);
	assert_int_equal(chmod(".", 0755), 0);
	for (size_t i = 0; i < N(folders); i++)
		assert_int_equal(mkdir(folders[i], 0755), 0);
	assert_int_equal(put_text("sub/file", "text\n"), 0);
	assert_int_equal(put_text("sub/deep/x", "x"), 0);
	assert_int_equal(put_text("secret/key", "key"), 0);
	assert_int_equal(put_text("letters/one", "dear"), 0);
	assert_int_equal(put_text("closed/x", "x"), 0);
	assert_int_equal(put_text("mine", "mine"), 0);
	assert_int_equal(chmod("mine", 0640), 0);
	assert_int_equal(chmod("closed", 0750), 0);
	assert_int_equal(link("sub/file", "sub/again"), 0);
	assert_int_equal(symlink("sub/file", "link"), 0);
	assert_int_equal(mkfifo("pipe", 0666), 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "sock");
	assert_int_equal(bind(sock, (const struct sockaddr *)&address, sizeof(address)), 0);
	return 0;
}

/* In the child: the filesystem at `host`, in the world's folder, which a tmpfs covers. */
static int show(void)
{
	_cleanup_fd_ int fd = -1;
	_cleanup_fd_ int at = -1;
	struct err err = {0};

	REQUIRE(mkdir("host", 0755) == 0);
	at = open("host", O_PATH | O_DIRECTORY | O_CLOEXEC);
	REQUIRE_DONE(hostfs_mount(server.sock, &fd, &err));
	REQUIRE_DONE(mnt_attach(fd, at, &err));
	return 0;
}

static void with_server(const struct world *w, int (*body)(const struct world *w))
{
	const struct plan plan = plan_of(w);
	struct err err = {0};

	if (access("/dev/fuse", R_OK | W_OK) < 0) {
		not_had("/dev/fuse");
		return;
	}
	(void)make_files(w);
	if (hostfs_start(&plan, -1, &server, &err) < 0)
		fail_msg("%s", err.msg);
	in_namespace(w, body);
	hostfs_done(&server);
	hostfs_done(&server);
	hostfs_done(NULL);
}

static const char *shown(const struct world *w, const char *name)
{
	return arena_printf(w->a, "host%s/%s", w->dir, name);
}

/* The names of a folder, as many as there are; -1: it cannot be read. */
static int names_of(const char *path, const char *wanted)
{
	_cleanup_dir_ DIR *d = opendir(path);
	const struct dirent *entry;
	int n = 0;

	if (!d)
		return -1;
	while ((entry = readdir(d)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (!strstr(wanted, entry->d_name))
			(void)fprintf(stderr, "# also in %s: %s\n", path, entry->d_name);
		n++;
	}
	return n;
}

static int look(const struct world *w)
{
	struct stat a;
	struct stat b;
	struct err err = {0};
	char value[16];

	REQUIRE(show() == 0);
	REQUIRE(names_of("host", "bin tmp") == 2 && is_link_to("host/bin", "usr/bin"));
	REQUIRE(lstat("host/bin", &a) == 0 && a.st_uid == 0 && a.st_size == 7);
	REQUIRE(access("host/usr", F_OK) < 0 && errno == ENOENT);
	REQUIRE(has_text(shown(w, "sub/file"), "text\n"));
	REQUIRE(is_link_to(shown(w, "link"), "sub/file") && has_text(shown(w, "link"), "text\n"));
	/* Sockets and pipes are not there. */
	REQUIRE(access(shown(w, "sock"), F_OK) < 0 && access(shown(w, "pipe"), F_OK) < 0);
	REQUIRE(names_of(shown(w, ""), "sub secret letters closed m mine link data config home") >=
		7);
	/* A hard link is one file. */
	REQUIRE(stat(shown(w, "sub/file"), &a) == 0 && stat(shown(w, "sub/again"), &b) == 0);
	REQUIRE(a.st_ino == b.st_ino && a.st_nlink == 2 && a.st_size == 5 && a.st_uid == 0);
	REQUIRE(getxattr(shown(w, "sub/file"), "user.x", value, sizeof(value)) < 0);
	REQUIRE(put_text(shown(w, "sub/new"), "") < 0 && errno == EROFS);
	(void)err;
	return 0;
}

static void the_hosts_files_show(void **state)
{
	with_server(*state, look);
}

static int look_at_closed(const struct world *w)
{
	struct stat st;

	REQUIRE(show() == 0);
	REQUIRE(has_text(shown(w, "mine"), "") && mode_of(shown(w, "mine")) == 0640);
	REQUIRE(stat(shown(w, "mine"), &st) == 0 && st.st_size == 0);
	REQUIRE(names_of(shown(w, "closed"), "") == 0 && mode_of(shown(w, "closed")) == 0750);
	REQUIRE(access(shown(w, "closed/x"), F_OK) < 0 && errno == ENOENT);
	REQUIRE(names_of(shown(w, "secret"), "") == 0 && mode_of(shown(w, "secret")) == 0711);
	REQUIRE(access(shown(w, "secret/key"), F_OK) < 0 && errno == ENOENT);
	REQUIRE(names_of(shown(w, "letters"), "") == 0 && mode_of(shown(w, "letters")) == 0755);
	return 0;
}

static void what_is_closed_shows_empty(void **state)
{
	with_server(*state, look_at_closed);
}

/* The kernel's overlay with this as its lower, written to. */
static int overlay(const struct world *w)
{
	static const char *const lower[] = {"none", "host", NULL};
	const struct overlay o = {
		.lower = lower, .upper = "upper", .work = "work", .more = "userxattr"};
	const char *file = arena_printf(w->a, "root%s/sub/file", w->dir);
	const char *deep = arena_printf(w->a, "root%s/sub/deep", w->dir);
	struct stat st;

	REQUIRE(show() == 0);
	REQUIRE(mkdir("none", 0755) == 0 && mkdir("upper", 0755) == 0 && mkdir("work", 0755) == 0 &&
		mkdir("root", 0755) == 0);
	if (mount("overlay", "root", "overlay", 0, overlay_options(w->a, &o)) < 0)
		return NOT_HAD;
	REQUIRE(has_text(file, "text\n"));
	REQUIRE(chmod(file, 0600) == 0 && has_text(file, "text\n"));
	REQUIRE(put_text(file, "changed\n") == 0 && has_text(file, "changed\n"));
	REQUIRE(has_text(arena_printf(w->a, "root%s/sub/again", w->dir), "text\n"));
	REQUIRE(unlink(arena_printf(w->a, "%s/x", deep)) == 0 && rmdir(deep) == 0);
	REQUIRE(mkdir(deep, 0755) == 0 && names_of(deep, "") == 0);
	REQUIRE(lstat(arena_printf(w->a, "upper%s/sub/file", w->dir), &st) == 0);
	return 0;
}

static void the_kernels_overlay_lies_over_it(void **state)
{
	with_server(*state, overlay);
}

/* How many pages of a file the kernel has; -1: it cannot be told. */
static int pages_of(const char *path, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned char there[256] = {0};
	void *p = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	int n = 0;

	if (p == MAP_FAILED || mincore(p, size, there) < 0)
		return -1;
	for (size_t i = 0; i < size / 4096; i++)
		n += there[i] & 1;
	(void)munmap(p, size);
	return n;
}

#define CACHE_SIZE (256u * 4096)

/* run/prefetch: all pages of a file, and of a program on the PATH, come without a reader. */
static int fetch(const struct world *w)
{
	const char *file = shown(w, "etc/ld.so.cache");
	const char *program = shown(w, "etc/program");
	struct prefetch zero = {0};
	struct prefetch p;
	_cleanup_fd_ int root = -1;
	int pages = 0;

	REQUIRE(show() == 0 && pages_of(file, CACHE_SIZE) == 0 &&
		pages_of(program, CACHE_SIZE) == 0);
	root = open(shown(w, "."), O_PATH | O_DIRECTORY | O_CLOEXEC);
	prefetch_begin(TAKE_FD(root), "program", "/none:here:/etc:/bin", &p);
	while (prefetch_step(&p))
		;
	REQUIRE(!prefetch_step(&p));
	for (int i = 0; i < 1000 && pages < 2 * 256; i++) {
		(void)usleep(10000); /* polls: the kernel tells nobody that it has read ahead */
		pages = pages_of(file, CACHE_SIZE) + pages_of(program, CACHE_SIZE);
	}
	REQUIRE(pages == 2 * 256);
	/* Nothing there, or nothing that is a file, is nothing to wait for. */
	REQUIRE(mkdir("no", 0755) == 0 && mkdir("no/etc", 0755) == 0);
	REQUIRE(mkfifo("no/etc/ld.so.cache", 0644) == 0);
	root = open("no", O_PATH | O_DIRECTORY | O_CLOEXEC);
	prefetch_begin(TAKE_FD(root), "/no", "", &p);
	while (prefetch_step(&p))
		;
	prefetch_done(&p);
	prefetch_done(&zero);
	prefetch_done(NULL);
	return 0;
}

static void what_is_prefetched_is_there(void **state)
{
	const struct world *w = *state;
	const char *etc = world_path(w, "etc");

	assert_int_equal(mkdir(etc, 0755), 0);
	assert_int_equal(put_text(world_path(w, "etc/ld.so.cache"), "x"), 0);
	assert_int_equal(truncate(world_path(w, "etc/ld.so.cache"), CACHE_SIZE), 0);
	assert_int_equal(put_text(world_path(w, "etc/program"), "x"), 0);
	assert_int_equal(truncate(world_path(w, "etc/program"), CACHE_SIZE), 0);
	with_server(w, fetch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_hosts_files_show),
		TEST(what_is_closed_shows_empty),
		TEST(the_kernels_overlay_lies_over_it),
		TEST(what_is_prefetched_is_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
