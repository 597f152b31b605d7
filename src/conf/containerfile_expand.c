/*
 * Variables, quotes and escapes in a word of a Containerfile.
 */
#include <ctype.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "conf/containerfile.h"

/* ${a:-${b:-${c}}}: each is a call. */
#define MAX_DEPTH 32
#define MAX_RESULT ((size_t)1 << 20)

struct expanding {
	struct arena *a;
	const struct cf_expand *how;
	int depth;
};

static int expand(struct expanding *x, const char **ret_s, char until, struct buf *ret,
		  struct err *err);

static size_t name_length(const char *s)
{
	size_t n = 0;

	if (isdigit((unsigned char)*s) || (*s && strchr("@*#?!$-", *s)))
		return 1;
	while (isalnum((unsigned char)s[n]) || s[n] == '_')
		n++;
	return n;
}

/* What stands behind ${x:- up to the brace, expanded. */
static int word_of(struct expanding *x, const char **ret_s, const char **ret, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};

	if (expand(x, ret_s, '}', &b, err) < 0)
		return -1;
	if (**ret_s != '}')
		return err_set(err, "a '${' has no '}'");
	(*ret_s)++;
	*ret = arena_strndup(x->a, b.p ? b.p : "", b.len);
	return 0;
}

static int choose(const struct expanding *x, char op, bool colon, const char *const *in,
		  struct buf *ret, struct err *err)
{
	const char *name = in[0];
	const char *word = in[1];
	const char *value = x->how->lookup(x->how->ctx, name);
	bool set = value && (!colon || *value);

	switch (op) {
	case '-':
		buf_adds(ret, set ? value : word);
		return 0;
	case '+':
		buf_adds(ret, set ? word : "");
		return 0;
	default:
		if (!set)
			return err_set(err, "the variable '%s' is not set%s%s", name,
				       *word ? ": " : "", word);
		buf_adds(ret, value);
		return 0;
	}
}

/* Behind "${". */
static int braces(struct expanding *x, const char **ret_s, struct buf *ret, struct err *err)
{
	size_t n = name_length(*ret_s);
	const char *in[2] = {arena_strndup(x->a, *ret_s, n), ""};
	const char *value;
	bool colon;
	char op;

	if (n == 0)
		return err_set(err, "a '${' has no name behind it");
	*ret_s += n;
	if (**ret_s == '}') {
		(*ret_s)++;
		value = x->how->lookup(x->how->ctx, in[0]);
		buf_adds(ret, value ? value : "");
		return 0;
	}
	colon = **ret_s == ':';
	*ret_s += colon;
	op = **ret_s;
	if (!op)
		return err_set(err, "a '${' has no '}'");
	if (!strchr("-+?", op)) {
		err_set(err, "'${%s%s%c…}' is not supported", in[0], colon ? ":" : "", op);
		return err_hint(err, "there are ${x}, ${x:-y}, ${x:+y} and ${x:?y}");
	}
	(*ret_s)++;
	if (word_of(x, ret_s, &in[1], err) < 0)
		return -1;
	return choose(x, op, colon, in, ret, err);
}

/* Behind "$". */
static int variable(struct expanding *x, const char **ret_s, struct buf *ret, struct err *err)
{
	const char *value;
	size_t n;
	int r;

	if (**ret_s == '{') {
		if (++x->depth > MAX_DEPTH)
			return err_set(err, "the variables are more than %d deep", MAX_DEPTH);
		(*ret_s)++;
		r = braces(x, ret_s, ret, err);
		x->depth--;
		return r;
	}
	n = name_length(*ret_s);
	if (n == 0) {
		buf_adds(ret, "$");
		return 0;
	}
	value = x->how->lookup(x->how->ctx, arena_strndup(x->a, *ret_s, n));
	buf_adds(ret, value ? value : "");
	*ret_s += n;
	return 0;
}

static int single_quotes(const char **ret_s, struct buf *ret, struct err *err)
{
	const char *end = strchr(*ret_s, '\'');

	if (!end)
		return err_set(err, "a quote ' has no end");
	buf_add(ret, *ret_s, (size_t)(end - *ret_s));
	*ret_s = end + 1;
	return 0;
}

static int double_quotes(struct expanding *x, const char **ret_s, struct buf *ret, struct err *err)
{
	while (**ret_s != '"') {
		if (!**ret_s)
			return err_set(err, "a quote \" has no end");
		if (**ret_s == '$') {
			(*ret_s)++;
			if (variable(x, ret_s, ret, err) < 0)
				return -1;
			continue;
		}
		/* In these quotes it escapes only what would count. */
		if (**ret_s == x->how->escape && (*ret_s)[1] &&
		    ((*ret_s)[1] == '"' || (*ret_s)[1] == '$' || (*ret_s)[1] == x->how->escape))
			(*ret_s)++;
		buf_add(ret, (*ret_s)++, 1);
	}
	(*ret_s)++;
	return 0;
}

/* An escape, at which *s is: it is gone, but in a here-document, where it is before a variable alone. */
static void escaped(const struct expanding *x, const char **ret_s, struct buf *ret)
{
	char next = (*ret_s)[1];

	if (x->how->keep_quotes && next != '$' && next != x->how->escape)
		buf_add(ret, *ret_s, 1);
	(*ret_s)++;
	if (next)
		buf_add(ret, (*ret_s)++, 1);
}

static int expand(struct expanding *x, const char **ret_s, char until, struct buf *ret,
		  struct err *err)
{
	while (**ret_s && **ret_s != until) {
		char c = **ret_s;
		int r = 0;

		if (ret->len > MAX_RESULT)
			return err_set(err, "it becomes longer than %zu bytes", MAX_RESULT);
		if (c == x->how->escape) {
			escaped(x, ret_s, ret);
			continue;
		}
		(*ret_s)++;
		if (c == '$')
			r = variable(x, ret_s, ret, err);
		else if (c == '\'' && !x->how->keep_quotes)
			r = single_quotes(ret_s, ret, err);
		else if (c == '"' && !x->how->keep_quotes)
			r = double_quotes(x, ret_s, ret, err);
		else
			buf_add(ret, &c, 1);
		if (r < 0)
			return -1;
	}
	return 0;
}

int containerfile_expand(struct arena *a, const struct cf_expand *how, const char *word,
			 const char **ret, struct err *err)
{
	struct expanding x = {.a = a, .how = how};
	_cleanup_buf_ struct buf b = {0};

	if (expand(&x, &word, '\0', &b, err) < 0)
		return -1;
	*ret = arena_strndup(a, b.p ? b.p : "", b.len);
	return 0;
}
