/*
 * chain_world — a store with one environment, and layers by hand.
 */
#ifndef SBX_TESTS_CHAIN_WORLD_H
#define SBX_TESTS_CHAIN_WORLD_H

#include <dirent.h>

#include "diff_world.h"
#include "store/env_chain.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

struct site {
	struct world *w;
	struct store s;
	struct env e;
};

static inline void site_open(struct site *t)
{
	struct err err = {0};

	assert_int_equal(env_open(t->w->a, &t->s, "/p", "default", &t->e, &err), 0);
}

/* As another command finds it. */
static inline void reopen(struct site *t)
{
	env_done(&t->e);
	site_open(t);
}

static inline struct site site_new(void **state)
{
	struct site t = {.w = *state};
	struct err err = {0};

	assert_int_equal(store_open(t.w->a, &t.s, &err), 0);
	assert_int_equal(env_open_or_make(t.w->a, &t.s, "/p", "default", &t.e, &err), 0);
	assert_int_equal(env_set_used(&t.e, 1, 1, true, &err), 0);
	reopen(&t);
	return t;
}

static inline void site_done(struct site *t)
{
	env_done(&t->e);
	store_done(&t->s);
}

static inline size_t count(const struct store *s, const char *name)
{
	_cleanup_fd_ int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_dir_ DIR *d = fdopendir(fd);
	const struct dirent *entry;
	size_t n = 0;

	assert_non_null(d);
	(void)TAKE_FD(fd);
	while ((entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	return n;
}

/* A staging folder that has all but the tree; its layer was made with that map. */
static inline struct layer_stage stage_new(const struct site *t, const char *digest,
					   const char *map)
{
	struct layer_stage st = {0};
	struct layer_info info = {.map = map, .created = 7};
	struct err err = {0};

	memcpy(info.digest, digest, sizeof(info.digest));
	assert_int_equal(layer_stage_make(t->w->a, &t->s, &st, &err), 0);
	assert_int_equal(layer_stage_info(&st, &info, &err), 0);
	return st;
}

static inline void publish(const struct site *t, const char *digest, const char *map)
{
	struct layer_stage st = stage_new(t, digest, map);
	struct err err = {0};
	bool fresh;

	dir(st.fd, LAYER_TREE);
	file(st.fd, "tree/first", "");
	assert_int_equal(layer_publish(&t->s, &st, digest, &fresh, &err), 0);
	assert_true(fresh);
	layer_stage_done(&st);
}

static inline struct commit commit_of(const char *digest)
{
	return (struct commit){
		.digest = digest, .message = "m", .by = "sbx commit", .tree = LAYER_TREE};
}

static inline void settle(struct site *t)
{
	struct err err = {0};

	if (env_settle(t->w->a, &t->s, &t->e, &err) < 0)
		fail_msg("%s", err.msg);
}

#endif
