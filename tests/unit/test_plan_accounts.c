/* The user among an image's accounts, and what else the plan takes of an image. */
#include "plan_world.h"

static const char *text_of(struct world *w, const char *path)
{
	const struct standin *s = standin_of(made(w), path);

	assert_non_null(s);
	return s->data;
}

/* plan_world's user: me, 1000. */
static void the_user_gets_a_line(void **state)
{
#define ME "me:x:1000:1000::/home/me:/bin/bash\n"
	static const struct {
		const char *text, *wanted;
	} cases[] = {
		{"root:x:0:0::/root:/bin/sh\n", "root:x:0:0::/root:/bin/sh\n" ME},
		{"root:x:0:0::/root:/bin/sh", "root:x:0:0::/root:/bin/sh\n" ME},
		{"", ME},
		{NULL, "root:x:0:0:root:/root:/bin/bash\n" ME},
		/* Before the one of his number. */
		{"a:x:0:0::/:\nnode:x:1000:7::/:/x\nb:x:1000:1::/:\n",
		 "a:x:0:0::/:\n" ME "node:x:1000:7::/:/x\nb:x:1000:1::/:\n"},
		/* Who is there stays as he is. */
		{"a:x:0:0::/:\nme:x:7:7::/:/bin/false\n", "a:x:0:0::/:\nme:x:7:7::/:/bin/false\n"},
		{"men:x:10000:1::/:\nx:me:1:1000::/:\n", "men:x:10000:1::/:\nx:me:1:1000::/:\n" ME},
		/* No line that could be read. */
		{"me\n\n:::\n1000\nx:1000\n", "me\n\n:::\n1000\nx:1000\n"},
		{"\n:::\n1000\nx:1000\n", "\n:::\n1000\nx:1000\n" ME},
	};
	struct plan_image image = {.ref = "r", .digest = "d", .shell = "/bin/bash"};
	struct world *w = *state;

	w->env.image = &image;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		image.passwd = cases[i].text;
		assert_string_equal(text_of(w, "/etc/passwd"), cases[i].wanted);
	}
	w->env.image = NULL;
}

static void his_group_too(void **state)
{
	struct plan_image image = {
		.ref = "r", .digest = "d", .group = "root:x:0:\nusers:x:7:a,b\n"};
	struct world *w = *state;

	w->env.image = &image;
	assert_string_equal(text_of(w, "/etc/group"), "root:x:0:\nusers:x:7:a,b\nme:x:1000:\n");
	image.group = NULL;
	assert_string_equal(text_of(w, "/etc/group"), "root:x:0:\nme:x:1000:\n");
	w->env.image = NULL;
}

/* Over a host's root, its accounts are there. */
static void not_over_a_host(void **state)
{
	struct plan_image image = {
		.ref = "r", .digest = "d", .over_host = true, .layers = 1, .passwd = "x"};
	static const char *const layers[] = {"/home/me/.local/share/sbx/layers/a/tree", NULL};
	struct world *w = *state;
	const struct plan *plan;

	w->env.image = &image;
	w->env.layers = layers;
	plan = made(w);
	assert_null(standin_of(plan, "/etc/passwd"));
	assert_int_equal(plan->base, BASE_HOST);
	assert_int_equal(plan->n_image, 0);
	image.over_host = false;
	plan = made(w);
	assert_int_equal(plan->n_image, 1);
	assert_int_equal(plan->base, BASE_REGISTRY);
	w->env.image = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(the_user_gets_a_line),
		WORLD_TEST(his_group_too),
		WORLD_TEST(not_over_a_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
