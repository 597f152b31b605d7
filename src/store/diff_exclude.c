/* Patterns as in gitignore(5), bytewise. */
#include <string.h>

#include "store/diff.h"

/* One part of a path, or of a pattern. */
struct part {
	const char *p;
	size_t len;
};

static struct part first_part(const char *s, size_t len)
{
	const char *slash = memchr(s, '/', len);

	return (struct part){s, slash ? (size_t)(slash - s) : len};
}

/* What is behind the first part and its slash. */
static struct part behind(struct part whole, struct part first)
{
	size_t skip = first.len + (first.len < whole.len ? 1 : 0);

	return (struct part){whole.p + skip, whole.len - skip};
}

/*
 * `[a-z]`, `[!a]` at p.  The length of the pattern's piece, 0 where it is no closed bracket (it then
 * stands for itself).
 */
static size_t match_bracket(struct part p, unsigned char c, bool *ret)
{
	size_t i = 1;
	bool negated = i < p.len && (p.p[i] == '!' || p.p[i] == '^');
	bool found = false;

	i += negated;
	for (size_t start = i; i < p.len && (p.p[i] != ']' || i == start); i++) {
		unsigned char lo = (unsigned char)p.p[i];
		unsigned char hi = lo;

		if (i + 2 < p.len && p.p[i + 1] == '-' && p.p[i + 2] != ']') {
			hi = (unsigned char)p.p[i + 2];
			i += 2;
		}
		found = found || (lo <= c && c <= hi);
	}
	if (i >= p.len)
		return 0;
	*ret = found != negated;
	return i + 1;
}

/* How much of the pattern matches the one byte; 0: it does not. */
static size_t match_byte(struct part p, unsigned char c)
{
	bool matches = false;
	size_t len;

	if (p.len == 0)
		return 0;
	switch (p.p[0]) {
	case '?':
		return 1;
	case '\\':
		if (p.len > 1)
			return (unsigned char)p.p[1] == c ? 2 : 0;
		break;
	case '[':
		len = match_bracket(p, c, &matches);
		if (len)
			return matches ? len : 0;
		break;
	default:
		break;
	}
	return (unsigned char)p.p[0] == c ? 1 : 0;
}

/* One name.  Where it fails, only the last star has to try again: never more than len × len steps. */
static bool match_part(struct part pattern, struct part name)
{
	size_t p = 0;
	size_t n = 0;
	size_t star_p = 0;
	size_t star_n = 0;
	bool star = false;

	while (n < name.len) {
		struct part rest = {pattern.p + p, pattern.len - p};
		size_t len;

		if (rest.len && rest.p[0] == '*') {
			star = true;
			star_p = ++p;
			star_n = n;
			continue;
		}
		len = match_byte(rest, (unsigned char)name.p[n]);
		if (len) {
			p += len;
			n++;
		} else if (star) {
			p = star_p;
			n = ++star_n;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.p[p] == '*')
		p++;
	return p == pattern.len;
}

static bool is_any_depth(struct part p)
{
	return p.len == 2 && p.p[0] == '*' && p.p[1] == '*';
}

/* The whole path, part by part; as above, only the last `**` tries again. */
static bool match_path(struct part pattern, struct part path)
{
	struct part star_pattern = {0};
	struct part star_path = {0};

	while (path.len) {
		struct part p = first_part(pattern.p, pattern.len);
		struct part name = first_part(path.p, path.len);

		if (is_any_depth(p)) {
			star_pattern = behind(pattern, p);
			star_path = path;
			/* At the end it stands for all that is inside. */
			if (star_pattern.len == 0)
				return true;
			pattern = star_pattern;
			continue;
		}
		if (pattern.len && match_part(p, name)) {
			pattern = behind(pattern, p);
			path = behind(path, name);
		} else if (star_pattern.p) {
			star_path = behind(star_path, first_part(star_path.p, star_path.len));
			pattern = star_pattern;
			path = star_path;
		} else {
			return false;
		}
	}
	return pattern.len == 0;
}

static bool matches(const char *pattern, const char *path, bool is_dir)
{
	struct part p = {pattern, strlen(pattern)};
	const char *base = strrchr(path, '/');

	if (p.len && p.p[p.len - 1] == '/') {
		if (!is_dir)
			return false;
		p.len--;
	}
	if (!memchr(p.p, '/', p.len)) {
		base = base ? base + 1 : path;
		return p.len && match_part(p, (struct part){base, strlen(base)});
	}
	if (p.p[0] == '/') {
		p.p++;
		p.len--;
	}
	return p.len && match_path(p, (struct part){path, strlen(path)});
}

bool diff_excluded(const char *const *patterns, const char *path, bool is_dir)
{
	for (; patterns && *patterns; patterns++) {
		if (matches(*patterns, path, is_dir))
			return true;
	}
	return false;
}
