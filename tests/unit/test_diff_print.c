#include "cli/diff_print.h"
#include "diff_world.h"

static struct entry entry(const char *path, enum entry_verdict verdict, mode_t mode)
{
	struct entry e = {.path = path, .verdict = verdict, .st = {.st_mode = mode}};

	return e;
}

static void line_is(const struct entry *e, const char *wanted)
{
	_cleanup_buf_ struct buf b = {0};

	diff_line(e, &b);
	assert_string_equal(b.p, wanted);
}

static void stat_is(const struct entry *e, const char *wanted)
{
	_cleanup_buf_ struct buf b = {0};

	diff_stat_line(e, &b);
	assert_string_equal(b.p, wanted);
}

static void test_what_is_a_change(void **state)
{
	static const bool changes[] = {
		[ENTRY_SAME] = false,  [ENTRY_TIME] = false,    [ENTRY_PARENT] = false,
		[ENTRY_ADDED] = true,  [ENTRY_MODIFIED] = true, [ENTRY_DELETED] = true,
		[ENTRY_HIDDEN] = true,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const struct entry e = entry("x", (enum entry_verdict)i, S_IFREG);

		assert_int_equal(diff_is_change(&e), changes[i]);
	}
}

static void test_lines(void **state)
{
	struct entry e = entry("usr/games", ENTRY_ADDED, S_IFDIR | 0755);

	(void)state;
	line_is(&e, "A /usr/games/\n");
	e = entry("etc/x", ENTRY_DELETED, S_IFREG);
	line_is(&e, "D /etc/x\n");
	e = entry("etc/d", ENTRY_HIDDEN, S_IFDIR);
	line_is(&e, "D /etc/d/\n");
	e = entry("a\033[31m\nb\xff", ENTRY_ADDED, S_IFREG);
	line_is(&e, "A /a\\x1b[31m\\nb\\xff\n");
}

/* What a program that nobody trusts might have made: a setuid program, a link, a folder for all. */
static void test_what_is_new_and_not_plain(void **state)
{
	const struct stat was = {.st_mode = S_IFLNK | 0777};
	struct entry e = entry("bin/x", ENTRY_ADDED, S_IFREG | 04755);

	(void)state;
	line_is(&e, "A /bin/x (mode 4755)\n");
	assert_true(diff_is_notable(&e));
	e = entry("bin/x", ENTRY_ADDED, S_IFREG | 0755);
	line_is(&e, "A /bin/x\n");
	assert_false(diff_is_notable(&e));
	e = entry("d", ENTRY_ADDED, S_IFDIR | 0777);
	line_is(&e, "A /d/ (mode 0777)\n");
	e = entry("l", ENTRY_ADDED, S_IFLNK | 0777);
	line_is(&e, "A /l (link)\n");
	e = entry("p", ENTRY_ADDED, S_IFIFO | 0666);
	line_is(&e, "A /p (fifo, mode 0666)\n");
	e = entry("p", ENTRY_DELETED, S_IFREG | 04755);
	line_is(&e, "D /p\n");
	e = entry("x", ENTRY_MODIFIED, S_IFREG | 02755);
	e.what = CHANGE_TYPE;
	e.was = &was;
	line_is(&e, "M /x (link -> file, mode 2755)\n");
}

static void test_what_differs(void **state)
{
	const struct stat was = {.st_mode = S_IFREG | 0644, .st_uid = 0, .st_gid = 4};
	const struct stat folder_was = {.st_mode = S_IFDIR | 0755};
	struct entry e = entry("etc/x", ENTRY_MODIFIED, S_IFREG | 04600);

	(void)state;
	e.was = &was;
	e.st.st_uid = 105;
	e.st.st_gid = 106;
	e.what = CHANGE_CONTENT;
	line_is(&e, "M /etc/x\n");
	e.what = CHANGE_MODE;
	line_is(&e, "M /etc/x (mode 0644 -> 4600)\n");
	e.what = CHANGE_OWNER;
	line_is(&e, "M /etc/x (owner 0:4 -> 105:106)\n");
	e.what = CHANGE_XATTR | CHANGE_CONTENT | CHANGE_MODE;
	line_is(&e, "M /etc/x (content, mode 0644 -> 4600, attributes)\n");
	e.what = CHANGE_TYPE;
	e.was = &folder_was;
	line_is(&e, "M /etc/x (folder -> file, mode 4600)\n");
	e.st.st_mode = S_IFLNK | 0777;
	line_is(&e, "M /etc/x (folder -> link)\n");
}

