#include <errno.h>

#include "cli/out.h"
#include "store_world.h"

/* A descriptor of this process that is another file for a while. */
struct swap {
	int fd, kept;
};

static struct swap swap_in(int fd, int other)
{
	struct swap s = {.fd = fd, .kept = fcntl(fd, F_DUPFD_CLOEXEC, 3)};

	(void)fflush(stdout);
	assert_true(s.kept >= 0);
	assert_int_equal(dup2(other, fd), fd);
	return s;
}

static void swap_out(struct swap s)
{
	assert_int_equal(dup2(s.kept, s.fd), s.fd);
	(void)close(s.kept);
}

static int open_file(const struct world *w, const char *name, int flags)
{
	int fd = open(name[0] == '/' ? name : world_path(w, name), flags | O_CREAT | O_CLOEXEC,
		      0600);

	assert_true(fd >= 0);
	return fd;
}

static const char *text_of(const struct world *w, const char *name)
{
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};

	assert_int_equal(fs_read_at(AT_FDCWD, world_path(w, name), 65536, &b, &err), 0);

	char *copy = arena_alloc(w->a, b.len + 1);

	memcpy(copy, b.p ? b.p : "", b.len);
	return copy;
}

static void test_write(void **state)
{
	const struct world *w = *state;
	_cleanup_fd_ int out = open_file(w, "out", O_WRONLY);
	_cleanup_fd_ int full = open_file(w, "/dev/full", O_WRONLY);
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};
	struct swap s = swap_in(STDOUT_FILENO, out);
	int empty = out_write(&b, &err);
	int good, bad;

	buf_add(&b, "a\0b\n", 4);
	good = out_write(&b, &err);
	swap_out(s);
	s = swap_in(STDOUT_FILENO, full);
	bad = out_write(&b, &err);
	swap_out(s);
	assert_int_equal(empty, 0);
	assert_int_equal(good, 0);
	assert_memory_equal(text_of(w, "out"), "a\0b\n", 4);
	assert_int_equal(bad, -1);
	assert_string_equal(err.msg, "cannot write to standard output: No space left on device");
}

static void test_json(void **state)
{
	const struct world *w = *state;
	_cleanup_fd_ int out = open_file(w, "out", O_WRONLY);
	json_t *root = json_object();
	struct err err = {0};
	struct swap s;
	int good, bad;

	/* A file name that would turn the text on a terminal around, and one that is not UTF-8. */
	json_object_set_new(root, "a",
			    out_json_string("\xe2\x80\xae"
					    "x\n"));
	json_object_set_new(root, "b", out_json_string("\xff\xc3\xa4"));
	json_object_set_new(root, "c", out_json_string(NULL));
	s = swap_in(STDOUT_FILENO, out);
	good = out_json(root, &err);
	bad = out_json(NULL, &err);
	swap_out(s);
	assert_int_equal(good, 0);
	assert_string_equal(text_of(w, "out"), "{\n"
					       "  \"a\": \"\\u202Ex\\n\",\n"
					       "  \"b\": \"\\\\xff\\u00E4\",\n"
					       "  \"c\": null\n"
					       "}\n");
	assert_int_equal(bad, -1);
	assert_string_equal(err.msg, "cannot write the result as JSON: no memory");
}

static void assert_cell(const char *s, size_t width, const char *expected)
{
	_cleanup_buf_ struct buf b = {0};

	buf_adds(&b, "|\xc3\xa4"); /* what stands before does not count */
	out_cell(&b, s, width);
	assert_string_equal(b.p + 3, expected);
}

static void test_cell(void **state)
{
	(void)state;
	assert_cell("abc", 5, "abc  ");
	assert_cell("abc", 3, "abc");
	assert_cell("abc", 0, "abc");
	assert_cell("abcdef", 5, "abcdef");
	assert_cell("", 2, "  ");
	/* Columns of what is shown, not bytes. */
	assert_cell("\xc3\xa4\xe2\x82\xac", 4, "\xc3\xa4\xe2\x82\xac  ");
	assert_cell("a\nb", 6, "a\\nb  ");
	assert_cell("\x1b", 5, "\\x1b ");
}

