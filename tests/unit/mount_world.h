/*
 * mount_world — a building ground with a root/ to mount over, as run/root.h describes it, in the
 * tmpfs of a child of run_world's.
 */
#ifndef SBX_TESTS_UNIT_MOUNT_WORLD_H
#define SBX_TESTS_UNIT_MOUNT_WORLD_H

#include "plan/plan.h"
#include "run/mount.h"
#include "run/source.h"
#include "run_world.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static inline int make_ground(void)
{
	static const char *const folders[] = {"root",       "env",   "env/home", "store",
					      "store/envs", "empty", "project",  "host"};

	for (size_t i = 0; i < N(folders); i++)
		REQUIRE(mkdir(folders[i], 0755) == 0);
	REQUIRE(put_text("nothing", "") == 0);
	return 0;
}

static inline struct plan plan_of(const struct world *w, struct mount_step *steps, size_t n)
{
	static const char *const no_layers[] = {NULL};

	return (struct plan){
		.rung = RUNG_SINGLE,
		.layers = no_layers,
		.env_dir = world_path(w, "store/envs/demo"),
		.project = world_path(w, "project"),
		.mounts = steps,
		.n_mounts = n,
	};
}

/* As pid 1 and the supervisor together do it. */
static inline int mount_sources(const struct plan *plan, struct err *err)
{
	struct mounting mounting = {0};
	struct sources sources = {0};
	int r;

	if (sources_open(plan, &sources, err) < 0)
		return -1;
	r = mount_make(plan, &mounting, err);
	if (r == 0)
		r = mount_put(&mounting, &sources, err);
	mounting_done(&mounting);
	sources_done(&sources);
	return r;
}

/* Is nothing mounted in the world but its tmpfs, and what lies below root/? */
static inline bool all_below_root(void)
{
	_cleanup_buf_ struct buf b = {0};
	_cleanup_free_ char *cwd = getcwd(NULL, 0);
	_cleanup_free_ char *root = xasprintf("%s/root", cwd);
	char *save = NULL;

	if (fs_read_at(AT_FDCWD, "/proc/self/mountinfo", 1u << 24, &b, NULL) < 0)
		return false;
	for (char *line = strtok_r(b.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char point[4096] = "";

		(void)sscanf(line, "%*s %*s %*s %*s %4095s", point);
		if (!str_starts(point, cwd) || strcmp(point, cwd) == 0 || str_starts(point, root))
			continue;
		(void)fprintf(stderr, "# mounted outside: %s\n", point);
		return false;
	}
	return true;
}

#endif
