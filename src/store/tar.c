#include "store/tar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/str.h"

/* IEEE Std 1003.1-2001, pax, "ustar Interchange Format": offset and length of the fields. */
#define NAME_AT 0
#define NAME_LEN 100
#define MODE_AT 100
#define UID_AT 108
#define GID_AT 116
#define SIZE_AT 124
#define MTIME_AT 136
#define CHECKSUM_AT 148
#define TYPE_AT 156
#define LINK_AT 157
#define MAGIC_AT 257
#define DEVMAJOR_AT 329
#define DEVMINOR_AT 337

/* The largest number of 7 and of 11 octal digits. */
#define OCTAL7 07777777U
#define OCTAL11 077777777777ULL

static void put_octal(char *header, size_t at, int digits, uint64_t n)
{
	char text[16];

	(void)snprintf(text, sizeof(text), "%0*llo", digits, (unsigned long long)n);
	memcpy(header + at, text, (size_t)digits);
}

static void put_text(char *header, size_t at, const char *s)
{
	size_t n = strlen(s);

	memcpy(header + at, s, n < NAME_LEN ? n : NAME_LEN);
}

static void put_checksum(char *header)
{
	unsigned sum = 0;

	memset(header + CHECKSUM_AT, ' ', 8);
	for (size_t i = 0; i < TAR_BLOCK; i++)
		sum += (unsigned char)header[i];
	put_octal(header, CHECKSUM_AT, 6, sum);
	header[CHECKSUM_AT + 6] = '\0';
}

/* The length of the UTF-8 sequence that starts with this byte (RFC 3629), or 0. */
static size_t sequence_length(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef)
		return 3;
	return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* A second byte that its first one allows: no overlong form, no surrogate, nothing above U+10FFFF. */
static bool second_fits(unsigned char first, unsigned char c)
{
	switch (first) {
	case 0xe0:
		return c >= 0xa0;
	case 0xed:
		return c < 0xa0;
	case 0xf0:
		return c >= 0x90;
	case 0xf4:
		return c < 0x90;
	default:
		return true;
	}
}

static bool is_utf8(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	while (*s) {
		size_t n = sequence_length(*s);

		if (n == 0 || (n > 1 && !second_fits(s[0], s[1])))
			return false;
		/* The NUL at the end is no such byte: this never reads beyond it. */
		for (size_t i = 1; i < n; i++) {
			if ((s[i] & 0xc0) != 0x80)
				return false;
		}
		s += n;
	}
	return true;
}

/* One record of a pax header: "LENGTH KEY=VALUE\n", where LENGTH counts itself. */
static void add_record(struct buf *out, const char *key, const void *value, size_t size)
{
	size_t rest = strlen(key) + size + 3; /* blank, '=', newline */
	size_t digits = 1;
	char text[32];

	for (;;) {
		size_t n = (size_t)snprintf(text, sizeof(text), "%zu", rest + digits);

		if (n == digits)
			break;
		digits = n;
	}
	buf_adds(out, text);
	buf_adds(out, " ");
	buf_adds(out, key);
	buf_adds(out, "=");
	buf_add(out, value, size);
	buf_adds(out, "\n");
}

static void add_text(struct buf *out, const char *key, const char *value)
{
	add_record(out, key, value, strlen(value));
}

static void add_number(struct buf *out, const char *key, int64_t n)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld", (long long)n);
	add_text(out, key, text);
}

static void add_keyword(struct buf *out, const char *name)
{
	for (; *name; name++) {
		if (*name == '=' || *name == '%')
			buf_printf(out, "%%%02X", (unsigned)*name);
		else
			buf_add(out, name, 1);
	}
}

char *tar_xattr_name(struct arena *a, const char *keyword)
{
	char *name = arena_strdup(a, keyword);
	char *to = name;

	for (const char *from = keyword; *from; to++) {
		bool escaped = str_starts(from, "%3D") || str_starts(from, "%25");

		*to = !escaped ? *from : from[1] == '3' ? '=' : '%';
		from += escaped ? 3 : 1;
	}
	*to = '\0';
	return name;
}

static uint64_t content_size(const struct tar_entry *e)
{
	return S_ISREG(e->st->st_mode) && !e->link ? (uint64_t)e->st->st_size : 0;
}