static void test_sizes(void **state)
{
	const struct stat was = {.st_mode = S_IFREG | 0644, .st_size = 10};
	struct diff_sums sums = {0};
	_cleanup_buf_ struct buf b = {0};
	struct entry e = entry("a", ENTRY_ADDED, S_IFREG | 0644);

	(void)state;
	e.st.st_size = 4100000;
	stat_is(&e, "A /a  4.1 MB\n");
	diff_add(&sums, &e);
	e.verdict = ENTRY_DELETED;
	stat_is(&e, "D /a  -4.1 MB\n");
	diff_add(&sums, &e);
	e.verdict = ENTRY_MODIFIED;
	e.was = &was;
	e.st.st_size = 20;
	e.what = CHANGE_CONTENT;
	stat_is(&e, "M /a  10 B -> 20 B\n");
	diff_add(&sums, &e);
	e.what = CHANGE_XATTR;
	stat_is(&e, "M /a (attributes)\n");
	diff_add(&sums, &e);
	e = entry("d", ENTRY_ADDED, S_IFDIR | 0755);
	e.st.st_size = 4096;
	stat_is(&e, "A /d/\n");
	diff_add(&sums, &e);
	diff_sums_line(&sums, &b);
	assert_string_equal(b.p, "2 added, 2 modified, 1 deleted, 4.1 MB\n");
}

static void json_is(const struct entry *e, const char *wanted)
{
	json_t *got = diff_json(e);
	json_t *want = json_loads(wanted, 0, NULL);

	assert_non_null(want);
	if (!json_equal(got, want))
		fail_msg("%s", json_dumps(got, JSON_COMPACT));
	json_decref(got);
	json_decref(want);
}

static void test_json(void **state)
{
	const struct stat was = {.st_mode = S_IFREG | 0644, .st_size = 10, .st_gid = 4};
	struct entry e = entry("a", ENTRY_MODIFIED, S_IFREG | 01600);

	(void)state;
	e.st.st_size = 5;
	e.st.st_uid = 3;
	e.was = &was;
	e.what = CHANGE_CONTENT | CHANGE_MODE | CHANGE_OWNER | CHANGE_XATTR;
	json_is(&e, "{\"path\": \"/a\", \"change\": \"modified\", \"type\": \"file\", \"size\": 5,"
		    "\"mode\": \"1600\", \"uid\": 3, \"gid\": 0, \"what\": [\"content\", \"mode\","
		    "\"owner\", \"xattr\"], \"was\": {\"type\": \"file\", \"size\": 10,"
		    "\"mode\": \"0644\", \"uid\": 0, \"gid\": 4}, \"excluded\": false}");
	e = entry("\xff%\xc3\xa4", ENTRY_HIDDEN, S_IFDIR | 0755);
	e.st.st_size = 4096;
	e.excluded = true;
	json_is(&e, "{\"path\": \"/\\\\xff%\xc3\xa4\", \"path_bytes\": \"/%FF%25%C3%A4\","
		    "\"change\": \"deleted\", \"type\": \"folder\", \"size\": 0,"
		    "\"mode\": \"0755\", \"uid\": 0, \"gid\": 0, \"excluded\": true}");
	e = entry("l", ENTRY_ADDED, S_IFLNK | 0777);
	json_is(&e, "{\"path\": \"/l\", \"change\": \"added\", \"type\": \"link\", \"size\": 0,"
		    "\"mode\": \"0777\", \"uid\": 0, \"gid\": 0, \"excluded\": false}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_a_change),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_what_is_new_and_not_plain),
		cmocka_unit_test(test_what_differs),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
