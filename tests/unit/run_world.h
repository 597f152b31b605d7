/*
 * run_world — store_world, and children of the tests in namespaces of their own: for the tests
 * of run/.
 *
 *     static int body(const struct world *w) { REQUIRE(…); return 0; }
 *     static void test(void **state) { in_namespace(*state, body); }
 */
#ifndef SBX_TESTS_UNIT_RUN_WORLD_H
#define SBX_TESTS_UNIT_RUN_WORLD_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "store_world.h"

#define RUN_LIMIT_MS 20000

/* For children: where an assertion of cmocka's fails, they would go on with the next test. */
#define REQUIRE(what)                                                                      \
	do {                                                                               \
		if (!(what)) {                                                             \
			(void)fprintf(stderr, "# line %d: not %s (%s)\n", __LINE__, #what, \
				      strerror(errno));                                    \
			return 1;                                                          \
		}                                                                          \
	} while (0)

/* The call fails with the message; an empty one: it succeeds.  Fills the `err` in scope. */
#define REQUIRE_MESSAGE(call, message)                                                            \
	do {                                                                                      \
		err = (struct err){0};                                                            \
		if ((call) != ((message)[0] ? -1 : 0) || strcmp(err.msg, (message)) != 0) {       \
			(void)fprintf(stderr, "# line %d: %s: '%s'\n", __LINE__, #call, err.msg); \
			return 1;                                                                 \
		}                                                                                 \
	} while (0)
#define REQUIRE_DONE(call) REQUIRE_MESSAGE(call, "")

/* What a machine lacks is a skip, and a failure where nothing may be left out. */
static inline void not_had(const char *what)
{
	const char *must = getenv("SBX_MUST_RUN");

	if (must && strcmp(must, "1") == 0)
		fail_msg("%s is not to be had", what);
	print_message("# skipped: %s is not to be had\n", what);
}

/* The status of a body that found out so. */
#define NOT_HAD 77

struct in_child {
	const struct world *w;
	int (*body)(const struct world *w);
};

/* Root of a user namespace with one id, in mounts of its own with a tmpfs over the world's
 * folder, which is the current one. */
static inline int run_in_child(void *arg)
{
	const struct in_child *c = arg;

	if (world_unshare() < 0)
		return NOT_HAD;
	REQUIRE(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	REQUIRE(mount("none", c->w->dir, "tmpfs", 0, "mode=755") == 0);
	REQUIRE(chdir(c->w->dir) == 0);
	return c->body(c->w);
}

static inline void in_namespace(const struct world *w, int (*body)(const struct world *w))
{
	struct in_child c = {w, body};
	int r = proc_call(run_in_child, &c);

	if (r == NOT_HAD)
		not_had("what this test needs");
	else
		assert_int_equal(r, 0);
}

/* For children: a file of this text, and whether a file is of that text. */
static inline int put_text(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd < 0 ? -1 : fs_write_all(fd, text, strlen(text));
}

static inline bool has_text(const char *path, const char *text)
{
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	if (fs_read_at(AT_FDCWD, path, 1u << 20, &b, &err) < 0) {
		(void)fprintf(stderr, "# %s\n", err.msg);
		return false;
	}
	if (strcmp(b.p ? b.p : "", text) == 0)
		return true;
	(void)fprintf(stderr, "# %s: '%s'\n", path, b.p ? b.p : "");
	return false;
}

/* The permission bits, or all bits where it is not there. */
static inline mode_t mode_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 ? st.st_mode & 07777 : (mode_t)-1;
}

static inline bool is_link_to(const char *path, const char *target)
{
	char text[256];
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	if (n < 0)
		return false;
	text[n] = '\0';
	return strcmp(text, target) == 0;
}

/* Wait for the next bytes of a descriptor, or its end; false: it took too long. */
static inline bool readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, RUN_LIMIT_MS) == 1;
}

/* All that comes up to the end of file, as text; -1: it took too long. */
static inline int read_to_end(int fd, char *text, size_t size)
{
	size_t n = 0;

	for (;;) {
		ssize_t r;

		if (!readable(fd))
			return -1;
		r = read(fd, text + n, size - 1 - n);
		if (r <= 0)
			break;
		n += (size_t)r;
	}
	text[n] = '\0';
	return 0;
}

/* A script in the world's folder, which /bin/sh runs; its path. */
static inline const char *world_script(const struct world *w, const char *name, const char *text)
{
	const char *path = world_path(w, name);
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (fd < 0 || fs_write_all(fd, "#!/bin/sh\n", 10) < 0 ||
	    fs_write_all(fd, text, strlen(text)) < 0 || fchmod(fd, 0755) < 0)
		return NULL;
	return path;
}

#endif
