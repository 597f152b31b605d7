/* Also of conf/containerfile_lines, conf/containerfile_words and conf/containerfile_expand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/containerfile.h"

#define N(v) (sizeof(v) / sizeof((v)[0]))

static void parse(struct arena *a, const char *text, struct containerfile *ret)
{
	struct err err = {0};

	if (containerfile_parse(a, "C", text, strlen(text), ret, &err) < 0)
		fail_msg("%s", err.msg);
}

/* "kind@line|arg|arg|name=value|--flag=value|<<name:text|as" of the step behind FROM, or of the only one. */
static void show(const struct cf_step *s, struct buf *b)
{
	buf_printf(b, "%s@%d%s", cf_kind_name(s->kind), s->line, s->exec ? "!" : "");
	for (size_t i = 0; i < s->n_args; i++)
		buf_printf(b, "|%s", s->args[i]);
	for (size_t i = 0; i < s->n_pairs; i++)
		buf_printf(b, "|%s=%s", s->pairs[i].name,
			   s->pairs[i].value ? s->pairs[i].value : "(none)");
	for (size_t i = 0; i < s->n_flags; i++)
		buf_printf(b, "|--%s=%s", s->flags[i].name, s->flags[i].value);
	for (size_t i = 0; i < s->n_heredocs; i++)
		buf_printf(b, "|<<%s%s:%s", s->heredocs[i].name, s->heredocs[i].expand ? "$" : "",
			   s->heredocs[i].text);
	if (s->as)
		buf_printf(b, "|as %s", s->as);
}

