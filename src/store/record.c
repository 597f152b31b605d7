#include "store/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/fs.h"
#include "base/mem.h"
#include "base/str.h"

/* Far more than any record needs; a larger file is damage or an attack. */
#define RECORD_LIMIT (4U << 20)

static int bad_message(struct err *err)
{
	if (err)
		err->errnum = EBADMSG;
	return -1;
}

static int check_version(const json_t *obj, const char *name, int version, struct err *err)
{
	const json_t *v = json_object_get(obj, "version");

	if (!json_is_integer(v) || json_integer_value(v) < 1) {
		err_set(err, "cannot read '%s': it is not a record of sbx", name);
		return bad_message(err);
	}
	if (json_integer_value(v) > version) {
		err_set(err, "cannot read '%s': it has version %lld, this sbx knows up to %d", name,
			(long long)json_integer_value(v), version);
		if (err)
			err->errnum = EPROTO;
		return err_hint(err, "use the newer sbx that wrote it");
	}
	return 0;
}

int record_load(int dir_fd, const char *name, int version, json_t **ret, struct err *err)
{
	_cleanup_buf_ struct buf text = {0};
	json_auto_t *obj = NULL;
	json_error_t why;

	if (fs_read_at(dir_fd, name, RECORD_LIMIT, &text, err) < 0)
		return -1;
	obj = json_loadb(text.p ? text.p : "", text.len, JSON_REJECT_DUPLICATES, &why);
	if (!obj) {
		err_set(err, "cannot read '%s': line %d: %s", name, why.line, why.text);
		return bad_message(err);
	}
	if (check_version(obj, name, version, err) < 0)
		return -1;
	*ret = json_incref(obj);
	return 0;
}

int record_save(int dir_fd, const char *name, int version, json_t *obj, struct err *err)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_buf_ struct buf whole = {0};

	json_object_set_new(obj, "version", json_integer(version));
	text = json_dumps(obj, JSON_INDENT(2) | JSON_SORT_KEYS);
	if (!text)
		return err_set(err, "cannot write '%s': it does not fit into JSON", name);
	buf_adds(&whole, text);
	buf_adds(&whole, "\n");
	return fs_write_atomic(dir_fd, name, whole.p, whole.len, 0600, err);
}

json_t *record_bytes(const char *s)
{
	_cleanup_buf_ struct buf out = {0};

	buf_adds(&out, "");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20 || c >= 0x7f || c == '%')
			buf_printf(&out, "%%%02X", c);
		else
			buf_add(&out, s, 1);
	}
	return json_stringn(out.p ? out.p : "", out.len);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

char *record_text(struct arena *a, const json_t *value)
{
	const char *s = json_string_value(value);
	size_t len = json_string_length(value);
	size_t n = 0;
	char *out;

	/* jansson refuses \u0000 in what it loads, so a NUL can only come as %00. */
	if (!s)
		return NULL;
	out = arena_alloc(a, len + 1);
	for (size_t i = 0; i < len; i++) {
		int hi;
		int lo;

		if (s[i] != '%') {
			out[n++] = s[i];
			continue;
		}
		/* The text ends with NUL, which is no digit: never read beyond it. */
		hi = hex_digit(s[i + 1]);
		lo = hi < 0 ? -1 : hex_digit(s[i + 2]);
		if (lo < 0 || (hi == 0 && lo == 0))
			return NULL;
		out[n++] = (char)(hi * 16 + lo);
		i += 2;
	}
	return out;
}

char *record_get_bytes(struct arena *a, const json_t *obj, const char *key)
{
	return record_text(a, json_object_get(obj, key));
}
