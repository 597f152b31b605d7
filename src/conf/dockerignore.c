#include "conf/dockerignore.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

#define PATTERNS_MAX 4096U
/* Each of these may double the ways to match. */
#define DEEP_MAX 16

/* ---- one pattern ---- */

/* Behind '[': does the class hold c?  *ret_end is behind ']', or NULL where there is none. */
static bool in_class(const char *p, unsigned char c, const char **ret_end)
{
	bool negated = *p == '^' || *p == '!';
	bool found = false;

	*ret_end = NULL;
	p += negated;
	for (bool first = true; *p && (first || *p != ']'); first = false) {
		unsigned char low;
		unsigned char high;

		if (*p == '\\' && !*++p)
			return false;
		low = (unsigned char)*p++;
		high = low;
		if (p[0] == '-' && p[1] && p[1] != ']') {
			p++;
			if (*p == '\\' && !*++p)
				return false;
			high = (unsigned char)*p++;
		}
		found = found || (low <= c && c <= high);
	}
	if (*p != ']')
		return false;
	*ret_end = p + 1;
	return found != negated;
}

/* One element of the pattern that is neither '*' nor the end; *g goes behind it. */
static bool match_one(const char **g, char c)
{
	const char *p = *g;
	const char *end;
	bool r;

	switch (*p) {
	case '?':
		*g = p + 1;
		return c != '/' && c != '\0';
	case '[':
		r = in_class(p + 1, (unsigned char)c, &end);
		*g = end ? end : p + 1;
		return end && r && c != '/' && c != '\0';
	case '\\':
		*g = p[1] ? p + 2 : p + 1;
		return p[1] && c == p[1];
	default:
		*g = p + 1;
		return c == *p;
	}
}

/* Without `**`: the last star alone is tried again, for what one before it took can be taken by it as well. */
static bool match_part(const char *g, const char *s, const char *end)
{
	const char *star = NULL;
	const char *from = NULL;

	for (;;) {
		const char *at = g;

		if (*g == '*') {
			star = ++g;
			from = s;
			continue;
		}
		if (s == end && (!*g || *g == '/'))
			return true;
		if (s < end && *g && *g != '/' && match_one(&at, *s)) {
			g = at;
			s++;
			continue;
		}
		if (!star || from == end)
			return false;
		s = ++from;
		g = star;
	}
}

static const char *part_end(const char *s)
{
	return s + strcspn(s, "/");
}

/* Where the part of a pattern ends: a slash in a class is of the class. */
static const char *glob_end(const char *g)
{
	while (*g && *g != '/') {
		const char *end = NULL;

		if (*g == '[')
			(void)in_class(g + 1, 'a', &end);
		if (*g == '\\' && g[1])
			g++;
		g = end ? end : g + 1;
	}
	return g;
}

/* Behind a `**` and its slash: the rest of the pattern, at any folder on the way. */
static bool match_deep(const char *rest, const char *path)
{
	for (;;) {
		const char *end = part_end(path);

		if (dockerignore_glob(rest, path, true))
			return true;
		if (!*end)
			return false;
		path = end + 1;
	}
}

bool dockerignore_glob(const char *glob, const char *path, bool deep)
{
	while (*glob) {
		const char *next = glob_end(glob);
		const char *end = part_end(path);

		if (deep && next - glob == 2 && strncmp(glob, "**", 2) == 0)
			return !*next || match_deep(next + 1, path);
		if (!*path || !match_part(glob, path, end))
			return false;
		if (!*next || !*end)
			return !*next && !*end;
		glob = next + 1;
		path = end + 1;
	}
	return !*path;
}

bool dockerignore_valid(const char *glob)
{
	for (const char *g = glob; *g; g++) {
		const char *end = NULL;

		if (*g == '\\' && !*++g)
			return false;
		if (*g != '[')
			continue;
		(void)in_class(g + 1, 'a', &end);
		if (!end)
			return false;
		g = end - 1;
	}
	return true;
}

/* ---- the file ---- */

static int count_deep(const char *glob)
{
	int n = 0;

	for (const char *g = glob; (g = strstr(g, "**")); g += 2)
		n++;
	return n;
}

static int add(struct arena *a, struct dockerignore *ignore, char *line, struct err *err)
{
	struct ignore_pattern *p = &ignore->v[ignore->n];
	const char *clean;

	p->back = *line == '!';
	line = str_trim(line + p->back);
	if (!*line)
		return p->back ? err_set(err, "there is no pattern behind '!'") : 0;
	clean = path_clean(a, path_join(a, "/", line)) + 1;
	if (!*clean) /* "." and "/": as in moby, no pattern */
		return 0;
	if (!dockerignore_valid(clean))
		return err_set(err,
			       "'%s' is not a pattern: a '[' has no end, or a '\\' stands last",
			       line);
	if (count_deep(clean) > DEEP_MAX)
		return err_set(err, "'%s' has more than %d '**'", line, DEEP_MAX);
	p->glob = clean;
	ignore->n++;
	return 0;
}

int dockerignore_parse(struct arena *a, const char *file, const char *text, size_t len,
		       struct dockerignore *ret, struct err *err)
{
	struct dockerignore ignore = {0};
	const char *end = text + len;
	int number = 0;

	if (len > DOCKERIGNORE_MAX)
		return err_set(err, "%s: it is longer than %zu bytes", file, DOCKERIGNORE_MAX);
	ignore.v = arena_alloc(a, (PATTERNS_MAX + 1) * sizeof(*ignore.v));
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		text += 3;
	while (text < end) {
		const char *nl = memchr(text, '\n', (size_t)(end - text));
		size_t n = (size_t)((nl ? nl : end) - text);
		char *line = arena_strndup(a, text, n > 0 && text[n - 1] == '\r' ? n - 1 : n);

		number++;
		if (memchr(text, '\0', n))
			return err_set(err, "%s:%d: the line holds a NUL byte", file, number);
		text += n + (nl != NULL);
		if (*line == '#')
			continue;
		if (ignore.n == PATTERNS_MAX)
			return err_set(err, "%s:%d: there are more than %u patterns", file, number,
				       PATTERNS_MAX);
		if (add(a, &ignore, str_trim(line), err) < 0)
			return err_prefix(err, "%s:%d", file, number);
	}
	*ret = ignore;
	return 0;
}

/* The path, or a folder above it. */
static bool matches_above(const char *glob, const char *path)
{
	_cleanup_buf_ struct buf part = {0};

	buf_add(&part, "", 0);
	for (const char *c = path; *c; c++) {
		if (*c == '/' && dockerignore_glob(glob, part.p, true))
			return true;
		buf_add(&part, c, 1);
	}
	return part.len > 0 && dockerignore_glob(glob, part.p, true);
}

bool dockerignore_matches(const struct dockerignore *ignore, const char *path)
{
	bool out = false;

	for (size_t i = 0; i < ignore->n; i++)
		if (out == ignore->v[i].back && matches_above(ignore->v[i].glob, path))
			out = !ignore->v[i].back;
	return out;
}

bool dockerignore_may_return(const struct dockerignore *ignore)
{
	for (size_t i = 0; i < ignore->n; i++)
		if (ignore->v[i].back)
			return true;
	return false;
}
