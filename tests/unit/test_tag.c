#include <errno.h>

#include "base/log.h"
#include "store/tag.h"
#include "store_world.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static struct store open_store(const struct world *w)
{
	struct store s = {0};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	return s;
}

static struct commit commit_of(const char *digest)
{
	return (struct commit){
		.digest = digest, .message = "m\xff", .by = "b", .tree = "tree", .created = 3};
}

static void put(const struct store *s, const char *name, const char *digest)
{
	struct commit c = commit_of(digest);
	const struct tag tag = {.name = name,
				.base = "dir:/a b",
				.project = "/tmp/\xfe",
				.created = 9,
				.chain = {&c, 1}};
	struct err err = {0};

	if (tag_put(s, &tag, &err) < 0)
		fail_msg("%s", err.msg);
}

static void comes_back_and_moves(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct tag got = {0};
	struct err err = {0};

	put(&s, "talk", DIGEST);
	assert_int_equal(tag_get(w->a, &s, "talk", &got, &err), 0);
	assert_string_equal(got.name, "talk");
	assert_string_equal(got.base, "dir:/a b");
	assert_string_equal(got.project, "/tmp/\xfe");
	assert_int_equal(got.created, 9);
	assert_int_equal(got.chain.n, 1);
	assert_string_equal(got.chain.v[0].digest, DIGEST);
	assert_string_equal(got.chain.v[0].message, "m\xff");
	put(&s, "talk", OTHER);
	assert_int_equal(tag_get(w->a, &s, "talk", &got, &err), 0);
	assert_string_equal(got.chain.v[0].digest, OTHER);
	store_done(&s);
}

static void a_tag_of_the_base_is_empty(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	const struct tag tag = {.name = "clean", .base = "host", .project = "/p"};
	struct tag got = {0};
	struct err err = {0};

	assert_int_equal(tag_put(&s, &tag, &err), 0);
	assert_int_equal(tag_get(w->a, &s, "clean", &got, &err), 0);
	assert_int_equal(got.chain.n, 0);
	store_done(&s);
}

static void refuses_what_is_no_name(void **state)
{
	static const char *const names[] = {"",    ".",    "..",  "-d",   "a/b", "../x",
					    "a b", "\xff", "a\n", "base", "_x"};
	char longest[66];
	struct world *w = *state;
	struct store s = open_store(w);
	struct tag got = {0};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct tag tag = {.name = names[i], .base = "host", .project = "/p"};
		struct err err = {0};

		assert_int_equal(tag_check_name(names[i], &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_non_null(strstr(err.msg, "as a tag"));
		assert_string_equal(err.hint,
				    "use at most 64 letters, digits, '.', '_' and '-', a letter or "
				    "digit first; 'base' is taken");
		assert_int_equal(tag_put(&s, &tag, &err), -1);
		assert_int_equal(tag_get(w->a, &s, names[i], &got, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_int_equal(tag_delete(&s, names[i], &err), -1);
	}
	memset(longest, 'x', sizeof(longest));
	longest[65] = '\0';
	assert_int_equal(tag_check_name(longest, NULL), -1);
	assert_int_equal(tag_check_name(longest + 1, NULL), 0);
	assert_int_equal(tag_check_name("v1.0_x-Y", NULL), 0);
	store_done(&s);
}

static void says_that_there_is_none(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct tag got = {.name = "untouched"};
	struct err err = {0};

	assert_int_equal(tag_get(w->a, &s, "none", &got, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.msg, "no tag 'none': No such file or directory");
	assert_string_equal(err.hint, "'sbx tag' lists them");
	assert_string_equal(got.name, "untouched");
	err = (struct err){0};
	assert_int_equal(tag_delete(&s, "none", &err), -1);
	assert_string_equal(err.msg, "cannot remove the tag 'none': No such file or directory");
	assert_string_equal(err.hint, "'sbx tag' lists them");
	store_done(&s);
}

static void is_removed(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct tag got = {0};
	struct err err = {0};

	put(&s, "talk", DIGEST);
	put(&s, "other", DIGEST);
	assert_int_equal(tag_delete(&s, "talk", &err), 0);
	assert_int_equal(tag_get(w->a, &s, "talk", &got, &err), -1);
	assert_int_equal(tag_get(w->a, &s, "other", &got, &err), 0);
	store_done(&s);
}

static void lists_by_name_what_can_be_read(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct tag *v;
	size_t damaged;
	size_t n;
	struct err err = {0};

	assert_int_equal(tag_list(w->a, &s, &v, &n, &damaged, &err), 0);
	assert_int_equal(n, 0);
	put(&s, "b", DIGEST);
	put(&s, "a", OTHER);
	put(&s, "B", DIGEST);
	world_write(w, "data/sbx/tags/bad.json", "{\"version\": 1}");
	world_write(w, "data/sbx/tags/no-tag", "");
	world_write(w, "data/sbx/tags/.hidden.json", "");
	log_set_level(LOG_QUIET);
	assert_int_equal(tag_list(w->a, &s, &v, &n, &damaged, &err), 0);
	assert_int_equal(n, 3);
	assert_int_equal(damaged, 1);
	assert_string_equal(v[0].name, "B");
	assert_string_equal(v[1].name, "a");
	assert_string_equal(v[2].name, "b");
	assert_string_equal(v[1].chain.v[0].digest, OTHER);
	store_done(&s);
}

static void says_how_a_damaged_one_is_mended(void **state)
{
	struct world *w = *state;
	struct store s = open_store(w);
	struct tag got = {0};
	struct err err = {0};

	put(&s, "bad", DIGEST);
	world_write(w, "data/sbx/tags/bad.json",
		    "{\"version\": 1, \"base\": \"host\", \"project\": \"/p\", \"created\": 1, "
		    "\"chain\": [7]}");
	assert_int_equal(tag_get(w->a, &s, "bad", &got, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	assert_string_equal(err.msg, "cannot read the tag 'bad': a value is missing or wrong");
	assert_string_equal(err.hint, "make it again, or remove it: sbx tag -d bad");
	assert_int_equal(tag_delete(&s, "bad", &err), 0);
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(comes_back_and_moves),
		TEST(a_tag_of_the_base_is_empty),
		TEST(refuses_what_is_no_name),
		TEST(says_that_there_is_none),
		TEST(is_removed),
		TEST(lists_by_name_what_can_be_read),
		TEST(says_how_a_damaged_one_is_mended),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
