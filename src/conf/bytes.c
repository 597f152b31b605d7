#include "conf/bytes.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* How many bytes the character has that begins with this one; 0: none begins so. */
static size_t length(unsigned char first)
{
	if (first < 0x80)
		return 1;
	/* 0x80 to 0xbf continue one; 0xc0 and 0xc1 would be longer forms of ASCII. */
	if (first < 0xc2)
		return 0;
	if (first < 0xe0)
		return 2;
	if (first < 0xf0)
		return 3;
	return first < 0xf5 ? 4 : 0;
}

/*
 * One character of at least `n` >= 1 bytes: its length, or 0 when it is not UTF-8 as RFC 3629 has it
 * (shortest form, no surrogate, at most U+10FFFF).
 */
static size_t decode(const unsigned char *s, size_t n, uint32_t *ret_c)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	uint32_t c = s[0];
	size_t len = length(s[0]);

	if (len == 0 || len > n)
		return 0;
	if (len > 1)
		c &= 0x7fu >> len;
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0u) != 0x80u)
			return 0;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret_c = c;
	return len;
}

/* Characters that are not seen, but change the order or the lines in which others are. */
static bool turns_text(uint32_t c)
{
	return c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

static int check_char(uint32_t c, struct err *err)
{
	if (c == 0)
		return err_set(err, "a NUL byte is not allowed in a profile");
	if (c == '\r') {
		err_set(err, "a carriage return is not allowed in a profile");
		return err_hint(err, "take the DOS line ends out: sed -i 's/\\r$//' FILE");
	}
	if ((c < 0x20 && c != '\t') || c == 0x7f || (c >= 0x80 && c <= 0x9f))
		return err_set(err, "the control character U+%04X is not allowed in a profile",
			       (unsigned)c);
	if (turns_text(c))
		return err_set(err, "the invisible character U+%04X is not allowed in a profile",
			       (unsigned)c);
	return 0;
}

int bytes_check(const char *s, size_t n, struct err *err)
{
	const unsigned char *p = (const unsigned char *)s;

	for (size_t i = 0; i < n;) {
		uint32_t c = 0;
		size_t len = decode(p + i, n - i, &c);

		if (len == 0)
			return err_set(err, "the byte 0x%02x is not UTF-8", p[i]);
		if (check_char(c, err) < 0)
			return -1;
		i += len;
	}
	return 0;
}
