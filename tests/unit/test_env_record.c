#include <errno.h>

#include "store/env_record.h"
#include "store_world.h"

#define DIGEST "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static int folder(const struct world *w)
{
	int fd = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static struct commit commit_of(const char *digest, const char *message)
{
	return (struct commit){.digest = digest,
			       .message = message,
			       .by = "sbx commit",
			       .tree = "tree-single",
			       .created = -5};
}

static void assert_commit(const struct commit *got, const struct commit *wanted)
{
	assert_string_equal(got->digest, wanted->digest);
	assert_string_equal(got->message, wanted->message);
	assert_string_equal(got->by, wanted->by);
	assert_string_equal(got->tree, wanted->tree);
	assert_int_equal(got->created, wanted->created);
}

static struct env plain(void)
{
	return (struct env){.dir = "/store/envs/x",
			    .project = "/tmp/p",
			    .name = "default",
			    .rung = -1,
			    .upper_n = 1};
}

static void all_of_it_comes_back(void **state)
{
	struct world *w = *state;
	_cleanup_fd_ int fd = folder(w);
	struct commit v[] = {commit_of(DIGEST, "a\nb\xff%\x1b[0m\"\\"), commit_of(OTHER, "")};
	struct env e = plain();
	struct env got = {.dir = e.dir};
	struct err err = {0};

	e.project = "/tmp/\xff\n%";
	e.rung = 1;
	e.as = 2;
	e.fuse = true;
	e.created = 1700000000;
	e.upper_n = 7;
	e.chain = (struct chain){v, 2};
	e.below = 1;
	e.stage = "layer-1-2-3";
	e.pending = commit_of(OTHER, "pending");
	assert_int_equal(env_record_write(fd, &e, &err), 0);
	assert_int_equal(env_record_read(w->a, fd, &got, &err), 0);
	assert_string_equal(got.project, e.project);
	assert_string_equal(got.name, "default");
	assert_int_equal(got.rung, 1);
	assert_int_equal(got.as, 2);
	assert_true(got.fuse);
	assert_int_equal(got.created, 1700000000);
	assert_int_equal(got.upper_n, 7);
	assert_string_equal(got.upper, "upper.7");
	assert_int_equal(got.chain.n, 2);
	assert_int_equal(got.below, 1);
	/* Not written where it is all of them. */
	e.below = 2;
	assert_int_equal(env_record_write(fd, &e, &err), 0);
	assert_int_equal(env_record_read(w->a, fd, &got, &err), 0);
	assert_int_equal(got.below, 2);
	assert_commit(&got.chain.v[0], &v[0]);
	assert_commit(&got.chain.v[1], &v[1]);
	assert_string_equal(got.stage, "layer-1-2-3");
	assert_commit(&got.pending, &e.pending);
}

static void nothing_is_pending_as_a_rule(void **state)
{
	struct world *w = *state;
	_cleanup_fd_ int fd = folder(w);
	struct env e = plain();
	struct env got = {.dir = e.dir};
	struct err err = {0};

	assert_int_equal(env_record_write(fd, &e, &err), 0);
	assert_int_equal(env_record_read(w->a, fd, &got, &err), 0);
	assert_null(got.stage);
	assert_int_equal(got.chain.n, 0);
	assert_false(got.fuse);
}

#define HEAD "{\"version\": 2, \"project\": \"/p\", \"name\": \"x\", \"rung\": 0, \"created\": 1"
#define LINK(digest, tree)                                                              \
	"{\"digest\": \"" digest "\", \"message\": \"\", \"by\": \"\", \"created\": 1," \
	" \"tree\": \"" tree "\"}"

static void refuses_what_is_wrong(void **state)
{
	static const char *const texts[] = {
		HEAD "}",
		HEAD ", \"upper\": -1, \"chain\": []}",
		HEAD ", \"upper\": \"1\", \"chain\": []}",
		HEAD ", \"upper\": 1}",
		HEAD ", \"upper\": 1, \"chain\": {}}",
		HEAD ", \"upper\": 1, \"chain\": [1]}",
		HEAD ", \"upper\": 1, \"chain\": [" LINK("0123", "tree") "]}",
		HEAD ", \"upper\": 1, \"chain\": [" LINK(DIGEST, "") "]}",
		HEAD ", \"upper\": 1, \"chain\": [" LINK(DIGEST, "..") "]}",
		HEAD ", \"upper\": 1, \"chain\": [" LINK(DIGEST, "a/b") "]}",
		HEAD ", \"upper\": 1, \"chain\": [], \"below\": 1}",
		HEAD ", \"upper\": 1, \"chain\": [], \"below\": -1}",
		HEAD ", \"upper\": 1, \"chain\": [], \"pending\": {}}",
		HEAD ", \"upper\": 1, \"chain\": [], \"pending\": " LINK(DIGEST, "tree") "}",
		HEAD ", \"upper\": 1, \"chain\": [], \"pending\": {\"stage\": \"../x\", "
		     "\"digest\": \"" DIGEST "\", \"message\": \"\", \"by\": \"\", "
		     "\"created\": 1, \"tree\": \"tree\"}}",
	};
	struct world *w = *state;
	_cleanup_fd_ int fd = folder(w);

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct env got = {.dir = "/store/envs/x"};
		struct err err = {0};

		world_write(w, "env.json", texts[i]);
		if (env_record_read(w->a, fd, &got, &err) == 0)
			fail_msg("took %s", texts[i]);
		assert_int_equal(err.errnum, EBADMSG);
		assert_string_equal(
			err.msg,
			"cannot read '/store/envs/x/env.json': a value is missing or wrong");
		assert_string_equal(err.hint,
				    "the environment is damaged; move '/store/envs/x' away");
	}
	/* What they differ by: this one is good. */
	world_write(w, "env.json", HEAD ", \"upper\": 1, \"chain\": [" LINK(DIGEST, "tree") "]}");
	assert_int_equal(env_record_read(w->a, fd, &(struct env){.dir = "/x"}, &(struct err){0}),
			 0);
}

static void a_chain_is_json_and_back(void **state)
{
	struct world *w = *state;
	struct commit v[] = {commit_of(DIGEST, "\xfe")};
	const struct chain c = {v, 1};
	json_auto_t *array = chain_to_json(&c);
	json_auto_t *number = json_integer(1);
	struct chain got = {.n = 77};

	assert_int_equal(chain_from_json(w->a, number, &got), -1);
	assert_int_equal(chain_from_json(w->a, NULL, &got), -1);
	assert_int_equal(got.n, 77);
	assert_int_equal(chain_from_json(w->a, array, &got), 0);
	assert_int_equal(got.n, 1);
	assert_commit(&got.v[0], &v[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(all_of_it_comes_back),
		TEST(nothing_is_pending_as_a_rule),
		TEST(refuses_what_is_wrong),
		TEST(a_chain_is_json_and_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
