/*
 * The lines of a Containerfile: comments, continued lines, parser directives, here-documents.
 */
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/str.h"
#include "conf/bytes.h"
#include "conf/containerfile_parts.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The next line as it stands, without its end; false at the end of the text. */
static bool raw_line(struct cf_text *t, const char **ret, size_t *ret_n)
{
	const char *nl;
	size_t n;

	if (t->p == t->end)
		return false;
	nl = memchr(t->p, '\n', (size_t)(t->end - t->p));
	n = (size_t)((nl ? nl : t->end) - t->p);
	*ret = t->p;
	*ret_n = n > 0 && t->p[n - 1] == '\r' ? n - 1 : n;
	t->p += n + (nl != NULL);
	t->line++;
	return true;
}

static int check(const struct cf_text *t, const char *s, size_t n, struct err *err)
{
	if (bytes_check(s, n, NULL) == 0)
		return 0;
	err_set(err,
		"%s:%d: the line holds a control character, a byte that is not UTF-8, or a "
		"character that turns or hides text",
		t->file, t->line - 1);
	return err_hint(err, "write such bytes as escapes: printf '\\033'");
}

static bool is_comment(const char *s, size_t n)
{
	while (n > 0 && is_blank(*s)) {
		s++;
		n--;
	}
	return n > 0 && *s == '#';
}

static bool is_empty(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!is_blank(s[i]))
			return false;
	return true;
}

/* Does the line go on in the next one?  Then *n is without the escape. */
static bool goes_on(const struct cf_text *t, const char *s, size_t *n)
{
	size_t end = *n;

	while (end > 0 && is_blank(s[end - 1]))
		end--;
	if (end == 0 || s[end - 1] != t->escape || (end > 1 && s[end - 2] == t->escape))
		return false;
	*n = end - 1;
	return true;
}

/* "# name = value"; false: no directive. */
static bool directive(struct arena *a, const char *s, size_t n, char **ret_name, char **ret_value)
{
	char *copy = str_trim(arena_strndup(a, s, n));
	char *eq;

	if (*copy != '#')
		return false;
	eq = strchr(copy, '=');
	if (!eq)
		return false;
	*eq = '\0';
	*ret_name = str_trim(copy + 1);
	*ret_value = str_trim(eq + 1);
	return **ret_name && !strpbrk(*ret_name, " \t");
}

static int set_escape(struct cf_text *t, const char *value, struct err *err)
{
	if (!str_eq(value, "\\") && !str_eq(value, "`"))
		return err_set(err, "%s:%d: the escape must be \\ or `, not '%s'", t->file,
			       t->line - 1, value);
	t->escape = *value;
	return 0;
}

int cf_text_begin(struct cf_text *t, struct err *err)
{
	t->line = 1;
	t->escape = '\\';
	if (t->end - t->p >= 3 && memcmp(t->p, "\xef\xbb\xbf", 3) == 0)
		t->p += 3;
	for (;;) {
		struct cf_text before = *t;
		char *name;
		char *value;
		const char *s;
		size_t n;

		if (!raw_line(t, &s, &n))
			return 0;
		if (check(t, s, n, err) < 0)
			return -1;
		/* They stand before all else, even before other comments. */
		if (!directive(t->a, s, n, &name, &value) ||
		    (strcasecmp(name, "escape") != 0 && strcasecmp(name, "syntax") != 0 &&
		     strcasecmp(name, "check") != 0)) {
			*t = before;
			return 0;
		}
		if (strcasecmp(name, "escape") == 0 && set_escape(t, value, err) < 0)
			return -1;
	}
}

/* Add lines until one does not go on.  Between them comments and empty lines count for nothing. */
static int join(struct cf_text *t, const char *s, size_t n, struct buf *ret, struct err *err)
{
	for (bool first = true;; first = false) {
		bool more = false;

		if (check(t, s, n, err) < 0)
			return -1;
		if (first || !(is_comment(s, n) || is_empty(s, n))) {
			more = goes_on(t, s, &n);
			buf_add(ret, s, n);
			if (!more)
				return 0;
		}
		if (!raw_line(t, &s, &n))
			return 0;
	}
}

int cf_text_next(struct cf_text *t, struct cf_line *ret, bool *ret_end, struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	char *all;
	size_t word;
	const char *s;
	size_t n;

	do {
		if (!raw_line(t, &s, &n)) {
			*ret_end = true;
			return 0;
		}
		if (check(t, s, n, err) < 0)
			return -1;
	} while (is_comment(s, n) || is_empty(s, n));
	ret->line = t->line - 1;
	if (join(t, s, n, &b, err) < 0)
		return -1;
	all = str_trim(arena_strndup(t->a, b.p ? b.p : "", b.len));
	word = strcspn(all, " \t");
	ret->word = arena_strndup(t->a, all, word);
	ret->rest = all + word + strspn(all + word, " \t");
	*ret_end = false;
	return 0;
}

int cf_text_heredoc(struct cf_text *t, const char *name, bool tabs, const char **ret,
		    struct err *err)
{
	_cleanup_buf_ struct buf b = {0};
	int begun = t->line - 1;
	const char *s;
	size_t n;

	while (raw_line(t, &s, &n)) {
		if (check(t, s, n, err) < 0)
			return -1;
		while (tabs && n > 0 && *s == '\t') {
			s++;
			n--;
		}
		if (n == strlen(name) && memcmp(s, name, n) == 0) {
			*ret = arena_strndup(t->a, b.p ? b.p : "", b.len);
			return 0;
		}
		buf_add(&b, s, n);
		buf_adds(&b, "\n");
	}
	return err_set(err, "%s:%d: the here-document '%s' has no end", t->file, begun, name);
}
