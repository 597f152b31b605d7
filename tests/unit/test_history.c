/* The words for layers, and what lies on what; the rest of cli/history is in tests/cli/test_history.py. */
#include <errno.h>

#include "chain_world.h"
#include "cli/history.h"
#include "conf/profile.h"
#include "store/tag.h"

#define TWIN "0123ffffffffffff0123ffffffffffff0123ffffffffffff0123ffffffffffff"

struct place {
	struct site t;
	struct workplace w;
	struct commit v[4];
};

/* Of the lowest to the highest: 0123456…, fedc…, 0123fff…, fedc…. */
static void place_init(struct place *p, void **state)
{
	static const char *const digests[] = {DIGEST, OTHER, TWIN, OTHER};

	*p = (struct place){.t = site_new(state)};
	for (size_t i = 0; i < 4; i++)
		p->v[i] = commit_of(digests[i]);
	p->w = (struct workplace){.store = p->t.s, .env = p->t.e, .project = "/p"};
	p->w.env.chain = (struct chain){p->v, 4};
}

static int look(struct place *p, const char *word, struct chain *ret, struct err *err)
{
	*err = (struct err){0};
	return history_chain(p->t.w->a, &p->w, word, ret, err);
}

static size_t depth(struct place *p, const char *word)
{
	struct chain c = {0};
	struct err err;

	if (look(p, word, &c, &err) < 0)
		fail_msg("%s", err.msg);
	return c.n;
}

static void digits_mean_the_chain_up_to_there(void **state)
{
	struct place p;

	place_init(&p, state);
	assert_int_equal(depth(&p, "base"), 0);
	assert_int_equal(depth(&p, "01234"), 1);
	assert_int_equal(depth(&p, DIGEST), 1);
	assert_int_equal(depth(&p, "0123f"), 3);
	/* Twice in the chain: one layer all the same, and the highest is meant. */
	assert_int_equal(depth(&p, "fedc"), 4);
	site_done(&p.t);
}

static void what_is_not_clear_is_refused(void **state)
{
	struct chain c = {.n = 77};
	struct place p;
	struct err err;

	place_init(&p, state);
	assert_int_equal(look(&p, "0123", &c, &err), -1);
	assert_int_equal(err.kind, ERR_USAGE);
	assert_string_equal(err.msg, "'0123' begins more than one layer");
	assert_string_equal(err.hint, "give more digits: 'sbx log' shows them");
	for (size_t i = 0; i < 4; i++) {
		static const char *const words[] = {"012", "FEDC", "0123x", "../x"};

		assert_int_equal(look(&p, words[i], &c, &err), -1);
		assert_int_equal(err.kind, ERR_USAGE);
		assert_string_equal(err.msg,
				    arena_printf(p.t.w->a, "no layer and no tag '%s'", words[i]));
		assert_string_equal(err.hint, "'sbx log' shows the layers, 'sbx tag' the tags");
	}
	assert_int_equal(c.n, 77);
	site_done(&p.t);
}

static void put_tag(struct place *p, const char *name, size_t n)
{
	const struct tag tag = {.name = name, .base = "host", .project = "/p", .chain = {p->v, n}};
	struct err err = {0};

	assert_int_equal(tag_put(&p->t.s, &tag, &err), 0);
}

static void tags_are_words_too(void **state)
{
	struct place p;

	place_init(&p, state);
	put_tag(&p, "talk", 2);
	put_tag(&p, "0123", 3);
	put_tag(&p, "fedc", 1);
	assert_int_equal(depth(&p, "talk"), 2);
	/* Digits of one layer go before a tag, a tag before what is not clear. */
	assert_int_equal(depth(&p, "fedc"), 4);
	assert_int_equal(depth(&p, "0123"), 3);
	site_done(&p.t);
}

static void a_damaged_tag_says_so(void **state)
{
	struct chain c = {0};
	struct place p;
	struct err err;

	place_init(&p, state);
	world_write(p.t.w, "data/sbx/tags/bad.json", "{}");
	assert_int_equal(look(&p, "bad", &c, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	site_done(&p.t);
}

static void trees_are_topmost_first(void **state)
{
	const char *const *trees;
	struct place p;

	place_init(&p, state);
	p.v[1].tree = "tree-single";
	p.w.env.chain.n = 2;
	trees = history_trees(p.t.w->a, &p.t.s, &p.w.env);
	assert_string_equal(trees[0],
			    arena_printf(p.t.w->a, "%s/layers/" OTHER "/tree-single", p.t.s.dir));
	assert_string_equal(trees[1],
			    arena_printf(p.t.w->a, "%s/layers/" DIGEST "/tree", p.t.s.dir));
	assert_null(trees[2]);
	site_done(&p.t);
}

static void what_is_pending_counts(void **state)
{
	struct place p;

	place_init(&p, state);
	p.w.env.chain.n = 1;
	history_add_pending(p.t.w->a, &p.w.env);
	assert_int_equal(p.w.env.chain.n, 1);
	p.w.env.stage = "layer-x";
	p.w.env.pending = commit_of(OTHER);
	history_add_pending(p.t.w->a, &p.w.env);
	assert_int_equal(p.w.env.chain.n, 2);
	assert_string_equal(p.w.env.chain.v[0].digest, DIGEST);
	assert_string_equal(p.w.env.chain.v[1].digest, OTHER);
	site_done(&p.t);
}

static void a_tag_says_what_it_lies_on(void **state)
{
	struct profile profile = {0};
	struct place p;

	place_init(&p, state);
	p.w.profile = &profile;
	profile.base.kind = BASE_HOST;
	assert_string_equal(history_base(p.t.w->a, &p.w), "host");
	profile.base.kind = BASE_DIR;
	profile.base.ref = "./a/../root";
	assert_string_equal(history_base(p.t.w->a, &p.w), "dir:/p/root");
	profile.base.ref = "/root fs";
	assert_string_equal(history_base(p.t.w->a, &p.w), "dir:/root fs");
	site_done(&p.t);
}

static void one_that_was_removed_meanwhile_says_so(void **state)
{
	struct client_hold held = CLIENT_HOLD_NONE;
	const char *message;
	struct err err = {0};
	const char *tmp;
	struct place p;

	place_init(&p, state);
	message = arena_printf(p.t.w->a, "the environment '%s' was removed just now", p.t.e.id);
	assert_int_equal(env_retire(p.t.w->a, &p.t.s, &p.t.e, &tmp, &err), 0);
	/* Its folder is there, elsewhere, and so are its locks. */
	assert_int_equal(history_hold(p.t.w->a, &p.w, "commit", &held, &err), -1);
	assert_string_equal(err.msg, message);
	assert_int_equal(err.errnum, ENOENT);
	client_hold_done(&held);
	site_done(&p.t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(digits_mean_the_chain_up_to_there),
		TEST(what_is_not_clear_is_refused),
		TEST(tags_are_words_too),
		TEST(a_damaged_tag_says_so),
		TEST(trees_are_topmost_first),
		TEST(what_is_pending_counts),
		TEST(a_tag_says_what_it_lies_on),
		TEST(one_that_was_removed_meanwhile_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
