/*
 * launch_world — real sandboxes of a small root (a folder of links, with the host's /usr mounted), by whatever
 * rung and driver this user has.
 */
#ifndef SBX_TESTS_UNIT_LAUNCH_WORLD_H
#define SBX_TESTS_UNIT_LAUNCH_WORLD_H

#include "conf/profile.h"
#include "plan/host.h"
#include "plan/host_parts.h"
#include "plan/plan.h"
#include "run/client.h"
#include "run/launch.h"
#include "run_world.h"
#include "store/env.h"

#define DIGEST "0123456789abcdef"

static const struct client_request any_request = {.profile_digest = DIGEST};

struct box {
	const struct world *w;
	struct store store;
	struct env env;
	const struct plan *plan; /* NULL: no sandbox is to be had here, which was told */
};

/* /bin and its like: links into /usr as on the host, else folders to mount the host's on. */
static inline void make_root(const struct world *w, struct buf *mounts)
{
	static const char *const names[] = {"bin", "sbin", "lib", "lib64"};

	world_mkdir(w, "root/etc");
	world_write(w, "root/etc/os-release", "ID=tiny\n");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *host = arena_printf(w->a, "/%s", names[i]);
		const char *inside = world_path(w, arena_printf(w->a, "root/%s", names[i]));
		char target[256];
		ssize_t n = readlink(host, target, sizeof(target) - 1);

		if (n > 0) {
			target[n] = '\0';
			assert_true(symlink(target, inside) == 0 || errno == EEXIST);
		} else if (access(host, F_OK) == 0) {
			buf_printf(mounts, "%s = %s:ro\n", host, host);
		}
	}
}

static inline const struct profile *make_profile(const struct world *w, const char *more)
{
	_cleanup_buf_ struct buf text = {0};
	struct profile_source src = {.file = "sbx.ini"};
	const struct profile *profile = NULL;
	struct err err = {0};

	buf_printf(&text,
		   "[base]\nimage = dir:%s/root\n[network]\nmode = none\n[sandbox]\nlinger = 0s\n"
		   "[mounts]\n/usr = /usr:ro\n",
		   w->dir);
	make_root(w, &text);
	buf_adds(&text, more);
	src.text = text.p;
	src.len = text.len;
	if (profile_parse(w->a, &src, NULL, NULL, &profile, &err) < 0)
		fail_msg("%s", err.msg);
	return profile;
}

/* An environment of the one project; `more`: further lines of the profile, which are in [mounts] at first. */
static inline struct box box_named(const struct world *w, const char *name, const char *more)
{
	struct box b = {.w = w};
	struct host_facts facts = {0};
	struct plan_env env = {.name = "demo", .kept_rung = -1};
	struct err err = {0};

	world_mkdir(w, "home/demo/sub");
	world_write(w, "home/demo/sbx.ini", "[profile]\n");
	if (store_open(w->a, &b.store, &err) < 0 ||
	    env_open_or_make(w->a, &b.store, world_path(w, "home/demo"), name, &b.env, &err) < 0 ||
	    host_probe(w->a, -1, false, &facts, &err) < 0)
		fail_msg("%s", err.msg);
	if (!facts.userns) {
		not_had("a user namespace");
		return b;
	}
	facts.overlay_userxattr = host_overlay(b.store.fd);
	env.env_id = b.env.id;
	env.env_dir = b.env.dir;
	env.store_dir = b.store.dir;
	env.project = b.env.project;
	env.upper = b.env.upper;
	if (plan_make(w->a, make_profile(w, more), &facts, &env, &b.plan, &err) < 0) {
		not_had(arena_printf(w->a, "a plan (%s)", err.msg));
		b.plan = NULL;
	}
	return b;
}

static inline struct box box_new(const struct world *w, const char *more)
{
	return box_named(w, "default", more);
}

/* Nothing of it is left: all its parts held the lock. */
static inline void box_is_over(const struct box *b)
{
	_cleanup_fd_ int lock = -1;
	struct err err = {0};

	if (fs_lock_at(b->env.fd, "lock", true, RUN_LIMIT_MS, &lock, &err) < 0)
		fail_msg("it goes on: %s", err.msg);
	assert_int_equal(faccessat(b->env.fd, "run/sock", F_OK, 0), -1);
}

static inline void box_done(struct box *b)
{
	struct err err = {0};

	(void)client_stop(&b->env, &err);
	/* Some files may be of ids that only the map has. */
	if (b->plan && launch_remove_tree(b->plan, b->env.dir, &err) < 0)
		fail_msg("%s", err.msg);
	env_done(&b->env);
	store_done(&b->store);
}

static inline int box_start(const struct box *b)
{
	struct err err = {0};
	int sock = -1;

	if (client_start(b->plan, &b->env, &any_request, &sock, &err) < 0)
		fail_msg("%s", err.msg);
	return sock;
}

/* In a child, since it is about its streams: run the script, its output to the pipe. */
static inline void run_script(int sock, const char *script, bool as_root, int out)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	const struct client_request request = {
		.argv = argv, .env = (const char *const[]){NULL}, .cwd = "/", .as_root = as_root};
	struct err err = {0};
	int status = -1;

	(void)dup2(out, STDOUT_FILENO);
	if (client_run(sock, &request, &status, &err) < 0) {
		(void)fprintf(stderr, "# %s\n", err.msg);
		_exit(125);
	}
	_exit(status);
}

/* The output of a script that ends with success; takes the connection, -1: a new one. */
static inline const char *box_run(const struct box *b, int sock, const char *script, bool as_root)
{
	static char text[4096];
	struct err err = {0};
	int out[2];
	int status = -1;
	pid_t pid;

	if (sock < 0)
		sock = box_start(b);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		run_script(sock, script, as_root, out[1]);
	(void)close(sock);
	(void)close(out[1]);
	assert_int_equal(read_to_end(out[0], text, sizeof(text)), 0);
	(void)close(out[0]);
	assert_int_equal(proc_wait(pid, &status, &err), 0);
	assert_int_equal(proc_exit_status(status), 0);
	return text;
}

#endif