static void test_steps(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{"RUN a b  c", "RUN@2|a b  c"},
		{"run a \\\n  b", "RUN@2|a   b"},
		{"RUN a \\ \t\n# no\n\nb\n", "RUN@2|a b"},
		{"RUN a \\\\\n", "RUN@2|a \\\\"},
		{"\n# x\n RUN [\"a\", \"b c\"]", "RUN@4!|a|b c"},
		{"RUN [\"\\u00e9\\ud83d\\ude00\\n\\\"\"]", "RUN@2!|é😀\n\""},
		{"RUN [ ]", "RUN@2!"},
		{"RUN [ \"a\", ]", "RUN@2|[ \"a\", ]"},
		{"RUN ['a']", "RUN@2|['a']"},
		{"RUN <<E\na\n$b\nE\n", "RUN@2|a\n$b\n|<<E$:a\n$b\n"},
		{"RUN cat <<-'E' >x\n\ta\n\tE\n", "RUN@2|cat <<-'E' >x\na\nE\n|<<E:a\n"},
		{"RUN echo \"<<E\"", "RUN@2|echo \"<<E\""},
		{"RUN a <<<b", "RUN@2|a <<<b"},
		{"COPY a b /c/", "COPY@2|a|b|/c/"},
		{"COPY --from=x --chown=1:2 a /c", "COPY@2|a|/c|--from=x|--chown=1:2"},
		{"COPY [\"a b\",\"/c\"]", "COPY@2!|a b|/c"},
		{"COPY <<F <<\"G\" /c/\n1\nF\n2\nG\n", "COPY@2|/c/|<<F$:1\n|<<G:2\n"},
		{"ADD --chmod=755 a /", "ADD@2|a|/|--chmod=755"},
		{"ENV a=1 b=\"x y\" c=x\\ y", "ENV@2|a=1|b=\"x y\"|c=x\\ y"},
		{"ENV a x y  z", "ENV@2|a=x y  z"},
		{"ENV a=", "ENV@2|a="},
		{"LABEL \"a b\"='c'", "LABEL@2|\"a b\"='c'"},
		{"ARG a b=c", "ARG@2|a=(none)|b=c"},
		{"WORKDIR /a b", "WORKDIR@2|/a b"},
		{"USER a:b", "USER@2|a:b"},
		{"EXPOSE 80 90/udp", "EXPOSE@2|80|90/udp"},
		{"VOLUME [\"/a\"]", "VOLUME@2!|/a"},
		{"VOLUME /a /b", "VOLUME@2|/a|/b"},
		{"CMD a", "CMD@2|a"},
		{"ENTRYPOINT [\"a\"]", "ENTRYPOINT@2!|a"},
		{"SHELL [\"/bin/bash\",\"-c\"]", "SHELL@2!|/bin/bash|-c"},
		{"HEALTHCHECK NONE", "HEALTHCHECK@2"},
		{"HEALTHCHECK --retries=3 CMD x y", "HEALTHCHECK@2|x y|--retries=3"},
		{"HEALTHCHECK CMD [\"x\"]", "HEALTHCHECK@2!|x"},
		{"STOPSIGNAL 9", "STOPSIGNAL@2|9"},
		{"MAINTAINER a <b>", "MAINTAINER@2|a <b>"},
		{"FROM b AS New", "FROM@2|b|as new"},
		{"FROM --platform=linux/amd64 b", "FROM@2|b|--platform=linux/amd64"},
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		_cleanup_buf_ struct buf b = {0};
		struct containerfile f = {0};

		parse(a, arena_printf(a, "FROM x\n%s", t[i].text), &f);
		assert_int_equal(f.n, 2);
		show(&f.v[1], &b);
		assert_string_equal(b.p, t[i].want);
	}
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{"", "C: there is no FROM in it"},
		{"RUN a\nFROM b", "C:1: RUN: it stands before the first FROM"},
		{"FROM a\nRNU x", "C:2: there is no instruction 'RNU'"},
		{"FROM a\nONBUILD RUN x", "C:2: ONBUILD is not supported"},
		{"FROM a\n\nRUN --mount=type=cache,target=/x y",
		 "C:3: RUN: RUN --mount is not supported"},
		{"FROM a\nRUN --network=none y", "C:2: RUN: RUN --network is not supported"},
		{"FROM a\nADD --checksum=x a b", "C:2: ADD: ADD --checksum is not supported"},
		{"FROM a\nCOPY --from=a --from=b a b", "C:2: COPY: --from is given twice"},
		{"FROM a\nRUN", "C:2: RUN: it needs an argument"},
		{"FROM a\nCOPY a", "C:2: COPY: it needs what is copied, and where to"},
		{"FROM a\nRUN <<E\nx", "C:2: the here-document 'E' has no end"},
		{"FROM a\nRUN <<E\n#!/usr/bin/python3\nE",
		 "C:2: RUN: a here-document that names its interpreter is not supported"},
		{"FROM a\nENV a", "C:2: ENV: 'a' is not NAME=VALUE"},
		{"FROM a\nENV a=1 b", "C:2: ENV: 'b' is not NAME=VALUE"},
		{"FROM a\nENV =1", "C:2: ENV: there is no name before '=1'"},
		{"FROM a\nSHELL /bin/sh", "C:2: SHELL: it must be a JSON array of strings"},
		{"FROM a\nHEALTHCHECK x",
		 "C:2: HEALTHCHECK: it must be NONE, or CMD and a command"},
		{"FROM a b", "C:1: FROM: it must be IMAGE, or IMAGE AS NAME"},
		{"FROM a AS 1", "C:1: FROM: '1' cannot be the name of a stage"},
		{"FROM a AS b\nFROM a AS B",
		 "C:2: FROM: a stage has the name 'b' already, in line 1"},
		{"# escape=x\nFROM a", "C:1: the escape must be \\ or `, not 'x'"},
		{"FROM a\nRUN \x01",
		 "C:2: the line holds a control character, a byte that is not UTF-8, or a character "
		 "that turns or hides text"},
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		struct containerfile f = {0};
		struct err err = {0};

		assert_int_equal(
			containerfile_parse(a, "C", t[i].text, strlen(t[i].text), &f, &err), -1);
		assert_string_equal(err.msg, t[i].want);
		assert_int_equal(f.n, 0);
	}
}

static void test_hints(void **state)
{
	static const struct {
		const char *text, *want;
	} t[] = {
		{"FROM a\nrnu x", "did you mean RUN?"},
		{"FROM a\nSHELL x", "write: SHELL [\"/bin/bash\", \"-c\"]"},
		{"FROM a\nONBUILD x", "write its instruction in the Containerfiles that build on "
				      "this image"},
		{"FROM a\nRUN <<E\n#!x\nE", "write: RUN python3 <<EOF"},
		{"FROM a\nRUN \x01", "write such bytes as escapes: printf '\\033'"},
	};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		struct containerfile f = {0};
		struct err err = {0};

		assert_int_equal(
			containerfile_parse(a, "C", t[i].text, strlen(t[i].text), &f, &err), -1);
		assert_string_equal(err.hint, t[i].want);
	}
}

static void test_directives(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	struct containerfile f = {0};

	(void)state;
	parse(a, "\xef\xbb\xbf# syntax=x\r\n# ESCAPE = `\r\nFROM a`\r\n AS b\r\nRUN c:\\ `\r\n d",
	      &f);
	assert_int_equal(f.escape, '`');
	assert_int_equal(f.n, 2);
	assert_string_equal(f.v[0].as, "b");
	assert_string_equal(f.v[1].args[0], "c:\\  d");
	/* Behind a comment it is none. */
	parse(a, "# x\n# escape=`\nFROM a", &f);
	assert_int_equal(f.escape, '\\');
}

