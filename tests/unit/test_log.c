#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/log.h"

struct capture {
	int saved;
	int p[2];
	char text[8192];
};

static void begin(struct capture *c)
{
	memset(c->text, 0, sizeof(c->text));
	assert_int_equal(pipe(c->p), 0);
	c->saved = dup(STDERR_FILENO);
	assert_true(c->saved >= 0);
	assert_int_equal(dup2(c->p[1], STDERR_FILENO), STDERR_FILENO);
	(void)close(c->p[1]);
}

/* What was printed; an empty string where nothing was. */
static const char *end(struct capture *c)
{
	(void)dup2(c->saved, STDERR_FILENO);
	(void)close(c->saved);
	assert_true(read(c->p[0], c->text, sizeof(c->text) - 1) >= 0);
	(void)close(c->p[0]);
	return c->text;
}

static void levels(void **state)
{
	static const char *const want[] = {
		[LOG_QUIET] = "sbx: warning: w 2\n",
		[LOG_NORMAL] = "sbx: i 1\nsbx: warning: w 2\n",
		[LOG_DEBUG] = "sbx: i 1\nsbx: warning: w 2\nsbx: debug: d 3\n",
	};

	(void)state;
	for (enum log_level level = LOG_QUIET; level <= LOG_DEBUG; level++) {
		struct capture c;
		log_set_level(level);
		begin(&c);
		log_info("i %d", 1);
		log_warn("w %d", 2);
		log_debug("d %d", 3);
		assert_string_equal(end(&c), want[level]);
	}
	log_set_level(LOG_NORMAL);
}

static void an_error_with_and_without_a_hint(void **state)
{
	struct capture c;
	struct err err = {0};

	(void)state;
	(void)err_set(&err, "cannot open 'x'");
	begin(&c);
	log_err(&err);
	assert_string_equal(end(&c), "sbx: error: cannot open 'x'\n");
	(void)err_hint(&err, "sbx init");
	begin(&c);
	log_err(&err);
	assert_string_equal(end(&c), "sbx: error: cannot open 'x'\nhint: sbx init\n");
}

static void nothing_steers_the_terminal(void **state)
{
	struct capture c;
	struct err err = {0};

	(void)state;
	(void)err_set(&err, "bad '%s'", "\033[2J\r\xc2\x9b\u202E\xff");
	(void)err_hint(&err, "rm '%s'", "\033]0;x\007");
	begin(&c);
	log_err(&err);
	log_info("%s", "\033c");
	log_warn("%s", "\b");
	assert_string_equal(end(&c), "sbx: error: bad '\\x1b[2J\\x0d\\u{009b}\\u{202e}\\xff'\n"
				     "hint: rm '\\x1b]0;x\\x07'\n"
				     "sbx: \\x1bc\n"
				     "sbx: warning: \\x08\n");
}

static void a_newline_cannot_forge_a_message(void **state)
{
	struct capture c;
	struct err err = {0};

	(void)state;
	(void)err_set(&err, "cannot open '%s'", "x\nhint: run evil");
	begin(&c);
	log_err(&err);
	assert_string_equal(end(&c), "sbx: error: cannot open 'x\n  hint: run evil'\n");
}

static void a_fixed_text(void **state)
{
	struct capture c;

	(void)state;
	begin(&c);
	log_fixed("out of memory");
	assert_string_equal(end(&c), "sbx: error: out of memory\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(levels),
		cmocka_unit_test(an_error_with_and_without_a_hint),
		cmocka_unit_test(nothing_steers_the_terminal),
		cmocka_unit_test(a_newline_cannot_forge_a_message),
		cmocka_unit_test(a_fixed_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
