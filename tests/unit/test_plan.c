/* The rules of the plan that the golden files show only by example. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "plan/host.h"
#include "plan/plan.h"

#define ID_COUNT 65536u

struct world {
	struct arena *a;
	struct profile profile;
	struct host_facts facts;
	struct plan_env env;
	struct err err;
};

static int setup(void **state)
{
	struct arena *a = arena_new();
	struct world *w = ARENA_NEW(a, struct world);

	w->a = a;
	profile_defaults(a, &w->profile);
	w->facts = (struct host_facts){
		.uid = 1000,
		.gid = 1000,
		.user = "me",
		.group = "me",
		.home = "/home/me",
		.shell = "/bin/bash",
		.subuid = {100000, ID_COUNT},
		.subgid = {100000, ID_COUNT},
		.newuidmap = "/usr/bin/newuidmap",
		.newgidmap = "/usr/bin/newgidmap",
		.fuse_overlayfs = "/usr/bin/fuse-overlayfs",
		.slirp4netns = "/usr/bin/slirp4netns",
		.dev_fuse = true,
		.dev_tun = true,
		.userns = true,
		.overlay_userxattr = true,
		.resolv_conf = "",
	};
	w->env = (struct plan_env){
		.env_id = "demo-0",
		.env_dir = "/home/me/.local/share/sbx/envs/demo-0",
		.store_dir = "/home/me/.local/share/sbx",
		.project = "/home/me/demo",
		.name = "demo",
		.kept_rung = -1,
		.sudo_helper = true,
		.sudo_path = "/usr/libexec/sbx/sbx-sudo",
	};
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	arena_free(w->a);
	return 0;
}

static const struct plan *made(struct world *w)
{
	const struct plan *plan = NULL;

	if (plan_make(w->a, &w->profile, &w->facts, &w->env, &plan, &w->err) < 0)
		fail_msg("refused: %s", w->err.msg);
	return plan;
}

static void refused(struct world *w, const char *msg, const char *hint)
{
	const struct plan *plan = NULL;

	assert_int_equal(plan_make(w->a, &w->profile, &w->facts, &w->env, &plan, &w->err), -1);
	assert_null(plan);
	assert_string_equal(w->err.msg, msg);
	assert_string_equal(w->err.hint, hint);
}

static void add_mount(struct world *w, const char *host, const char *inside, bool writable)
{
	struct mount_value *v =
		arena_alloc(w->a, (w->profile.mounts.n + 1) * sizeof(struct mount_value));

	if (w->profile.mounts.n > 0)
		memcpy(v, w->profile.mounts.v, w->profile.mounts.n * sizeof(*v));
	v[w->profile.mounts.n] = (struct mount_value){
		.host = host,
		.inside = inside,
		.writable = writable,
		.at = {"sbx.ini", (int)w->profile.mounts.n + 2, false},
	};
	w->profile.mounts.v = v;
	w->profile.mounts.n++;
}

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
	assert_string_equal(plan->fuse_options, "squash_to_root");
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

static const struct standin *standin_of(const struct plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->n_standins; i++)
		if (str_eq(plan->standins[i].path, path))
			return &plan->standins[i];
	return NULL;
}

static void standins_have_their_parents(void **state)
{
	struct world *w = *state;
	struct host_unreadable closed[] = {
		{"/etc/ssl/private", true, 0710},  {"/var/cache/apt/archives/partial", true, 0700},
		{"/etc/resolv.conf", false, 0600}, {"/etc-not/x", false, 0600},
		{"/etc/a", false, 0600},
	};
	const struct plan *plan;

	w->facts.unreadable = closed;
	w->facts.n_unreadable = sizeof(closed) / sizeof(closed[0]);
	add_mount(w, "/srv/x", "/a/b/c", false);
	plan = made(w);
	for (size_t i = 0; i < plan->n_standins; i++) {
		const char *path = plan->standins[i].path;
		size_t len = (size_t)(path_base(path) - path) - 1;
		bool found = len == 0;

		for (size_t j = 0; j < i; j++) {
			assert_string_not_equal(plan->standins[j].path, path);
			if (strlen(plan->standins[j].path) == len &&
			    memcmp(plan->standins[j].path, path, len) == 0)
				found = true;
		}
		if (!found)
			fail_msg("no parent before %s", path);
	}
	assert_int_equal(standin_of(plan, "/etc/ssl/private")->kind, STANDIN_OPAQUE);
	assert_int_equal(standin_of(plan, "/etc/ssl/private")->mode, 0710);
	assert_int_equal(standin_of(plan, "/a/b/c")->kind, STANDIN_DIR);
	/* Ours, not the empty cover. */
	assert_string_equal(standin_of(plan, "/etc/resolv.conf")->data, "nameserver 10.0.2.3\n");
	assert_int_equal(standin_of(plan, "/etc/resolv.conf")->mode, 0644);
}

