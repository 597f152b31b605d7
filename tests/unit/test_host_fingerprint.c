#include <sys/utsname.h>

#include "base/digest.h"
#include "plan/host_fingerprint.h"
#include "store_world.h"

/* A host with these files, and what it is called. */
struct trial {
	const struct world *w;
	const char *os_release, *packages;
	const char *system; /* wanted, without the machine */
};

static bool put(const struct world *w, const char *name, const char *text, const char *over)
{
	world_write(w, name, text);
	return mount(world_path(w, name), over, NULL, MS_BIND, NULL) == 0;
}

static int try_host(void *arg)
{
	const struct trial *t = arg;
	const char *wanted;
	const char *got;
	struct utsname u;
	char hex[DIGEST_HEX + 1];

	if (world_unshare() < 0 || uname(&u) < 0)
		return 77;
	if (!put(t->w, "os-release", t->os_release, "/etc/os-release") ||
	    (t->packages && !put(t->w, "status", t->packages, "/var/lib/dpkg/status")))
		return 77;
	wanted = arena_printf(t->w->a, "%s:%s:", t->system, u.machine);
	got = fingerprint_system(t->w->a);
	if (strcmp(got, wanted) != 0) {
		(void)fprintf(stderr, "wanted %s, got %s\n", wanted, got);
		return 1;
	}
	if (!t->packages)
		return 0;
	digest_sha256(t->packages, strlen(t->packages), hex);
	wanted = arena_printf(t->w->a, "%s%.12s", wanted, hex);
	return strcmp(fingerprint_host(t->w->a), wanted) == 0 ? 0 : 2;
}

static void is(void **state, const char *os_release, const char *packages, const char *system)
{
	struct trial t = {
		.w = *state, .os_release = os_release, .packages = packages, .system = system};
	int r = proc_call(try_host, &t);

	if (r == 77)
		skip();
	assert_int_equal(r, 0);
}

static void names_system_and_packages(void **state)
{
	is(state, "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"12\"\n", "Package: a\n",
	   "debian:12");
}

static void takes_whole_keys_alone(void **state)
{
	is(state, "VARIANT_ID=no\nID_LIKE=no\nXID=no\nVERSION_ID='3.19'\nID=\"alpine\"\n", NULL,
	   "alpine:3.19");
}

static void a_rolling_system_has_no_version(void **state)
{
	is(state, "ID=arch\n", NULL, "arch:-");
	is(state, "", NULL, "-:-");
	is(state, "ID=\nVERSION_ID=\"\"\n", NULL, "-:-");
}

/* A colon would shift the fields. */
static void a_value_ends_at_a_colon(void **state)
{
	is(state, "ID=a:b\nVERSION_ID=1", NULL, "a:1");
}

static void this_host_has_one_too(void **state)
{
	const struct world *w = *state;
	const char *system = fingerprint_system(w->a);
	const char *host = fingerprint_host(w->a);
	int colons = 0;

	for (const char *c = host; *c; c++)
		colons += *c == ':';
	assert_int_equal(colons, 3);
	assert_true(str_starts(host, system));
	assert_true(strlen(host) > strlen(system));
	assert_string_equal(fingerprint_host(w->a), host);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_system_and_packages),       TEST(takes_whole_keys_alone),
		TEST(a_rolling_system_has_no_version), TEST(a_value_ends_at_a_colon),
		TEST(this_host_has_one_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
