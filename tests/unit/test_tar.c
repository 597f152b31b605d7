#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "store/tar.h"

/* A header block's field as a number. */
static uint64_t octal(const char *block, size_t at)
{
	return strtoull(block + at, NULL, 8); /* NOLINT: a test reads what was written */
}

static void assert_checksum(const char *block)
{
	unsigned sum = 8 * ' ';

	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += i >= 148 && i < 156 ? 0U : (unsigned char)block[i];
	assert_int_equal(octal(block, 148), sum);
}

static struct stat file_of(mode_t mode, off_t size)
{
	return (struct stat){.st_mode = mode, .st_size = size, .st_uid = 12, .st_gid = 34};
}

static void a_plain_file_is_one_block(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct stat st = file_of(S_IFREG | 04755, 700);
	struct tar_entry e = {.path = "usr/bin/x", .st = &st, .mtime = 86400};

	(void)state;
	tar_header(&b, &e);
	assert_int_equal(b.len, TAR_BLOCK);
	assert_string_equal(b.p, "usr/bin/x");
	assert_int_equal(octal(b.p, 100), 04755);
	assert_int_equal(octal(b.p, 108), 12);
	assert_int_equal(octal(b.p, 116), 34);
	assert_int_equal(octal(b.p, 124), 700);
	assert_int_equal(octal(b.p, 136), 86400);
	assert_int_equal(b.p[156], '0');
	assert_memory_equal(b.p + 257, "ustar\00000", 8);
	assert_checksum(b.p);
	assert_int_equal(tar_padding(700), 324);
	assert_int_equal(tar_padding(1024), 0);
}

static void types_have_their_flags(void **state)
{
	static const struct {
		mode_t mode;
		const char *link;
		char flag;
	} cases[] = {
		{S_IFREG | 0644, NULL, '0'}, {S_IFREG | 0644, "first", '1'},
		{S_IFLNK | 0777, "to", '2'}, {S_IFCHR | 0600, NULL, '3'},
		{S_IFBLK | 0600, NULL, '4'}, {S_IFDIR | 0755, NULL, '5'},
		{S_IFIFO | 0600, NULL, '6'}, {S_IFIFO | 0600, "first", '1'},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_buf_ struct buf b = {0};
		struct stat st = file_of(cases[i].mode, 9);
		struct tar_entry e = {.path = "d", .link = cases[i].link, .st = &st};

		tar_header(&b, &e);
		assert_int_equal(b.len, TAR_BLOCK);
		assert_int_equal(b.p[156], cases[i].flag);
		/* Only a file with bytes of its own has a size. */
		assert_int_equal(octal(b.p, 124), cases[i].flag == '0' ? 9 : 0);
		assert_string_equal(b.p, cases[i].flag == '5' ? "d/" : "d");
		assert_string_equal(b.p + 157, cases[i].link ? cases[i].link : "");
		assert_checksum(b.p);
	}
}

/* The records of the pax header that `b` begins with. */
static const char *records(struct arena *a, const struct buf *b)
{
	assert_true(b->len > 2 * TAR_BLOCK);
	assert_int_equal(b->p[156], 'x');
	assert_string_equal(b->p, "PaxHeader");
	assert_checksum(b->p);
	return arena_strndup(a, b->p + TAR_BLOCK, octal(b->p, 124));
}

static const char *records_of(struct arena *a, const struct tar_entry *e)
{
	_cleanup_buf_ struct buf b = {0};

	tar_header(&b, e);
	assert_int_equal(b.len % TAR_BLOCK, 0);
	return records(a, &b);
}

static void long_names_get_a_pax_header(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct stat st = file_of(S_IFREG | 0644, 0);
	char name[102];
	struct tar_entry e = {.path = name, .st = &st};

	(void)state;
	memset(name, 'n', 101);
	name[101] = '\0';
	/* "112 path=" + 101 + newline is 111 bytes: the count counts its own digits. */
	assert_string_equal(records_of(a, &e), arena_printf(a, "111 path=%s\n", name));
	/* No UTF-8: an overlong '/'. */
	name[0] = '\xc0';
	name[1] = '\xaf';
	assert_string_equal(records_of(a, &e),
			    arena_printf(a, "21 hdrcharset=BINARY\n111 path=%s\n", name));
	name[0] = '\xc3';
	name[1] = '\xa4';
	assert_string_equal(records_of(a, &e), arena_printf(a, "111 path=%s\n", name));
	/* 100 bytes fit, whatever they are. */
	name[100] = '\0';
	_cleanup_buf_ struct buf b = {0};

	tar_header(&b, &e);
	assert_int_equal(b.len, TAR_BLOCK);
}

static void a_record_counts_its_own_digits(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct stat st = file_of(S_IFREG | 0644, 0);
	struct tar_xattr x = {.name = "user.k", .value = "v\n=", .size = 3};
	struct tar_entry e = {.path = "f", .st = &st, .xattrs = &x, .n_xattrs = 1};
	char value[99];

	(void)state;
	assert_string_equal(records_of(a, &e), "27 SCHILY.xattr.user.k=v\n=\n");
	/* 75 bytes of value make a record of 99, 76 one of 100: no, of 101, for the count grows too. */
	memset(value, 'v', sizeof(value));
	x.value = value;
	x.size = 75;
	assert_int_equal(strncmp(records_of(a, &e), "99 ", 3), 0);
	assert_int_equal(strlen(records_of(a, &e)), 99);
	x.size = 76;
	assert_int_equal(strncmp(records_of(a, &e), "101 ", 4), 0);
}

static void an_attribute_may_have_any_name(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct stat st = file_of(S_IFREG | 0644, 0);
	struct tar_xattr x = {.name = "user.a=b%c\n%3", .value = "v", .size = 1};
	struct tar_entry e = {.path = "f", .st = &st, .xattrs = &x, .n_xattrs = 1};
	const char *records = records_of(a, &e);

	(void)state;
	assert_string_equal(strchr(records, ' '), " SCHILY.xattr.user.a%3Db%25c\n%253=v\n");
	assert_string_equal(tar_xattr_name(a, "user.a%3Db%25c\n%253"), x.name);
	/* What others wrote, and is no escape. */
	assert_string_equal(tar_xattr_name(a, "user.%41%"), "user.%41%");
}

static void numbers_that_do_not_fit_stand_in_the_pax_header(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct stat st = file_of(S_IFREG | 0644, (off_t)1 << 33);
	struct tar_entry e = {.path = "f", .st = &st, .mtime = -1};

	(void)state;
	st.st_uid = 1U << 21;
	assert_string_equal(records_of(a, &e), "15 uid=2097152\n19 size=8589934592\n12 mtime=-1\n");
	e.mtime = 1LL << 33;
	st.st_uid = 0;
	st.st_size = 0;
	assert_string_equal(records_of(a, &e), "20 mtime=8589934592\n");
}

static void the_end_is_two_blocks(void **state)
{
	_cleanup_buf_ struct buf b = {0};

	(void)state;
	tar_end(&b);
	assert_int_equal(b.len, 2 * TAR_BLOCK);
	for (size_t i = 0; i < b.len; i++)
		assert_int_equal(b.p[i], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_file_is_one_block),
		cmocka_unit_test(types_have_their_flags),
		cmocka_unit_test(long_names_get_a_pax_header),
		cmocka_unit_test(a_record_counts_its_own_digits),
		cmocka_unit_test(an_attribute_may_have_any_name),
		cmocka_unit_test(numbers_that_do_not_fit_stand_in_the_pax_header),
		cmocka_unit_test(the_end_is_two_blocks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
