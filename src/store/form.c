#include "store/form.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/env.h"
#include "store/layer.h"
#include "store/record.h"

#define FORM_VERSION 1
/* More of either would only be looked through in vain. */
#define FORMS_MAX 8U
#define SEEN_MAX 16U

static const char *form_path(struct arena *a, const char *diff_id)
{
	return arena_printf(a, "forms/%s.json", diff_id);
}

static bool read_form(struct arena *a, const json_t *obj, struct form *ret)
{
	const char *digest = json_string_value(json_object_get(obj, "digest"));
	const json_t *size = json_object_get(obj, "size");
	const json_t *seen = json_object_get(obj, "seen");
	struct strv list = {0};

	ret->media_type = record_get_bytes(a, obj, "mediaType");
	if (!digest || !layer_is_digest(digest) || !ret->media_type || !json_is_integer(size) ||
	    json_integer_value(size) < 0)
		return false;
	memcpy(ret->digest, digest, DIGEST_HEX + 1);
	ret->size = (uint64_t)json_integer_value(size);
	for (size_t i = 0; i < json_array_size(seen); i++) {
		const char *name = record_text(a, json_array_get(seen, i));

		if (name)
			strv_push(a, &list, name);
	}
	if (!list.v)
		list.v = arena_alloc(a, sizeof(*list.v));
	ret->seen = (const char *const *)list.v;
	ret->n_seen = list.n;
	return true;
}

int form_list(struct arena *a, const struct store *s, const char *diff_id, struct form **ret,
	      size_t *ret_n, struct err *err)
{
	json_auto_t *obj = NULL;
	const json_t *forms;
	struct err why = {0};
	struct form *v;
	size_t n = 0;

	if (!layer_is_digest(diff_id))
		return err_set(err, "'%s' is not the digest of a layer", diff_id);
	*ret = NULL;
	*ret_n = 0;
	/* What cannot be read is as good as not there. */
	if (record_load(s->fd, form_path(a, diff_id), FORM_VERSION, &obj, &why) < 0)
		return 0;
	forms = json_object_get(obj, "forms");
	v = arena_alloc(a, (json_array_size(forms) + 1) * sizeof(*v));
	for (size_t i = 0; i < json_array_size(forms); i++) {
		if (read_form(a, json_array_get(forms, i), &v[n]))
			n++;
	}
	*ret = v;
	*ret_n = n;
	return 0;
}

static json_t *write_seen(const struct form *f, const char *first)
{
	json_t *list = json_array();

	if (first)
		json_array_append_new(list, record_bytes(first));
	for (size_t i = 0; f && i < f->n_seen && json_array_size(list) < SEEN_MAX; i++) {
		if (!str_eq(f->seen[i], first))
			json_array_append_new(list, record_bytes(f->seen[i]));
	}
	return list;
}

static json_t *write_form(const struct form *f, json_t *seen)
{
	json_t *obj = json_object();

	json_object_set_new(obj, "digest", json_string(f->digest));
	json_object_set_new(obj, "size", json_integer((json_int_t)f->size));
	json_object_set_new(obj, "mediaType", record_bytes(f->media_type));
	json_object_set_new(obj, "seen", seen);
	return obj;
}

int form_add(struct arena *a, const struct store *s, const char *diff_id, const struct form *f,
	     const char *seen, struct err *err)
{
	json_auto_t *obj = json_object();
	json_t *list = json_array(); /* obj's */
	const struct form *same = NULL;
	struct form *old = NULL;
	size_t n = 0;

	json_object_set_new(obj, "forms", list);
	if (form_list(a, s, diff_id, &old, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n && !same; i++) {
		if (str_eq(old[i].digest, f->digest))
			same = &old[i];
	}
	json_array_append_new(list, write_form(f, write_seen(same, seen)));
	for (size_t i = 0; old && i < n && json_array_size(list) < FORMS_MAX; i++) {
		if (&old[i] != same)
			json_array_append_new(list, write_form(&old[i], write_seen(&old[i], NULL)));
	}
	if (record_save(s->fd, form_path(a, diff_id), FORM_VERSION, obj, err) < 0)
		return store_hint(err);
	return 0;
}
