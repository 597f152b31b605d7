/*
 * root_world — a small root, an environment and a project, in the tmpfs of a child of run_world's.
 */
#ifndef SBX_TESTS_UNIT_ROOT_WORLD_H
#define SBX_TESTS_UNIT_ROOT_WORLD_H

#include "plan/plan.h"
#include "run_world.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static inline int make_parts(const struct world *w)
{
	static const char *const folders[] = {
		"base", "base/etc", "base/usr",  "base/secret", "base/odd", "project",
		"env",  "env/work", "env/upper", "env/home",    "env/run",
	};

	(void)w;
	for (size_t i = 0; i < N(folders); i++)
		REQUIRE(mkdir(folders[i], 0755) == 0);
	REQUIRE(put_text("base/etc/os-release", "ID=tiny\n") == 0);
	REQUIRE(put_text("base/etc/resolv.conf", "of the image\n") == 0);
	REQUIRE(put_text("base/secret/key", "x") == 0);
	REQUIRE(put_text("base/odd/copied", "copied\n") == 0);
	REQUIRE(chmod("base/odd", 0711) == 0);
	return 0;
}

static inline struct plan plan_of_parts(const struct world *w)
{
	static struct standin standins[] = {
		{.kind = STANDIN_DIR, .path = "/etc", .mode = 0755},
		{.kind = STANDIN_FILE,
		 .path = "/etc/resolv.conf",
		 .data = "of sbx\n",
		 .mode = 0644},
		{.kind = STANDIN_FILE, .path = "/etc/shadow", .mode = 0640},
		{.kind = STANDIN_DIR, .path = "/new", .mode = 01777},
		{.kind = STANDIN_LINK, .path = "/new/link", .data = "../etc"},
		{.kind = STANDIN_DIR, .path = "/odd", .mode = 0755},
	};

	static const char *const no_layers[] = {NULL};

	return (struct plan){
		.rung = RUNG_SINGLE,
		.env_dir = world_path(w, "store/envs/env"), /* only compared, and named */
		.project = world_path(w, "project"),
		.base_dir = world_path(w, "base"),
		.upper = "upper",
		.layers = no_layers,
		.base = BASE_DIR,
		.driver = ROOT_KERNEL,
		.fuse_options = "",
		.standins = standins,
		.n_standins = N(standins),
	};
}

#endif