/* A folder /bin or /lib in the stand-in layer would hide the link to usr/. */
static void links_of_the_base_stay(void **state)
{
	struct world *w = *state;
	struct host_entry entries[] = {{"usr", NULL}, {"opt", "usr/opt"}};

	w->facts.entries = entries;
	w->facts.n_entries = 2;
	add_mount(w, "/srv/x", "/lib/x", false);
	add_mount(w, "/srv/x", "/opt/x", false);
	add_mount(w, "/srv/x", "/var/run/x", false);
	assert_null(standin_of(made(w), "/lib"));
	assert_null(standin_of(made(w), "/opt"));
	assert_null(standin_of(made(w), "/var/run"));
	/* But what only begins alike is no link. */
	add_mount(w, "/srv/x", "/library/x", false);
	assert_non_null(standin_of(made(w), "/library/x"));
}

static void nothing_below_own_mounts(void **state)
{
	static const char *const trees[] = {"/dev", "/proc", "/run", "/sys", "/tmp"};
	struct world *w = *state;
	const struct plan *plan;

	w->env.project = "/tmp/work/demo";
	add_mount(w, "/srv/x", "/tmp/x", false);
	add_mount(w, "/srv/x", "/dev/shm/x", false);
	plan = made(w);
	for (size_t i = 0; i < plan->n_standins; i++)
		for (size_t j = 0; j < sizeof(trees) / sizeof(trees[0]); j++)
			assert_false(path_is_under(plan->standins[i].path, trees[j]) &&
				     !str_eq(plan->standins[i].path, trees[j]));
}

static size_t bind_at(const struct plan *plan, const char *target)
{
	for (size_t i = plan->n_mounts; i > 0; i--)
		if (plan->mounts[i - 1].kind == MOUNT_BIND &&
		    str_eq(plan->mounts[i - 1].target, target))
			return i - 1;
	fail_msg("nothing is bound at %s", target);
	return 0;
}

static void outer_mounts_come_first(void **state)
{
	struct world *w = *state;
	const struct plan *plan;

	add_mount(w, "/srv/1", "/home/me/demo/in/side", true);
	add_mount(w, "/srv/2", "/data/x", false);
	add_mount(w, "/srv/3", "/data", false);
	add_mount(w, "/srv/4", "/home", false);
	plan = made(w);
	assert_true(bind_at(plan, "/data") < bind_at(plan, "/data/x"));
	assert_true(bind_at(plan, "/home") < bind_at(plan, "/home/me"));
	assert_true(bind_at(plan, "/home/me") < bind_at(plan, "/home/me/demo"));
	assert_true(bind_at(plan, "/home/me/demo") < bind_at(plan, "/home/me/demo/in/side"));
	assert_true(bind_at(plan, "/home/me/demo/in/side") <
		    bind_at(plan, "/home/me/demo/sbx.ini"));
	assert_true(plan->mounts[bind_at(plan, "/data")].readonly);
	assert_false(plan->mounts[bind_at(plan, "/home/me/demo/in/side")].readonly);
}

/* DESIGN.md §5.10: whatever way leads to them, the sandbox does not write its own rules. */
static void policy_is_read_only_everywhere(void **state)
{
	struct world *w = *state;
	const struct plan *plan;
	size_t bind;

	w->env.project = "/srv/work/demo";
	add_mount(w, "/srv/work", "/all", true);
	add_mount(w, ".", "/same", true);
	add_mount(w, "/srv/work", "/seen", false);
	plan = made(w);
	bind = bind_at(plan, "/all/demo/sbx.ini");
	assert_true(plan->mounts[bind].readonly);
	assert_false(plan->mounts[bind].optional);
	assert_string_equal(plan->mounts[bind].source, "/srv/work/demo/sbx.ini");
	assert_true(bind > bind_at(plan, "/all"));
	assert_true(plan->mounts[bind_at(plan, "/same/.sbx")].readonly);
	assert_true(plan->mounts[bind_at(plan, "/same/sbx.lock")].optional);
	assert_true(plan->mounts[bind_at(plan, "/srv/work/demo/.sbx")].readonly);

	add_mount(w, ".sbx/cache", "/mnt/c", true);
	refused(w,
		"sbx.ini:5: cannot mount '/srv/work/demo/.sbx/cache' writable: it rules this "
		"sandbox",
		"mount it read-only: end the line with `:ro`");
}

/* conf/ refuses these while reading; the plan does not lean on it. */
static void own_places_are_refused(void **state)
{
	static const char *const places[] = {"/",        "/dev", "/dev/pts", "/run",
					     "/run/sbx", "/sys", "/proc/x",  "/run/sbx/bin"};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct world *w = *state;

		w->profile.mounts.n = 0;
		add_mount(w, "/srv/x", places[i], false);
		refused(w,
			arena_printf(w->a,
				     "sbx.ini:2: cannot mount at '%s': sbx itself fills that "
				     "place",
				     places[i]),
			"choose another path inside, such as '/mnt/x'");
	}
}

