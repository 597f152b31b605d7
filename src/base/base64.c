#include "base/base64.h"

#include <stdint.h>
#include <string.h>

#include "base/str.h"

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *ret, const void *p, size_t n)
{
	const unsigned char *s = p;

	for (size_t i = 0; i < n; i += 3) {
		size_t have = n - i < 3 ? n - i : 3;
		uint32_t three = (uint32_t)s[i] << 16;
		char four[4] = {'=', '=', '=', '='};

		if (have > 1)
			three |= (uint32_t)s[i + 1] << 8;
		if (have > 2)
			three |= s[i + 2];
		for (size_t k = 0; k <= have; k++)
			four[k] = letters[(three >> (18 - 6 * k)) & 63];
		buf_add(ret, four, sizeof(four));
	}
}

int base64_bytes(struct buf *ret, const char *s, size_t n)
{
	_cleanup_buf_ struct buf b = {0};
	uint32_t bits = 0;
	int have = 0;

	while (n > 0 && s[n - 1] == '=')
		n--;
	if (n % 4 == 1)
		return -1;
	for (size_t i = 0; i < n; i++) {
		const char *at = s[i] != '\0' ? strchr(letters, s[i]) : NULL;

		if (!at)
			return -1;
		bits = bits << 6 | (uint32_t)(at - letters);
		have += 6;
		if (have >= 8) {
			have -= 8;
			char byte = (char)(unsigned char)(bits >> have & 255);

			buf_add(&b, &byte, 1);
		}
	}
	if (b.len > 0)
		buf_add(ret, b.p, b.len);
	return 0;
}
