/* Binds of host paths, in a user namespace. */
#include <string.h>
#include <sys/statvfs.h>

#include "mount_world.h"
#include "run/mount.h"

/* One bind step alone; the message, or "". */
static const char *bound(const struct world *w, struct mount_step step, struct err *err)
{
	struct plan plan = plan_of(w, &step, 1);

	step.kind = MOUNT_BIND;
	*err = (struct err){0};
	return mount_sources(&plan, err) < 0 ? err->msg : "";
}

#define REQUIRE_BOUND(step, text)                                                            \
	do {                                                                                 \
		const char *said = bound(w, step, &err);                                     \
		if (strcmp(said, (text)) != 0) {                                             \
			(void)fprintf(stderr, "# line %d: '%s', not '%s'\n", __LINE__, said, \
				      (text));                                               \
			return 1;                                                            \
		}                                                                            \
	} while (0)

static struct mount_step bind(const char *source, const char *target)
{
	return (struct mount_step){.source = source, .target = target};
}

static int bind_host_paths(const struct world *w)
{
	const char *host = world_path(w, "host");
	struct mount_step step = bind(host, "/data/deep");
	struct statvfs vfs;
	struct err err = {0};

	REQUIRE(make_ground() == 0 && put_text("host/file", "host") == 0);
	REQUIRE(mkdir("host/disk", 0755) == 0 && mount("none", "host/disk", "tmpfs", 0, "") == 0);
	REQUIRE_BOUND(step, "");
	REQUIRE(has_text("root/data/deep/file", "host") &&
		put_text("root/data/deep/new", "n") == 0);
	REQUIRE(has_text("host/new", "n"));
	REQUIRE(statvfs("root/data/deep", &vfs) == 0);
	REQUIRE((vfs.f_flag & (ST_NOSUID | ST_NODEV | ST_RDONLY)) == (ST_NOSUID | ST_NODEV));
	step = bind(host, "/ro");
	step.readonly = true;
	REQUIRE_BOUND(step, "");
	REQUIRE(put_text("root/ro/file", "x") < 0 && errno == EROFS);
	/* What is mounted below comes along and is read-only as well. */
	REQUIRE(put_text("root/data/deep/disk/x", "x") == 0);
	REQUIRE(put_text("root/ro/disk/x", "y") < 0 && errno == EROFS);
	/* A file on a file that has to be made, and on one that is there. */
	REQUIRE_BOUND(bind(world_path(w, "host/file"), "/etc/new/file"), "");
	REQUIRE(has_text("root/etc/new/file", "host") && put_text("root/there", "covered") == 0);
	REQUIRE_BOUND(bind(world_path(w, "host/file"), "/there"), "");
	REQUIRE(has_text("root/there", "host"));
	/* The user's own links are followed. */
	REQUIRE(symlink("host", "link") == 0);
	REQUIRE_BOUND(bind(world_path(w, "link"), "/by-link"), "");
	REQUIRE(has_text("root/by-link/file", "host"));
	return 0;
}

static void host_paths_are_bound(void **state)
{
	in_namespace(*state, bind_host_paths);
}

static int bind_what_is_missing(const struct world *w)
{
	const char *gone = world_path(w, "gone");
	struct mount_step step = bind(gone, "/data");
	char text[256];
	struct err err = {0};

	REQUIRE(make_ground() == 0);
	(void)snprintf(text, sizeof(text),
		       "cannot mount '/data': cannot open '%s': No such file or directory", gone);
	REQUIRE_BOUND(step, text);
	step.at = (struct origin){"sbx.ini", 3, false};
	(void)snprintf(text, sizeof(text),
		       "sbx.ini:3: cannot mount at '/data': cannot open '%s': No such file or "
		       "directory",
		       gone);
	REQUIRE_BOUND(step, text);
	step.optional = true;
	REQUIRE_BOUND(step, "");
	REQUIRE(access("root/data", F_OK) < 0);
	return 0;
}

static void a_missing_source_is_told_or_left_out(void **state)
{
	in_namespace(*state, bind_what_is_missing);
}

