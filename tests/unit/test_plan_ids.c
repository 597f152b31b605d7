/* Id maps, whatever the ids of the user. */
#include "plan_world.h"

/* Where the kernel would put `id` of a map, or UINT32_MAX. */
static uint32_t through(const struct id_map *map, uint32_t id)
{
	for (size_t i = 0; i < map->n; i++)
		if (id >= map->line[i].inside && id - map->line[i].inside < map->line[i].count)
			return map->line[i].outside + (id - map->line[i].inside);
	return UINT32_MAX;
}

/* user_namespaces(7): no id twice on either side, no empty line. */
static void assert_map_valid(const struct id_map *map)
{
	assert_in_range(map->n, 1, PLAN_MAX_MAP);
	for (size_t i = 0; i < map->n; i++) {
		const struct id_map_line *x = &map->line[i];

		assert_true(x->count > 0);
		for (size_t j = 0; j < i; j++) {
			const struct id_map_line *y = &map->line[j];

			assert_true(x->inside + x->count <= y->inside ||
				    y->inside + y->count <= x->inside);
			assert_true(x->outside + x->count <= y->outside ||
				    y->outside + y->count <= x->outside);
		}
	}
}

/* newuidmap(1) refuses whatever is not the user's own. */
static void assert_map_is_own(const struct id_map *map, uint32_t own, struct id_range sub)
{
	for (size_t i = 0; i < map->n; i++) {
		const struct id_map_line *x = &map->line[i];

		if (x->outside == own && x->count == 1)
			continue;
		assert_true(x->outside >= sub.start);
		assert_true(x->outside + x->count <= sub.start + sub.count);
	}
}

/* Each line of the inner map lies within one line of the outer: the kernel wants it. */
static void assert_inner_fits(const struct id_map *inner, const struct id_map *outer)
{
	for (size_t i = 0; i < inner->n; i++) {
		const struct id_map_line *x = &inner->line[i];
		bool fits = false;

		for (size_t j = 0; j < outer->n; j++) {
			const struct id_map_line *y = &outer->line[j];

			if (x->outside >= y->inside &&
			    x->outside + x->count <= y->inside + y->count)
				fits = true;
		}
		assert_true(fits);
	}
}

static void maps_hold_for_any_user(void **state)
{
	static const uint32_t uids[] = {0, 1, 999, 1000, 65533, 65535, 65536, 1234567, 4000000000};
	static const uint32_t counts[] = {65535, 65536, 200000};

	for (size_t i = 0; i < sizeof(uids) / sizeof(uids[0]); i++) {
		for (size_t j = 0; j < 2 * sizeof(counts) / sizeof(counts[0]); j++) {
			struct world *w = *state;
			const struct plan *plan;

			w->profile.user.as = j % 2 ? AS_ROOT : AS_SELF;
			w->facts.uid = uids[i];
			w->facts.gid = uids[i];
			w->facts.subuid = (struct id_range){2000000, counts[j / 2]};
			w->facts.subgid = w->facts.subuid;
			plan = made(w);
			assert_int_equal(plan->rung, RUNG_SUBIDS);
			assert_map_valid(&plan->uid_map);
			assert_map_valid(&plan->gid_map);
			assert_map_valid(&plan->inner_uid_map);
			assert_map_is_own(&plan->uid_map, uids[i], w->facts.subuid);
			assert_map_is_own(&plan->gid_map, uids[i], w->facts.subgid);
			assert_inner_fits(&plan->inner_uid_map, &plan->uid_map);
			assert_inner_fits(&plan->inner_gid_map, &plan->gid_map);
			/* The user is himself, and every id of a normal root is there. */
			assert_int_equal(through(&plan->uid_map, plan->self_uid), uids[i]);
			assert_int_equal(through(&plan->gid_map, plan->self_gid), uids[i]);
			assert_int_not_equal(through(&plan->uid_map, 0), UINT32_MAX);
			assert_int_not_equal(through(&plan->uid_map, 65534), UINT32_MAX);
		}
	}
}

static void single_rung_shows_own_id(void **state)
{
	struct world *w = *state;
	const struct plan *plan;

	w->facts.newgidmap = NULL;
	plan = made(w);
	assert_int_equal(plan->rung, RUNG_SINGLE);
	assert_true(plan->emulate_root);
	assert_null(plan->newuidmap);
	assert_int_equal(through(&plan->uid_map, 0), 1000);
	assert_int_equal(through(&plan->inner_uid_map, 1000), 0);
	assert_string_equal(plan->fuse_options, "");
	w->facts.overlay_userxattr = false;
	assert_string_equal(made(w)->fuse_options, "squash_to_root");
}

static void nobody_has_no_subids(void **state)
{
	struct world *w = *state;

	w->facts.gid = 65534;
	assert_int_equal(made(w)->rung, RUNG_SINGLE);
	w->profile.user.as = AS_ROOT;
	assert_int_equal(made(w)->rung, RUNG_SUBIDS);
}

static void kept_rung_wins(void **state)
{
	struct world *w = *state;

	w->env.kept_rung = RUNG_SINGLE;
	assert_int_equal(made(w)->rung, RUNG_SINGLE);
	w->env.kept_rung = RUNG_SUBIDS;
	assert_int_equal(made(w)->rung, RUNG_SUBIDS);
	w->facts.subgid.count = 65534;
	refused(w,
		"cannot enter 'demo-0': it was made with subordinate ids, and now /etc/subgid "
		"gives too few ids",
		"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 me; or "
		"`sbx rm` forgets the environment");
	w->facts.newuidmap = NULL;
	refused(w,
		"cannot enter 'demo-0': it was made with subordinate ids, and now newuidmap is "
		"not installed",
		"sudo apt install uidmap; or `sbx rm` forgets the environment");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(maps_hold_for_any_user),
		WORLD_TEST(single_rung_shows_own_id),
		WORLD_TEST(nobody_has_no_subids),
		WORLD_TEST(kept_rung_wins),
	};

	return cmocka_run_group_tests_name("plan_ids", tests, NULL, NULL);
}
