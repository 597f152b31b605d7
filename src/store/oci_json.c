#include "store/oci_json.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/oci.h"

int oci_bad(struct err *err, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	err_set(err, "%s", text);
	if (err)
		err->errnum = EBADMSG;
	return -1;
}

/* Where the string that begins at p ends: behind its quote, or at `end`. */
static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end && *p != '"'; p++) {
		if (*p == '\\')
			p++;
	}
	return p < end ? p + 1 : end;
}

/*
 * The parser calls itself for each level, and a value costs far more memory than its text: "[]," a hundred bytes.
 * So both are counted before.  Text that is no JSON is counted in some way; the parser refuses it.
 */
static int check_shape(const char *p, size_t n, struct err *err)
{
	const char *end = p + n;
	size_t values = 1;
	size_t depth = 0;

	while (p < end) {
		char c = *p;

		if (c == '"') {
			p = skip_string(p, end);
			continue;
		}
		p++;
		values += c == '[' || c == '{' || c == ',';
		if (c == '[' || c == '{')
			depth++;
		else if ((c == ']' || c == '}') && depth > 0)
			depth--;
		if (depth > OCI_DEPTH_MAX)
			return oci_bad(err, "it is nested deeper than %u levels", OCI_DEPTH_MAX);
		if (values > OCI_VALUES_MAX)
			return oci_bad(err, "it has more than %u values", OCI_VALUES_MAX);
	}
	return 0;
}

int oci_json(const void *p, size_t n, json_t **ret, struct err *err)
{
	json_error_t why;
	json_t *root;

	if (n > OCI_MAX)
		return oci_bad(err, "it has %zu bytes, at most %zu are read", n, OCI_MAX);
	if (n == 0)
		return oci_bad(err, "it is empty");
	if (check_shape(p, n, err) < 0)
		return -1;
	root = json_loadb(p, n, JSON_REJECT_DUPLICATES, &why);
	if (!root)
		return oci_bad(err, "line %d: %s", why.line, why.text);
	if (!json_is_object(root)) {
		json_decref(root);
		return oci_bad(err, "it is no JSON object");
	}
	*ret = root;
	return 0;
}

static bool is_nothing(const json_t *v)
{
	return !v || json_is_null(v);
}

int oci_json_text(struct arena *a, const json_t *obj, const char *key, const char **ret,
		  struct err *err)
{
	const json_t *v = json_object_get(obj, key);

	if (!is_nothing(v) && !json_is_string(v))
		return oci_bad(err, "'%s' is no string", key);
	*ret = is_nothing(v) ? NULL : arena_strdup(a, json_string_value(v));
	return 0;
}

static int compare_strings(const void *p, const void *q)
{
	const char *const *a = p;
	const char *const *b = q;

	return strcmp(*a, *b);
}

int oci_json_list(struct arena *a, const json_t *obj, const char *key, struct oci_strings *ret,
		  struct err *err)
{
	json_t *v = json_object_get(obj, key);
	bool keys = json_is_object(v);
	struct oci_strings list = {.set = !is_nothing(v)};
	const char **texts;

	if (list.set && !keys && !json_is_array(v))
		return oci_bad(err, "'%s' is no list", key);
	list.n = keys ? json_object_size(v) : json_array_size(v);
	texts = arena_alloc(a, (list.n + 1) * sizeof(*texts));
	if (keys) {
		size_t i = 0;
		json_t *value;
		const char *k;

		json_object_foreach(v, k, value) texts[i++] = arena_strdup(a, k);
		if (i > 0)
			qsort(texts, i, sizeof(*texts), compare_strings);
	}
	for (size_t i = 0; !keys && i < list.n; i++) {
		const json_t *item = json_array_get(v, i);

		if (!json_is_string(item))
			return oci_bad(err, "'%s' holds something that is no string", key);
		texts[i] = arena_strdup(a, json_string_value(item));
	}
	list.v = texts;
	*ret = list;
	return 0;
}

static int compare_pairs(const void *p, const void *q)
{
	const struct oci_pair *a = p;
	const struct oci_pair *b = q;

	return strcmp(a->name, b->name);
}

int oci_json_pairs(struct arena *a, const json_t *obj, const char *key, struct oci_pairs *ret,
		   struct err *err)
{
	json_t *v = json_object_get(obj, key);
	struct oci_pairs pairs = {0};
	const char *name;
	json_t *value;

	if (!is_nothing(v) && !json_is_object(v))
		return oci_bad(err, "'%s' is no object", key);
	pairs.v = arena_alloc(a, (json_object_size(v) + 1) * sizeof(*pairs.v));
	json_object_foreach(v, name, value)
	{
		if (!json_is_string(value))
			return oci_bad(err, "'%s' of '%s' is no string", name, key);
		pairs.v[pairs.n++] = (struct oci_pair){arena_strdup(a, name),
						       arena_strdup(a, json_string_value(value))};
	}
	if (pairs.n > 0)
		qsort(pairs.v, pairs.n, sizeof(*pairs.v), compare_pairs);
	*ret = pairs;
	return 0;
}

int oci_json_array(const json_t *obj, const char *key, size_t limit, json_t **ret_borrowed,
		   struct err *err)
{
	json_t *v = json_object_get(obj, key);

	if (!json_is_array(v))
		return oci_bad(err, "it has no list '%s'", key);
	if (json_array_size(v) > limit)
		return oci_bad(err, "'%s' has %zu entries, at most %zu are read", key,
			       json_array_size(v), limit);
	for (size_t i = 0; i < json_array_size(v); i++) {
		if (!json_is_object(json_array_get(v, i)))
			return oci_bad(err, "'%s' holds something that is no object", key);
	}
	*ret_borrowed = v;
	return 0;
}