static int bind_home(const struct world *w)
{
	struct mount_step step = {.source = "home", .target = "/home/me", .from_env = true};
	struct err err = {0};

	REQUIRE(make_ground() == 0 && put_text("env/home/file", "mine") == 0);
	REQUIRE_BOUND(step, "");
	REQUIRE(has_text("root/home/me/file", "mine"));
	/* It is no link, and leads nowhere. */
	REQUIRE(unlink("env/home/file") == 0 && umount2("root/home/me", MNT_DETACH) == 0);
	REQUIRE(rmdir("env/home") == 0 && symlink("../host", "env/home") == 0);
	REQUIRE(bound(w, step, &err)[0] != '\0');
	REQUIRE(str_ends(err.msg, "cannot open 'home': Not a directory") ||
		str_ends(err.msg, "cannot open 'home': Too many levels of symbolic links"));
	return 0;
}

static void the_home_is_the_environments(void **state)
{
	in_namespace(*state, bind_home);
}

static int bind_project(const struct world *w)
{
	const char *project = world_path(w, "project");
	const char *sub = world_path(w, "project/sub");
	char text[512];
	struct err err = {0};

	REQUIRE(make_ground() == 0 && mkdir("project/sub", 0755) == 0);
	REQUIRE(put_text("project/sub/file", "p") == 0 && put_text("host/canary", "canary") == 0);
	REQUIRE_BOUND(bind(project, project), "");
	REQUIRE(has_text(arena_printf(w->a, "root%s/file", sub), "p"));
	REQUIRE_BOUND(bind(sub, "/sub"), "");
	REQUIRE(has_text("root/sub/file", "p"));
	/* Shaped by what ran inside: a link leads out of the project. */
	REQUIRE(rename("project/sub", "project/old") == 0 && symlink("../host", sub) == 0);
	REQUIRE(bound(w, bind(sub, "/out"), &err)[0] != '\0' && access("root/out", F_OK) < 0);
	REQUIRE(strcmp(err.msg,
		       "cannot mount '/out': cannot open 'sub': the path leads out of its folder") ==
		0);
	/* Inside the project a link is fine. */
	REQUIRE(unlink(sub) == 0 && symlink("old", sub) == 0);
	REQUIRE_BOUND(bind(sub, "/in"), "");
	REQUIRE(has_text("root/in/file", "p"));
	/* The project itself has become a link, or lies behind one. */
	REQUIRE(rename("project", "moved") == 0 && symlink("host", "project") == 0);
	(void)snprintf(text, sizeof(text),
		       "cannot mount '/x': cannot open the project '%s': Not a directory", project);
	REQUIRE_BOUND(bind(project, "/x"), text);
	return 0;
}

static void the_project_is_found_where_it_was(void **state)
{
	in_namespace(*state, bind_project);
}

static int bind_project_behind_link(const struct world *w)
{
	struct mount_step step = bind(world_path(w, "way/project"), "/x");
	struct plan plan = plan_of(w, &step, 1);
	struct err err = {0};
	char text[512];

	step.kind = MOUNT_BIND;
	plan.project = step.source;
	REQUIRE(make_ground() == 0 && symlink("host", "way") == 0);
	REQUIRE(mkdir("host/project", 0755) == 0);
	(void)snprintf(text, sizeof(text),
		       "cannot mount '/x': cannot use the project '%s/way/project': it leads to "
		       "'%s/host/project' now",
		       w->dir, w->dir);
	REQUIRE_MESSAGE(mount_sources(&plan, &err), text);
	return 0;
}

static void a_project_that_was_turned_elsewhere_is_refused(void **state)
{
	in_namespace(*state, bind_project_behind_link);
}

/* The project and what rules the sandbox in it, mounted one after the other. */
static const char *policy_bound(const struct world *w, const char *ini, struct err *err)
{
	struct mount_step steps[] = {bind(world_path(w, "project"), world_path(w, "project")),
				     bind(ini, ini)};
	struct plan plan = plan_of(w, steps, N(steps));

	steps[0].kind = steps[1].kind = MOUNT_BIND;
	steps[1].policy = steps[1].readonly = steps[1].optional = true;
	*err = (struct err){0};
	return mount_sources(&plan, err) < 0 ? err->msg : "";
}

