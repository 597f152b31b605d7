/*
 * store_world — a made home for tests of store/ and of the host's facts: a
 * temporary folder that the XDG variables point into.
 */
#ifndef SBX_TESTS_STORE_WORLD_H
#define SBX_TESTS_STORE_WORLD_H

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/proc.h"
#include "base/str.h"

struct world {
	struct arena *a;
	const char *dir; /* holds data/ (XDG_DATA_HOME), config/ (XDG_CONFIG_HOME), home/ */
};

static inline const char *world_path(const struct world *w, const char *name)
{
	return arena_printf(w->a, "%s/%s", w->dir, name);
}

static inline void world_mkdir(const struct world *w, const char *name)
{
	struct err err = {0};

	assert_int_equal(fs_mkdirs(world_path(w, name), 0755, &err), 0);
}

static inline void world_write(const struct world *w, const char *name, const char *text)
{
	_cleanup_file_ FILE *f = fopen(world_path(w, name), "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static inline int world_make(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	char dir[] = "/tmp/sbx-test-store.XXXXXX";

	assert_non_null(w);
	w->a = arena_new();
	assert_non_null(mkdtemp(dir));
	w->dir = arena_strdup(w->a, dir);
	world_mkdir(w, "home");
	assert_int_equal(setenv("XDG_DATA_HOME", world_path(w, "data"), 1), 0);
	assert_int_equal(setenv("XDG_CONFIG_HOME", world_path(w, "config"), 1), 0);
	assert_int_equal(setenv("HOME", world_path(w, "home"), 1), 0);
	assert_int_equal(unsetenv("SBX_PROFILES"), 0);
	*state = w;
	return 0;
}

static inline int world_remove(void **state)
{
	struct world *w = *state;
	struct err err = {0};

	assert_int_equal(fs_remove_tree_at(AT_FDCWD, w->dir, &err), 0);
	arena_free(w->a);
	free(w);
	return 0;
}

/* In a child: become root of a user namespace with mounts of its own. */
static inline int world_unshare(void)
{
	char map[64];
	unsigned uid = geteuid();
	unsigned gid = getegid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -1;
	(void)fs_write_knob("/proc/self/setgroups", "deny");
	(void)snprintf(map, sizeof(map), "0 %u 1", uid);
	if (fs_write_knob("/proc/self/uid_map", map) < 0)
		return -1;
	(void)snprintf(map, sizeof(map), "0 %u 1", gid);
	return fs_write_knob("/proc/self/gid_map", map);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_make, world_remove)

#endif