static const char *lookup(void *ctx, const char *name)
{
	(void)ctx;
	if (str_eq(name, "x"))
		return "val";
	return str_eq(name, "e") ? "" : NULL;
}

static void test_expand(void **state)
{
	static const struct {
		const char *word, *want;
	} t[] = {
		{"a$x", "aval"},
		{"${x}y", "valy"},
		{"$xy", ""},
		{"$n", ""},
		{"a$", "a$"},
		{"${n:-d}", "d"},
		{"${e:-d}", "d"},
		{"${e-d}", ""},
		{"${x:-d}", "val"},
		{"${x:+d}", "d"},
		{"${e:+d}", ""},
		{"${e+d}", "d"},
		{"${n:-${x}z}", "valz"},
		{"${n:-a b}", "a b"},
		{"'$x'", "$x"},
		{"\"$x \\\" \\$ \\n\"", "val \" $ \\n"},
		{"\\$x\\ y", "$x y"},
		{"a\"b\"'c'", "abc"},
		{"${x?no}", "val"},
	};
	const struct cf_expand how = {.escape = '\\', .lookup = lookup};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		struct err err = {0};
		const char *out = NULL;

		if (containerfile_expand(a, &how, t[i].word, &out, &err) < 0)
			fail_msg("%s: %s", t[i].word, err.msg);
		assert_string_equal(out, t[i].want);
	}
}

static void test_expand_heredoc(void **state)
{
	const struct cf_expand how = {.escape = '\\', .lookup = lookup, .keep_quotes = true};
	_cleanup_arena_ struct arena *a = arena_new();
	struct err err = {0};
	const char *out = NULL;

	(void)state;
	assert_int_equal(containerfile_expand(a, &how, "it's \"$x\" \\$x \\\\ \\n", &out, &err), 0);
	assert_string_equal(out, "it's \"val\" $x \\ \\n");
}

static void test_expand_bad(void **state)
{
	static const struct {
		const char *word, *want;
	} t[] = {
		{"'a", "a quote ' has no end"},
		{"\"a", "a quote \" has no end"},
		{"${a", "a '${' has no '}'"},
		{"${a:-b", "a '${' has no '}'"},
		{"${}", "a '${' has no name behind it"},
		{"${x#a}", "'${x#…}' is not supported"},
		{"${n:?why}", "the variable 'n' is not set: why"},
	};
	const struct cf_expand how = {.escape = '\\', .lookup = lookup};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		_cleanup_arena_ struct arena *a = arena_new();
		struct err err = {0};
		const char *out = NULL;

		assert_int_equal(containerfile_expand(a, &how, t[i].word, &out, &err), -1);
		assert_string_equal(err.msg, t[i].want);
		assert_null(out);
		if (strchr(t[i].word, '#'))
			assert_string_equal(err.hint,
					    "there are ${x}, ${x:-y}, ${x:+y} and ${x:?y}");
	}
}

/* What sbx.ini has of an instruction: a line without its word. */
static void test_step(void **state)
{
	static const struct {
		enum cf_kind kind;
		const char *text, *want;
	} t[] = {
		{CF_RUN, "[\"a\"] <<E", "RUN@0|[\"a\"] <<E"},
		{CF_RUN, "--mount=x a", "RUN@0|--mount=x a"},
		{CF_COPY, "--chmod=1 a b", "COPY@0|a|b|--chmod=1"},
		{CF_COPY, "[\"a b\", \"c\"]", "COPY@0!|a b|c"},
		{CF_ENV, "A=\"b c\" D=e\\ f", "ENV@0|A=\"b c\"|D=e\\ f"},
		{CF_WORKDIR, "/a b", "WORKDIR@0|/a b"},
	};
	_cleanup_arena_ struct arena *a = arena_new();
	struct cf_step s = {0};
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < N(t); i++) {
		_cleanup_buf_ struct buf b = {0};

		assert_int_equal(containerfile_step(a, t[i].kind, t[i].text, &s, &err), 0);
		show(&s, &b);
		assert_string_equal(b.p, t[i].want);
	}
	assert_int_equal(containerfile_step(a, CF_COPY, "<<E /x", &s, &err), -1);
	assert_string_equal(err.msg, "it needs what is copied, and where to");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_steps),      cmocka_unit_test(test_refused),
		cmocka_unit_test(test_hints),      cmocka_unit_test(test_directives),
		cmocka_unit_test(test_expand),     cmocka_unit_test(test_expand_heredoc),
		cmocka_unit_test(test_expand_bad), cmocka_unit_test(test_step),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
