/*
 * What changes files needs a sandbox: cli/build, cli/build_check, cli/build_copy, cli/build_image, cli/build_layer,
 * cli/build_run and cli/build_workdir are tested by tests/cli/test_containerfile.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/build_config.h"

struct made {
	struct build b;
	struct build_stage stage;
	struct err err;
};

/* The steps behind FROM, as far as they go. */
static int run(struct arena *a, const char *text, struct made *m)
{
	struct containerfile *f = ARENA_NEW(a, struct containerfile);
	const char *whole = arena_printf(a, "FROM scratch\n%s", text);
	bool done;

	*m = (struct made){.b = {.a = a, .newest = INT64_MAX, .file = f}};
	strv_push(a, &m->b.given, "GIVEN=outside");
	strv_push(a, &m->b.global, "GLOBAL=above");
	assert_int_equal(containerfile_parse(a, "C", whole, strlen(whole), f, &m->err), 0);
	for (size_t i = 1; i < f->n; i++) {
		if (build_config_step(&m->b, &m->stage, &f->v[i], &done, &m->err) < 0)
			return -1;
		assert_true(done);
	}
	return 0;
}

static const char *joined(struct arena *a, const struct oci_strings *list)
{
	_cleanup_buf_ struct buf b = {0};

	for (size_t i = 0; i < list->n; i++)
		buf_printf(&b, "%s|", list->v[i]);
	return arena_strdup(a, b.p ? b.p : "");
}

static void steps_fill_the_config(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct made m;

	(void)state;
	assert_int_equal(run(a,
			     "ENV A=1 B=\"x $A\"\nENV C=${A}2 A=9\nLABEL k=\"v $A\" \"a b\"=c\n"
			     "USER u:$A\nEXPOSE 80 5-6/udp\nVOLUME [\"/x\"]\nVOLUME /y /x\n"
			     "STOPSIGNAL TERM\nMAINTAINER me\nSHELL [\"/bin/bash\",\"-c\"]\n"
			     "CMD run it\nHEALTHCHECK --interval=1m30s --retries=2 CMD test\n",
			     &m),
			 0);
	assert_string_equal(joined(a, &m.stage.config.env), "A=9|B=x |C=12|");
	assert_string_equal(oci_pair(&m.stage.config.labels, "k"), "v 9");
	assert_string_equal(oci_pair(&m.stage.config.labels, "a b"), "c");
	assert_string_equal(oci_pair(&m.stage.config.labels, "maintainer"), "me");
	assert_string_equal(m.stage.config.user, "u:9");
	assert_string_equal(joined(a, &m.stage.config.ports), "80/tcp|5/udp|6/udp|");
	assert_string_equal(joined(a, &m.stage.config.volumes), "/x|/y|");
	assert_string_equal(m.stage.config.stop_signal, "TERM");
	assert_string_equal(joined(a, &m.stage.config.cmd), "/bin/bash|-c|run it|");
	assert_string_equal(m.stage.config.healthcheck,
			    "{\"Test\":[\"CMD-SHELL\",\"test\"],\"Interval\":90000000000,"
			    "\"Retries\":2}");
	assert_int_equal(m.stage.config.n_history, 12);
	assert_true(m.stage.config.history[0].empty_layer);
	assert_string_equal(m.stage.config.history[3].created_by, "USER u:$A");
}

static void entrypoint_ends_a_cmd_of_the_base_alone(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct made m;

	(void)state;
	assert_int_equal(run(a, "CMD [\"a\"]\nENTRYPOINT [\"b\"]", &m), 0);
	assert_string_equal(joined(a, &m.stage.config.cmd), "a|");
	m.stage.own_cmd = false;
	assert_int_equal(run(a, "ENTRYPOINT b", &m), 0);
	assert_int_equal(m.stage.config.cmd.n, 0);
	assert_string_equal(joined(a, &m.stage.config.entrypoint), "/bin/sh|-c|b|");
}

static void arguments_come_from_three_places(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct made m;
	struct strv env;

	(void)state;
	assert_int_equal(run(a,
			     "ARG GIVEN=x\nARG GLOBAL\nARG D=${GIVEN}!\nARG NONE\nARG TARGETOS\n"
			     "ARG E=arg\nENV E=env\n",
			     &m),
			 0);
	assert_string_equal(build_lookup(&m.stage, "GIVEN"), "outside");
	assert_string_equal(build_lookup(&m.stage, "GLOBAL"), "above");
	assert_string_equal(build_lookup(&m.stage, "D"), "outside!");
	assert_null(build_lookup(&m.stage, "NONE"));
	assert_string_equal(build_lookup(&m.stage, "PATH"),
			    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
	assert_string_equal(build_lookup(&m.stage, "TARGETOS"), "linux");
	assert_string_equal(build_lookup(&m.stage, "E"), "env");
	env = build_env(&m.b, &m.stage);
	assert_true(strv_contains(&env, "D=outside!"));
	assert_true(strv_contains(&env, "E=env"));
	assert_false(strv_contains(&env, "E=arg"));
}

static void paths_are_relative_to_workdir(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct made m;

	(void)state;
	assert_int_equal(run(a, "", &m), 0);
	assert_string_equal(build_path(&m.b, &m.stage, "x/../y/"), "/y");
	m.stage.config.workdir = "/w";
	assert_string_equal(build_path(&m.b, &m.stage, "x"), "/w/x");
	assert_string_equal(build_path(&m.b, &m.stage, "/x"), "/x");
}

static void bad_values_are_refused(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{"EXPOSE 0", "'0' is not PORT[-PORT][/tcp|/udp]"},
		{"EXPOSE 1/x", "'1/x' is not PORT[-PORT][/tcp|/udp]"},
		{"EXPOSE 9-8", "'9-8' is not PORT[-PORT][/tcp|/udp]"},
		{"HEALTHCHECK --interval=x CMD a", "'x' is not a time such as 30s"},
		{"HEALTHCHECK --retries=x CMD a", "'x' is not a number of retries"},
		{"ENV \"\"=1", "'' is not a variable's name"},
		{"USER ${X:?why}", "the variable 'X' is not set: why"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		struct made m;

		assert_int_equal(run(a, t[i].text, &m), -1);
		assert_string_equal(m.err.msg, t[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_fill_the_config),
		cmocka_unit_test(entrypoint_ends_a_cmd_of_the_base_alone),
		cmocka_unit_test(arguments_come_from_three_places),
		cmocka_unit_test(paths_are_relative_to_workdir),
		cmocka_unit_test(bad_values_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
