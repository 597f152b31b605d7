#include "store/split_header.h"

#include <string.h>

#include "base/err.h"
#include "base/num.h"
#include "base/str.h"
#include "store/untar.h"

#define NAME_BYTES 100
#define SIZE_AT 124
#define SIZE_BYTES 12
#define TYPE_AT 156

static int bad_size(const char *name, struct err *err)
{
	return untar_refuse(name, "its size is no number", err);
}

/* GNU's: the first bit set, and then a number of 95 bits, of which 63 are enough. */
static int read_binary(const unsigned char *p, const char *name, uint64_t *ret, struct err *err)
{
	uint64_t n = 0;

	if (p[0] != 0x80 || p[1] || p[2] || p[3] || (p[4] & 0x80))
		return bad_size(name, err);
	for (size_t i = 4; i < SIZE_BYTES; i++)
		n = n << 8 | p[i];
	*ret = n;
	return 0;
}

/* Octal digits, maybe behind blanks, up to a blank or NUL, and nothing behind. */
static int read_size(const unsigned char *p, const char *name, uint64_t *ret, struct err *err)
{
	uint64_t n = 0;
	size_t i = 0;

	if (p[0] & 0x80)
		return read_binary(p, name, ret, err);
	while (i < SIZE_BYTES && p[i] == ' ')
		i++;
	for (; i < SIZE_BYTES && p[i] >= '0' && p[i] <= '7'; i++)
		n = n << 3 | (uint64_t)(p[i] - '0');
	for (; i < SIZE_BYTES; i++) {
		if (p[i] != ' ' && p[i] != '\0')
			return bad_size(name, err);
	}
	*ret = n;
	return 0;
}

int split_header_read(const unsigned char *block, struct split_header *ret, struct err *err)
{
	struct split_header h = {.type = (char)block[TYPE_AT]};

	memcpy(h.name, block, NAME_BYTES);
	if (read_size(block + SIZE_AT, h.name, &h.size, err) < 0)
		return -1;
	*ret = h;
	return 0;
}

bool split_is_extended(const struct split_header *h)
{
	return h->type == 'x' || h->type == 'g' || h->type == 'L' || h->type == 'K';
}

bool split_pending_any(const struct split_pending *p)
{
	return p->pax || p->long_name || p->long_link;
}

int split_pending_add(struct split_pending *p, const struct split_header *h, struct err *err)
{
	bool *seen = h->type == 'x'   ? &p->pax
		     : h->type == 'L' ? &p->long_name
		     : h->type == 'K' ? &p->long_link
				      : &p->global;

	/* A global header is none of the entry's, and may not come between. */
	if (h->type == 'g')
		return split_pending_any(p)
			       ? untar_refuse(h->name, "a global header before an entry", err)
			       : 0;
	if (*seen)
		return untar_refuse(h->name, "it has extended headers of one kind twice", err);
	*seen = true;
	if (p->pax && (p->long_name || p->long_link))
		return untar_refuse(h->name, "it has extended headers of two dialects", err);
	return 0;
}

/* A value that is no text ends at the NUL: what has one is compared with its length. */
static int read_number(const char *p, size_t n, uint64_t *ret)
{
	char digits[24];

	if (n == 0 || n >= sizeof(digits) || memchr(p, '\0', n))
		return -1;
	memcpy(digits, p, n);
	digits[n] = '\0';
	return num_u64(digits, 0, INT64_MAX, ret, NULL);
}

static bool is_key(const char *p, size_t n, const char *key)
{
	return n == strlen(key) && memcmp(p, key, n) == 0;
}

static bool key_starts(const char *p, size_t n, const char *prefix)
{
	return n >= strlen(prefix) && memcmp(p, prefix, strlen(prefix)) == 0;
}

struct record {
	const char *key, *value;
	size_t key_len, value_len;
};

static int on_record(struct split_pending *p, const struct split_header *h, const struct record *r,
		     struct err *err)
{
	if (key_starts(r->key, r->key_len, "GNU.sparse.") ||
	    is_key(r->key, r->key_len, "SCHILY.realsize"))
		return untar_refuse(h->name, "a sparse file, which a layer cannot hold", err);
	if (h->type == 'g')
		return is_key(r->key, r->key_len, "size") || is_key(r->key, r->key_len, "path") ||
				       is_key(r->key, r->key_len, "linkpath")
			       ? untar_refuse(h->name, "a global header that changes entries", err)
			       : 0;
	if (!is_key(r->key, r->key_len, "size"))
		return 0;
	if (p->has_size)
		return untar_refuse(h->name, "it has a size twice", err);
	if (read_number(r->value, r->value_len, &p->size) < 0)
		return bad_size(h->name, err);
	p->has_size = true;
	return 0;
}

/* "LENGTH KEY=VALUE\n", the length being that of all of it. */
static int next_record(const char *p, size_t n, struct record *ret, size_t *ret_len)
{
	const char *space = memchr(p, ' ', n);
	const char *equals = NULL;
	uint64_t len = 0;

	if (!space || read_number(p, (size_t)(space - p), &len) < 0 || len > n ||
	    len < (size_t)(space - p) + 3 || p[len - 1] != '\n')
		return -1;
	equals = memchr(space + 1, '=', (size_t)(p + len - 1 - (space + 1)));
	if (!equals || equals == space + 1)
		return -1;
	ret->key = space + 1;
	ret->key_len = (size_t)(equals - ret->key);
	ret->value = equals + 1;
	ret->value_len = (size_t)(p + len - 1 - ret->value);
	*ret_len = (size_t)len;
	return 0;
}

int split_extended_read(struct split_pending *p, const struct split_header *h,
			const struct buf *body, struct err *err)
{
	size_t at = 0;

	if (h->type != 'x' && h->type != 'g')
		return 0;
	while (at < body->len) {
		struct record r;
		size_t len = 0;

		if (next_record(body->p + at, body->len - at, &r, &len) < 0)
			return untar_refuse(h->name, "an extended header is damaged", err);
		if (on_record(p, h, &r, err) < 0)
			return -1;
		at += len;
	}
	return 0;
}

int split_entry_size(const struct split_pending *p, const struct split_header *h,
		     uint64_t *ret_size, struct err *err)
{
	uint64_t size = p->has_size ? p->size : h->size;

	switch (h->type) {
	case '\0':
	case '0':
	case '7':
		break;
	case '1':
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
		if (size > 0)
			return untar_refuse(h->name, "it has contents and is no file", err);
		break;
	case 'S':
		return untar_refuse(h->name, "a sparse file, which a layer cannot hold", err);
	default:
		return untar_refuse(h->name, "an entry of no known kind", err);
	}
	*ret_size = size;
	return 0;
}
