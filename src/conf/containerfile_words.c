/*
 * The words of an instruction: between blanks, in quotes, as a JSON array, and what begins a here-document.
 */
#include <stdint.h>
#include <string.h>

#include "base/str.h"
#include "conf/containerfile_parts.h"

#define BLANKS " \t"

/* Where the word that begins at s ends. */
static size_t word_length(const char *s, char escape, bool quotes)
{
	char in = '\0';
	size_t i = 0;

	if (!quotes)
		return strcspn(s, BLANKS);
	for (; s[i] && (in || !strchr(BLANKS, s[i])); i++) {
		/* In single quotes the escape is text. */
		if (s[i] == escape && in != '\'' && s[i + 1])
			i++;
		else if (in ? s[i] == in : s[i] == '"' || s[i] == '\'')
			in = in ? '\0' : s[i];
	}
	return i;
}

void cf_words(struct arena *a, const char *s, char escape, bool quotes, struct strv *ret)
{
	s += strspn(s, BLANKS);
	while (*s) {
		size_t n = word_length(s, escape, quotes);

		strv_push(a, ret, arena_strndup(a, s, n));
		s += n;
		s += strspn(s, BLANKS);
	}
}

/* ---- JSON ---- */

static bool hex4(const char *s, uint32_t *ret)
{
	static const char digits[] = "0123456789abcdef";
	uint32_t n = 0;

	for (int i = 0; i < 4; i++) {
		char c = s[i] >= 'A' && s[i] <= 'F' ? (char)(s[i] - 'A' + 'a') : s[i];
		const char *at = c ? strchr(digits, c) : NULL;

		if (!at)
			return false;
		n = n << 4 | (uint32_t)(at - digits);
	}
	*ret = n;
	return true;
}

static void add_utf8(struct buf *b, uint32_t c)
{
	char s[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n - 1; i > 0; i--) {
		s[i] = (char)(0x80u | (c & 0x3fu));
		c >>= 6;
	}
	s[0] = (char)(first[n] | c);
	buf_add(b, s, n);
}

/* \uXXXX, behind the u; a pair of surrogates is one character.  NULL: wrong. */
static const char *json_unicode(const char *s, struct buf *b)
{
	uint32_t c;
	uint32_t low;

	if (!hex4(s, &c) || c == 0)
		return NULL;
	s += 4;
	if (c >= 0xdc00 && c <= 0xdfff)
		return NULL;
	if (c >= 0xd800 && c <= 0xdbff) {
		if (s[0] != '\\' || s[1] != 'u' || !hex4(s + 2, &low) || low < 0xdc00 ||
		    low > 0xdfff)
			return NULL;
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		s += 6;
	}
	add_utf8(b, c);
	return s;
}

static const char *json_escape(const char *s, struct buf *b)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	const char *at = *s ? strchr(from, *s) : NULL;

	if (*s == 'u')
		return json_unicode(s + 1, b);
	if (!at)
		return NULL;
	buf_add(b, &to[at - from], 1);
	return s + 1;
}

/* From behind the first quote to behind the last; NULL: wrong. */
static const char *json_string(const char *s, struct buf *b)
{
	while (s && *s != '"') {
		if (!*s)
			return NULL;
		if (*s == '\\') {
			s = json_escape(s + 1, b);
			continue;
		}
		buf_add(b, s++, 1);
	}
	return s ? s + 1 : NULL;
}

bool cf_json(struct arena *a, const char *s, struct strv *ret)
{
	struct strv list = {0};

	if (*s++ != '[')
		return false;
	s += strspn(s, BLANKS);
	while (*s != ']' || list.n > 0) {
		_cleanup_buf_ struct buf b = {0};

		if (*s++ != '"')
			return false;
		s = json_string(s, &b);
		if (!s)
			return false;
		strv_push(a, &list, b.p ? b.p : "");
		s += strspn(s, BLANKS);
		if (*s == ']')
			break;
		if (*s++ != ',')
			return false;
		s += strspn(s, BLANKS);
	}
	s++;
	if (s[strspn(s, BLANKS)])
		return false;
	*ret = list;
	return true;
}

/* ---- here-documents ---- */

bool cf_is_heredoc(struct arena *a, const char *word, struct cf_heredoc *ret, bool *ret_tabs)
{
	const char *s = word + strspn(word, "0123456789");
	size_t n;

	if (s[0] != '<' || s[1] != '<' || s[2] == '<')
		return false;
	s += 2;
	*ret_tabs = *s == '-';
	s += *ret_tabs;
	n = strlen(s);
	ret->expand = true;
	if (n >= 2 && (s[0] == '"' || s[0] == '\'') && s[n - 1] == s[0]) {
		ret->expand = false;
		s++;
		n -= 2;
	}
	ret->name = arena_strndup(a, s, n);
	return n > 0 && !strpbrk(ret->name, "<>|&;()\"'\\`$");
}