static int bind_policy(const struct world *w)
{
	const char *ini = world_path(w, "project/sbx.ini");
	const char *inside = arena_printf(w->a, "root%s", ini);
	struct mount_step alone = {.source = ini, .target = ini, .policy = true};
	char text[512];
	struct err err = {0};

	REQUIRE(make_ground() == 0);
	REQUIRE(strcmp(policy_bound(w, ini, &err), "") == 0);
	REQUIRE(put_text("project/sbx.ini", "[user]\n") == 0);
	REQUIRE(strcmp(policy_bound(w, ini, &err), "") == 0);
	REQUIRE(has_text(inside, "[user]\n"));
	REQUIRE(put_text(inside, "x") < 0 && errno == EROFS);
	REQUIRE(unlink(inside) < 0 && errno == EBUSY);
	/* Never at a path that is looked up in the root: what runs inside may have shaped that. */
	(void)snprintf(text, sizeof(text),
		       "cannot mount '%s': cannot protect '%s': its folder is not mounted", ini,
		       ini);
	REQUIRE_BOUND(alone, text);
	/* What is protected must be the file, not what a link means by now. */
	REQUIRE(umount2(inside, MNT_DETACH) == 0 && unlink("project/sbx.ini") == 0);
	REQUIRE(put_text("host/real.ini", "") == 0);
	REQUIRE(symlink("../host/real.ini", "project/sbx.ini") == 0);
	(void)snprintf(text, sizeof(text),
		       "cannot mount '%s': cannot protect '%s': it is a symbolic link", ini, ini);
	REQUIRE(strcmp(policy_bound(w, ini, &err), text) == 0);
	REQUIRE(strcmp(err.hint, "put the file itself there: what runs inside could change the "
				 "link") == 0);
	return 0;
}

static void what_rules_the_sandbox_is_protected(void **state)
{
	in_namespace(*state, bind_policy);
}

static int bind_store(const struct world *w)
{
	const char *store = world_path(w, "store");
	char text[1024];
	struct err err = {0};

	REQUIRE(make_ground() == 0 && symlink("store", "innocent") == 0);
	(void)snprintf(text, sizeof(text),
		       "cannot mount '/x': cannot show '%s': it leads to '%s', and the store is "
		       "'%s'",
		       world_path(w, "innocent"), store, store);
	REQUIRE_BOUND(bind(world_path(w, "innocent"), "/x"), text);
	(void)snprintf(text, sizeof(text), "name a folder that has nothing to do with '%s'", store);
	REQUIRE(strcmp(err.hint, text) == 0);
	/* What holds it, and what it holds. */
	REQUIRE(bound(w, bind("/", "/x"), &err)[0] != '\0');
	REQUIRE(bound(w, bind(w->dir, "/x"), &err)[0] != '\0');
	REQUIRE(bound(w, bind(world_path(w, "store/envs"), "/x"), &err)[0] != '\0');
	REQUIRE(access("root/x", F_OK) < 0);
	return 0;
}

static void the_store_is_never_shown(void **state)
{
	in_namespace(*state, bind_store);
}

/* Targets that an image has made links of. */
static int bind_over_links(const struct world *w)
{
	struct err err = {0};

	REQUIRE(make_ground() == 0 && put_text("host/file", "host") == 0);
	REQUIRE(mkdir("outside", 0755) == 0 && put_text("outside/canary", "canary") == 0);
	REQUIRE(chdir("root") == 0 && symlink("../outside", "data") == 0);
	REQUIRE(symlink("../outside/canary", "file") == 0);
	REQUIRE(symlink("../outside/made", "hollow") == 0 && chdir("..") == 0);
	REQUIRE_BOUND(bind(world_path(w, "host"), "/data"), "");
	REQUIRE_BOUND(bind(world_path(w, "host"), "/data/more"), "");
	(void)bound(w, bind(world_path(w, "host/file"), "/file"), &err);
	(void)bound(w, bind(world_path(w, "host/file"), "/hollow"), &err);
	REQUIRE(all_below_root() && has_text("outside/canary", "canary"));
	REQUIRE(access("outside/more", F_OK) < 0 && access("outside/made", F_OK) < 0);
	REQUIRE(has_text("root/outside/file", "host"));
	return 0;
}

static void links_of_the_root_never_lead_out(void **state)
{
	in_namespace(*state, bind_over_links);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(host_paths_are_bound),
		TEST(a_missing_source_is_told_or_left_out),
		TEST(the_home_is_the_environments),
		TEST(the_project_is_found_where_it_was),
		TEST(a_project_that_was_turned_elsewhere_is_refused),
		TEST(what_rules_the_sandbox_is_protected),
		TEST(the_store_is_never_shown),
		TEST(links_of_the_root_never_lead_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
