#include <errno.h>

#include "base/log.h"
#include "store/env.h"
#include "store/project.h"
#include "store_world.h"

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"

static bool allowed(const struct store *s, const char *project, const char *digest)
{
	bool yes = false;
	struct err err = {0};

	assert_int_equal(allow_get(s, project, digest, &yes, &err), 0);
	return yes;
}

static void allows_one_text_of_one_project(void **state)
{
	static const char odd[] = "/p\n,:\xff";
	struct world *w = *state;
	struct store s = {0};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_false(allowed(&s, "/p", ONE));
	assert_int_equal(allow_put(&s, "/p", ONE, &err), 0);
	assert_true(allowed(&s, "/p", ONE));
	assert_true(allowed(&s, "/p/", ONE));
	assert_false(allowed(&s, "/p", TWO));
	assert_false(allowed(&s, "/q", ONE));
	/* A changed profile asks again, and then the old text counts no more. */
	assert_int_equal(allow_put(&s, "/p", TWO, &err), 0);
	assert_true(allowed(&s, "/p", TWO));
	assert_false(allowed(&s, "/p", ONE));
	assert_int_equal(allow_put(&s, odd, ONE, &err), 0);
	assert_true(allowed(&s, odd, ONE));
	store_done(&s);
}

static void it_is_remembered_what_was(void **state)
{
	struct world *w = *state;
	struct store s = {0};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(allow_put(&s, "/p", ONE, &err), 0);
	assert_false(allow_was_closed(&s, "/p"));
	assert_int_equal(allow_set_closed(&s, "/p", false, &err), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(allow_set_closed(&s, "/p/", true, &err), 0);
		assert_true(allow_was_closed(&s, "/p"));
	}
	assert_false(allow_was_closed(&s, "/q"));
	assert_int_equal(allow_set_closed(&s, "/p", false, &err), 0);
	assert_false(allow_was_closed(&s, "/p"));
	assert_false(allow_was_told(&s, "/p", ONE));
	assert_int_equal(allow_set_told(&s, "/p", ONE, &err), 0);
	assert_true(allow_was_told(&s, "/p", ONE));
	assert_false(allow_was_told(&s, "/q", ONE));
	assert_int_equal(allow_set_told(&s, "/p", TWO, &err), 0);
	assert_false(allow_was_told(&s, "/p", ONE));
	assert_true(allowed(&s, "/p", ONE));
	assert_int_equal(allow_set_closed(&s, "p", true, &err), -1);
	assert_int_equal(allow_set_told(&s, "p", ONE, &err), -1);
	store_done(&s);
}

static void a_damaged_record_allows_nothing(void **state)
{
	struct world *w = *state;
	struct store s = {0};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(allow_put(&s, "/p", ONE, &err), 0);
	/* sha256("/p") */
	world_write(
		w,
		"data/sbx/allow/00d74baf14ea415c6164614838c91f834c38c3e564444dfa5bc3aa0d2809e265.json",
		"{");
	log_set_level(LOG_QUIET);
	assert_false(allowed(&s, "/p", ONE));
	log_set_level(LOG_NORMAL);
	/* The record of another project, put in its place. */
	world_write(
		w,
		"data/sbx/allow/00d74baf14ea415c6164614838c91f834c38c3e564444dfa5bc3aa0d2809e265.json",
		"{\"version\": 1, \"project\": \"/q\", \"digest\": \"" ONE "\"}");
	assert_false(allowed(&s, "/p", ONE));
	assert_int_equal(allow_put(&s, "/p", ONE, &err), 0);
	assert_true(allowed(&s, "/p", ONE));
	store_done(&s);
}

static void refuses_what_is_no_digest(void **state)
{
	struct world *w = *state;
	struct store s = {0};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(allow_put(&s, "/p", "abc", &err), -1);
	assert_string_equal(err.msg, "cannot look up what '/p' is allowed: 'abc' is not a digest");
	assert_int_equal(allow_put(&s, "p", ONE, &err), -1);
	assert_string_equal(err.msg,
			    "cannot look up what 'p' is allowed: the path is not absolute");
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(allows_one_text_of_one_project),
		TEST(it_is_remembered_what_was),
		TEST(a_damaged_record_allows_nothing),
		TEST(refuses_what_is_no_digest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