/* The records that the entry needs, in one fixed order. */
static void collect_records(struct buf *out, const struct tar_entry *e, const char *name)
{
	bool long_name = strlen(name) > NAME_LEN;
	bool long_link = e->link && strlen(e->link) > NAME_LEN;

	if ((long_name && !is_utf8(name)) || (long_link && !is_utf8(e->link)))
		add_text(out, "hdrcharset", "BINARY");
	if (long_name)
		add_text(out, "path", name);
	if (long_link)
		add_text(out, "linkpath", e->link);
	if (e->st->st_uid > OCTAL7)
		add_number(out, "uid", (int64_t)e->st->st_uid);
	if (e->st->st_gid > OCTAL7)
		add_number(out, "gid", (int64_t)e->st->st_gid);
	if (content_size(e) > OCTAL11)
		add_number(out, "size", (int64_t)content_size(e));
	if (e->mtime < 0 || (uint64_t)e->mtime > OCTAL11)
		add_number(out, "mtime", e->mtime);
	for (size_t i = 0; i < e->n_xattrs; i++) {
		_cleanup_buf_ struct buf key = {0};

		buf_adds(&key, "SCHILY.xattr.");
		add_keyword(&key, e->xattrs[i].name);
		add_record(out, key.p, e->xattrs[i].value, e->xattrs[i].size);
	}
}

static char type_flag(const struct tar_entry *e)
{
	switch (e->st->st_mode & S_IFMT) {
	case S_IFLNK:
		return '2';
	case S_IFDIR:
		return '5';
	case S_IFCHR:
		return e->link ? '1' : '3';
	case S_IFBLK:
		return e->link ? '1' : '4';
	case S_IFIFO:
		return e->link ? '1' : '6';
	default:
		return e->link ? '1' : '0';
	}
}

static void start_header(char *header, char type, uint64_t size)
{
	static const char magic[] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};

	memset(header, 0, TAR_BLOCK);
	put_octal(header, SIZE_AT, 11, size);
	header[TYPE_AT] = type;
	memcpy(header + MAGIC_AT, magic, sizeof(magic));
}

/* The pax header and its records, with their padding. */
static void add_pax(struct buf *out, const struct buf *records)
{
	static const char zero[TAR_BLOCK];
	char header[TAR_BLOCK];

	start_header(header, 'x', records->len);
	put_text(header, NAME_AT, "PaxHeader");
	put_octal(header, MODE_AT, 7, 0644);
	put_octal(header, UID_AT, 7, 0);
	put_octal(header, GID_AT, 7, 0);
	put_octal(header, MTIME_AT, 11, 0);
	put_checksum(header);
	buf_add(out, header, TAR_BLOCK);
	buf_add(out, records->p, records->len);
	buf_add(out, zero, tar_padding(records->len));
}

/* A number that does not fit stands in the pax header; here it is 0. */
static uint64_t or_zero(uint64_t n, uint64_t most)
{
	return n <= most ? n : 0;
}

void tar_header(struct buf *out, const struct tar_entry *e)
{
	bool dir = S_ISDIR(e->st->st_mode);
	_cleanup_free_ char *name = xasprintf("%s%s", e->path, dir ? "/" : "");
	_cleanup_buf_ struct buf records = {0};
	char header[TAR_BLOCK];
	char type = type_flag(e);

	collect_records(&records, e, name);
	if (records.len > 0)
		add_pax(out, &records);
	start_header(header, type, or_zero(content_size(e), OCTAL11));
	put_text(header, NAME_AT, name);
	if (e->link)
		put_text(header, LINK_AT, e->link);
	put_octal(header, MODE_AT, 7, e->st->st_mode & 07777U);
	put_octal(header, UID_AT, 7, or_zero(e->st->st_uid, OCTAL7));
	put_octal(header, GID_AT, 7, or_zero(e->st->st_gid, OCTAL7));
	put_octal(header, MTIME_AT, 11, e->mtime < 0 ? 0 : or_zero((uint64_t)e->mtime, OCTAL11));
	if (type == '3' || type == '4') {
		put_octal(header, DEVMAJOR_AT, 7, or_zero(major(e->st->st_rdev), OCTAL7));
		put_octal(header, DEVMINOR_AT, 7, or_zero(minor(e->st->st_rdev), OCTAL7));
	}
	put_checksum(header);
	buf_add(out, header, TAR_BLOCK);
}

size_t tar_padding(uint64_t size)
{
	return (size_t)((TAR_BLOCK - size % TAR_BLOCK) % TAR_BLOCK);
}

void tar_end(struct buf *out)
{
	static const char zero[2 * TAR_BLOCK];

	buf_add(out, zero, sizeof(zero));
}
