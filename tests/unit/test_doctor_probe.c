#include "cli/doctor.h"
#include "store_world.h"

/* What the probe says after `prepare` did its part, in a child: "" for nothing. */
struct attempt {
	int (*prepare)(void);
	int fd; /* takes the words */
};

static int probe(void *arg)
{
	const struct attempt *attempt = arg;
	struct err err = {0};

	if (attempt->prepare && attempt->prepare() < 0)
		return 2;
	if (doctor_probe_proc(&err) == 0)
		return 0;
	return fs_write_all(attempt->fd, err.msg, strlen(err.msg)) < 0 ? 3 : 1;
}

static const char *said(const struct world *w, int (*prepare)(void), int expected)
{
	_cleanup_fd_ int fd =
		open(world_path(w, "said"), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct attempt attempt = {.prepare = prepare, .fd = fd};
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	assert_true(fd >= 0);
	assert_int_equal(proc_call(probe, &attempt), expected);
	assert_int_equal(fs_read_at(AT_FDCWD, world_path(w, "said"), 4096, &b, &err), 0);
	return arena_strdup(w->a, b.p ? b.p : "");
}

/* As an outer container does it: the kernel then refuses a /proc without the mask. */
static int mask(void)
{
	if (world_unshare() < 0)
		return -1;
	return mount("/dev/null", "/proc/uptime", NULL, MS_BIND, NULL);
}

static int forbid(void)
{
	if (world_unshare() < 0)
		return -1;
	return fs_write_knob("/proc/sys/user/max_user_namespaces", "0");
}

static void test_works(void **state)
{
	assert_string_equal(said(*state, NULL, 0), "");
	/* Inside of namespaces of its own, too. */
	assert_string_equal(said(*state, world_unshare, 0), "");
}

static void test_masked(void **state)
{
	assert_string_equal(said(*state, mask, 1),
			    "cannot mount a fresh /proc: parts of this one are masked");
}

static void test_forbidden(void **state)
{
	assert_string_equal(said(*state, forbid, 1),
			    "cannot mount a fresh /proc: No space left on device");
}

/* Neither this process nor its /proc is any other than before. */
static void test_leaves_nothing(void **state)
{
	char before[64] = "";
	char after[64] = "";
	struct stat st, st2;

	(void)state;
	assert_true(readlink("/proc/self/ns/mnt", before, sizeof(before) - 1) > 0);
	assert_int_equal(stat("/proc", &st), 0);
	(void)doctor_probe_proc(NULL);
	assert_true(readlink("/proc/self/ns/mnt", after, sizeof(after) - 1) > 0);
	assert_int_equal(stat("/proc", &st2), 0);
	assert_string_equal(before, after);
	assert_int_equal(st.st_dev, st2.st_dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_works),
		TEST(test_masked),
		TEST(test_forbidden),
		TEST(test_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