static void test_duration(void **state)
{
	static const struct {
		uint64_t ms;
		const char *shown;
	} all[] = {
		{0, "0.0s"},         {49, "0.0s"},         {450, "0.4s"},
		{9999, "9.9s"},      {10000, "10s"},       {59999, "59s"},
		{60000, "1m 0s"},    {245000, "4m 5s"},    {3599999, "59m 59s"},
		{3600000, "1h 0m"},  {11520000, "3h 12m"}, {86399999, "23h 59m"},
		{86400000, "1d 0h"}, {180000000, "2d 2h"}, {UINT64_MAX, "213503982334d 14h"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		_cleanup_buf_ struct buf b = {0};

		out_duration(&b, all[i].ms);
		assert_string_equal(b.p, all[i].shown);
	}
}

/* What is said to the question, and whether that is a yes. */
static bool answered(const struct world *w, const char *answer, const char *question)
{
	_cleanup_fd_ int err_fd = open_file(w, "asked", O_WRONLY | O_TRUNC);
	_cleanup_fd_ int in = -1;
	struct swap s, t;
	bool yes;

	world_write(w, "answer", answer);
	in = open_file(w, "answer", O_RDONLY);
	s = swap_in(STDIN_FILENO, in);
	t = swap_in(STDERR_FILENO, err_fd);
	yes = out_ask(question);
	swap_out(t);
	swap_out(s);
	return yes;
}

static void test_ask(void **state)
{
	static const char *const yes[] = {"y\n", "Y\n", "yes\n", "  y \n", "y"};
	static const char *const no[] = {
		"",     "\n",   "n\n",     "no\n",
		"yy\n", "Yes?", "maybe y", "yes, but not now, perhaps later\n"};
	const struct world *w = *state;

	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		assert_true(answered(w, yes[i], "Sure?"));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		assert_false(answered(w, no[i], "Sure?"));
	/* No name in the question reaches the terminal as it is. */
	assert_true(answered(w, "y\n", "Remove '\x1b[2J'?"));
	assert_string_equal(text_of(w, "asked"), "Remove '\\x1b[2J'? [y/N] ");
}

static void test_can_ask(void **state)
{
	const struct world *w = *state;
	_cleanup_fd_ int ptm = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
	_cleanup_fd_ int pts = -1;
	_cleanup_fd_ int file = open_file(w, "file", O_RDWR);
	bool both, in_only, err_only;
	struct swap s, t;

	assert_true(ptm >= 0 && grantpt(ptm) == 0 && unlockpt(ptm) == 0);
	pts = open(ptsname(ptm), O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_true(pts >= 0);
	s = swap_in(STDIN_FILENO, pts);
	t = swap_in(STDERR_FILENO, pts);
	both = out_can_ask();
	(void)dup2(file, STDERR_FILENO);
	in_only = out_can_ask();
	(void)dup2(pts, STDERR_FILENO);
	(void)dup2(file, STDIN_FILENO);
	err_only = out_can_ask();
	swap_out(t);
	swap_out(s);
	assert_true(both);
	assert_false(in_only);
	assert_false(err_only);
}

static void test_sizes(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {
		{0, "0 B"},
		{999, "999 B"},
		{1000, "1.0 KB"},
		{4149999, "4.1 MB"},
		{999999, "999.9 KB"},
		{1000000, "1.0 MB"},
		{UINT64_MAX, "18.4 EB"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		_cleanup_buf_ struct buf b = {0};

		out_size(&b, sizes[i].bytes);
		assert_string_equal(b.p, sizes[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_write),
		TEST(test_json),
		TEST(test_cell),
		TEST(test_duration),
		TEST(test_ask),
		TEST(test_can_ask),
		cmocka_unit_test(test_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
