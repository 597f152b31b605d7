/* Text that strangers shaped, made harmless for a terminal. */
#include <stdint.h>
#include <string.h>

#include "base/str.h"

/*
 * Decode one character of at most n bytes (RFC 3629: no overlong forms, no
 * surrogates).  Returns its length, or 0 where the bytes are not UTF-8.
 */
static size_t utf8_decode(const unsigned char *s, size_t n, uint32_t *ret_char)
{
	static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t len;
	uint32_t c;

	if (s[0] < 0x80) {
		*ret_char = s[0];
		return 1;
	}
	if (s[0] >= 0xC2 && s[0] <= 0xDF)
		len = 2;
	else if ((s[0] & 0xF0) == 0xE0)
		len = 3;
	else if (s[0] >= 0xF0 && s[0] <= 0xF4)
		len = 4;
	else
		return 0;
	if (len > n)
		return 0;

	c = s[0] & (0xFFU >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xC0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3FU);
	}
	if (c < lowest[len] || c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF))
		return 0;
	*ret_char = c;
	return len;
}

/* Characters beyond ASCII that steer the terminal, or make text look like what it is not. */
static bool is_deceptive(uint32_t c)
{
	static const struct {
		uint32_t first;
		uint32_t last;
	} ranges[] = {
		{0x80, 0x9F},       /* C1 controls: U+009B is CSI */
		{0x061C, 0x061C},   /* Arabic letter mark */
		{0x200E, 0x200F},   /* left-to-right, right-to-left marks */
		{0x2028, 0x202E},   /* line and paragraph separators, bidirectional overrides */
		{0x2066, 0x2069},   /* bidirectional isolates */
		{0xFEFF, 0xFEFF},   /* zero-width no-break space */
		{0xFFF9, 0xFFFB},   /* interlinear annotations */
		{0xE0000, 0xE007F}, /* invisible tags */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
		if (c >= ranges[i].first && c <= ranges[i].last)
			return true;
	return false;
}

static void escape_ascii(struct buf *b, char c, bool text)
{
	bool passes = text && (c == '\n' || c == '\t' || c == '\\');

	if (passes || ((unsigned char)c >= 0x20 && c != 0x7F && c != '\\'))
		buf_add(b, &c, 1);
	else if (c == '\\')
		buf_adds(b, "\\\\");
	else if (c == '\n')
		buf_adds(b, "\\n");
	else if (c == '\t')
		buf_adds(b, "\\t");
	else
		buf_printf(b, "\\x%02x", (unsigned)(unsigned char)c);
}

/* How many bytes from here on are ASCII that shows as it is. */
static size_t plain(const unsigned char *u, size_t n)
{
	size_t len = 0;

	while (len < n && u[len] >= 0x20 && u[len] < 0x7F && u[len] != '\\')
		len++;
	return len;
}

static void escape(struct buf *b, const char *s, size_t n, bool text)
{
	const unsigned char *u = (const unsigned char *)s;

	buf_add(b, "", 0); /* NUL-terminated even when nothing follows */
	for (size_t i = 0; i < n;) {
		uint32_t c = 0;
		size_t len = plain(u + i, n - i);

		if (len) {
			buf_add(b, s + i, len);
			i += len;
			continue;
		}
		len = utf8_decode(u + i, n - i, &c);

		if (len == 0) {
			buf_printf(b, "\\x%02x", (unsigned)u[i]);
			len = 1;
		} else if (len == 1) {
			escape_ascii(b, s[i], text);
		} else if (is_deceptive(c)) {
			buf_printf(b, "\\u{%04x}", (unsigned)c);
		} else {
			buf_add(b, s + i, len);
		}
		i += len;
	}
}

void str_escape(struct buf *b, const char *s, size_t n)
{
	escape(b, s, n, false);
}

void str_escape_text(struct buf *b, const char *s, size_t n)
{
	escape(b, s, n, true);
}
