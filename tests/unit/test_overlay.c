/* What overlay_options writes, and what the kernel reads of it. */
#include <errno.h>
#include <sys/mount.h>

#include "base/overlay.h"
#include "store_world.h"

static void options_name_the_folders(void **state)
{
	const struct world *w = *state;
	static const char *const two[] = {"standin", "host", NULL};
	struct overlay o = {.lower = two, .upper = "env/upper", .work = "env/work", .more = ""};

	assert_string_equal(overlay_options(w->a, &o),
			    "lowerdir=standin:host,upperdir=env/upper,workdir=env/work");
	o.more = "userxattr";
	assert_string_equal(overlay_options(w->a, &o),
			    "lowerdir=standin:host,upperdir=env/upper,workdir=env/work,userxattr");
}

static void names_are_escaped(void **state)
{
	const struct world *w = *state;
	static const char *const odd[] = {"a:b", "c,d=e", "f\\g", NULL};
	const struct overlay o = {.lower = odd, .upper = "u:,", .work = "w\\", .more = ""};

	assert_string_equal(overlay_options(w->a, &o),
			    "lowerdir=a\\:b:c\\,d=e:f\\\\g,upperdir=u\\:\\,,workdir=w\\\\");
}

#define NAMESPACE_NOT_HAD 77

/* In a child: the names that had to be escaped are found again. */
static int mount_odd_names(void *arg)
{
	static const char *const lower[] = {"l:1", "l,2", NULL};
	const struct overlay o = {
		.lower = lower, .upper = "u\\:", .work = "w,:", .more = "userxattr"};
	const struct world *w = arg;

	if (world_unshare() < 0)
		return NAMESPACE_NOT_HAD;
	/* A tmpfs: whatever holds /tmp may be an overlay itself, which can be no upper. */
	if (mount("none", w->dir, "tmpfs", 0, "") < 0 || chdir(w->dir) < 0)
		return 1;
	if (mkdir("l:1", 0755) < 0 || mkdir("l,2", 0755) < 0 || mkdir("l,2/x", 0755) < 0 ||
	    mkdir("u\\:", 0755) < 0 || mkdir("w,:", 0755) < 0 || mkdir("m", 0755) < 0)
		return 2;
	if (mount("overlay", "m", "overlay", 0, overlay_options(w->a, &o)) < 0)
		return errno == EINVAL || errno == ENODEV ? NAMESPACE_NOT_HAD : 3;
	return access("m/x", F_OK) == 0 && mkdir("m/y", 0755) == 0 && access("u\\:/y", F_OK) == 0
		       ? 0
		       : 4;
}

static void the_kernel_undoes_the_escapes(void **state)
{
	struct world *w = *state;
	int r = proc_call(mount_odd_names, w);

	if (r == NAMESPACE_NOT_HAD && getenv("SBX_MUST_RUN") == NULL)
		print_message("# skipped: overlayfs is not to be had in a user namespace\n");
	else
		assert_int_equal(r, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(options_name_the_folders),
		TEST(names_are_escaped),
		TEST(the_kernel_undoes_the_escapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