static const char *value_of(const struct plan *plan, const char *name)
{
	size_t len = strlen(name);
	const char *found = NULL;

	for (const char **v = plan->env; *v; v++) {
		if (strncmp(*v, name, len) != 0 || (*v)[len] != '=')
			continue;
		assert_null(found);
		found = *v + len + 1;
	}
	return found;
}

static int is_passed(const struct plan *plan, const char *name)
{
	int n = 0;

	for (const char **v = plan->pass; *v; v++)
		n += str_eq(*v, name);
	return n;
}

static void later_variables_win(void **state)
{
	struct world *w = *state;
	struct env_value values[] = {
		{.name = "A", .value = "1"},    {.name = "A", .value = NULL},
		{.name = "B", .value = NULL},   {.name = "B", .value = "2"},
		{.name = "TZ", .value = "UTC"}, {.name = "PATH", .value = NULL},
		{.name = "HOME", .value = ""},
	};
	const struct plan *plan;

	w->profile.env.v = values;
	w->profile.env.n = sizeof(values) / sizeof(values[0]);
	plan = made(w);
	assert_null(value_of(plan, "A"));
	assert_int_equal(is_passed(plan, "A"), 1);
	assert_string_equal(value_of(plan, "B"), "2");
	assert_int_equal(is_passed(plan, "B"), 0);
	assert_string_equal(value_of(plan, "TZ"), "UTC");
	assert_int_equal(is_passed(plan, "TZ"), 0);
	assert_int_equal(is_passed(plan, "LANG"), 1);
	/* Passed, but never lost. */
	assert_int_equal(is_passed(plan, "PATH"), 1);
	assert_non_null(value_of(plan, "PATH"));
	assert_string_equal(value_of(plan, "HOME"), "");
}

static void host_names_are_legal(void **state)
{
	static const struct {
		const char *name, *host;
	} cases[] = {
		{"demo", "demo"},
		{"My Thesis_2.0!", "My-Thesis-2-0"},
		{"--x--", "x"},
		{"", "sandbox"},
		{"\xc3\xa4\xff\n", "sandbox"},
		{"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-aaaaa",
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world *w = *state;

		w->env.name = cases[i].name;
		assert_string_equal(made(w)->name, cases[i].host);
	}
}

static void homes_of_system_users_move(void **state)
{
	static const char *const homes[] = {"/", "/usr/sbin", "/dev", "/var", "/proc"};

	for (size_t i = 0; i < sizeof(homes) / sizeof(homes[0]); i++) {
		struct world *w = *state;

		w->facts.home = homes[i];
		w->env.project = "/srv/demo";
		assert_string_equal(made(w)->home, "/home/me");
	}
}

static void resolv_conf_keeps_what_is_searched(void **state)
{
	struct world *w = *state;

	w->facts.resolv_conf = "nameserver 192.0.2.1\nsearch a.example\nsearching\noptions ndots:2";
	assert_string_equal(standin_of(made(w), "/etc/resolv.conf")->data,
			    "nameserver 10.0.2.3\nsearch a.example\noptions ndots:2\n");
	w->profile.net.mode = NET_HOST;
	assert_string_equal(standin_of(made(w), "/etc/resolv.conf")->data, w->facts.resolv_conf);
	w->profile.net.mode = NET_NONE;
	assert_string_equal(standin_of(made(w), "/etc/resolv.conf")->data, "");
}

static void same_input_same_text(void **state)
{
	struct world *w = *state;
	_cleanup_buf_ struct buf one = {0};
	_cleanup_buf_ struct buf two = {0};

	w->env.project = "/home/me/a \"b\"\n\x1b[2J\xe2\x80\xae";
	plan_show(made(w), &one);
	plan_show(made(w), &two);
	assert_string_equal(one.p, two.p);
	assert_non_null(strstr(one.p, "  project \"/home/me/a \\\"b\\\"\\n\\x1b[2J\\u{202e}\"\n"));
	/* No control byte but the ends of lines: THREATS.md A11. */
	for (size_t i = 0; i < one.len; i++)
		assert_true(one.p[i] == '\n' || (unsigned char)one.p[i] >= ' ');
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(maps_hold_for_any_user),
		T(single_rung_shows_own_id),
		T(nobody_has_no_subids),
		T(kept_rung_wins),
		T(standins_have_their_parents),
		T(links_of_the_base_stay),
		T(nothing_below_own_mounts),
		T(outer_mounts_come_first),
		T(policy_is_read_only_everywhere),
		T(own_places_are_refused),
		T(later_variables_win),
		T(host_names_are_legal),
		T(homes_of_system_users_move),
		T(resolv_conf_keeps_what_is_searched),
		T(same_input_same_text),
	};

	return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
