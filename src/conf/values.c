#include "conf/values.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "conf/image.h"
#include "conf/keys.h"

#define MIB (UINT64_C(1) << 20)
#define MAX_PIDS 4194304 /* the kernel's PID_MAX_LIMIT */
#define MAX_CPUS 8192    /* the kernel's largest NR_CPUS */
#define DAY_MS (UINT64_C(24) * 3600 * 1000)
#define MAX_LINGER_DAYS 365
#define MAX_NAME 63

bool value_is_name(const char *s)
{
	size_t n = strlen(s);

	return n > 0 && n <= MAX_NAME && !strchr("._-", s[0]) &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

static int parse_name(const struct value_in *in, void *field, struct err *err)
{
	struct text_value *v = field;

	if (!value_is_name(in->value))
		return err_set(err,
			       "it must be of letters, digits, '.', '_' and '-', begin with a "
			       "letter or digit, and have at most %d bytes",
			       MAX_NAME);
	v->s = in->value;
	return 0;
}

static void print_text(const struct key *key, const void *field, struct buf *ret)
{
	const struct text_value *v = field;

	(void)key;
	buf_adds(ret, v->s);
}

static int parse_enum(const struct value_in *in, void *field, struct err *err)
{
	_cleanup_buf_ struct buf all = {0};
	const char *const *names = in->key->names;
	const char *near = str_nearest(in->value, names);

	for (unsigned i = 0; names[i]; i++) {
		if (str_eq(names[i], in->value)) {
			*(unsigned *)field = i;
			return 0;
		}
		buf_printf(&all, "%s%s", i ? ", " : "", names[i]);
	}
	err_set(err, "it must be one of %s", all.p);
	return near ? err_hint(err, "did you mean '%s'?", near) : -1;
}

static void print_enum(const struct key *key, const void *field, struct buf *ret)
{
	buf_adds(ret, key->names[*(const unsigned *)field]);
}

static int parse_bool(const struct value_in *in, void *field, struct err *err)
{
	/* Every second one is true. */
	static const char *const names[] = {"no", "yes", "false", "true", "off", "on", NULL};
	struct bool_value *v = field;
	const char *near = str_nearest(in->value, names);

	for (unsigned i = 0; names[i]; i++)
		if (str_eq(names[i], in->value)) {
			v->on = i % 2 == 1;
			return 0;
		}
	err_set(err, "it must be yes or no");
	return near ? err_hint(err, "did you mean '%s'?", near) : -1;
}

static void print_bool(const struct key *key, const void *field, struct buf *ret)
{
	const struct bool_value *v = field;

	(void)key;
	buf_adds(ret, v->on ? "yes" : "no");
}

static int parse_size(const struct value_in *in, void *field, struct err *err)
{
	struct u64_value *v = field;
	uint64_t n = 0;

	if (num_size(in->value, &n, NULL) < 0)
		return err_set(err, "it must be a size, such as 512M or 4G");
	if (n < MIB) {
		err_set(err, "it is less than 1M");
		return err_hint(err, "a size without a unit counts bytes: write 512M or 4G");
	}
	v->n = n;
	v->set = true;
	return 0;
}

static void print_size(const struct key *key, const void *field, struct buf *ret)
{
	static const char units[] = "TGMK";
	const struct u64_value *v = field;

	(void)key;
	for (unsigned i = 0; i < 4; i++) {
		unsigned shift = 40 - 10 * i;

		if (v->n % (UINT64_C(1) << shift) == 0) {
			buf_printf(ret, "%" PRIu64 "%c", v->n >> shift, units[i]);
			return;
		}
	}
	buf_printf(ret, "%" PRIu64, v->n);
}

static int parse_cpus(const struct value_in *in, void *field, struct err *err)
{
	struct u64_value *v = field;
	uint64_t n = 0;

	if (num_cpus(in->value, &n, NULL) < 0 || n > MAX_CPUS * UINT64_C(1000))
		return err_set(err, "it must be a number of CPUs, such as 2 or 0.5");
	v->n = n;
	v->set = true;
	return 0;
}

static void print_cpus(const struct key *key, const void *field, struct buf *ret)
{
	const struct u64_value *v = field;
	unsigned thousandths = (unsigned)(v->n % 1000);

	(void)key;
	buf_printf(ret, "%" PRIu64, v->n / 1000);
	if (thousandths)
		buf_printf(ret, ".%03u", thousandths);
}

static int parse_count(const struct value_in *in, void *field, struct err *err)
{
	struct u64_value *v = field;
	uint64_t n = 0;

	if (num_u64(in->value, 1, MAX_PIDS, &n, NULL) < 0)
		return err_set(err, "it must be a number from 1 to %d", MAX_PIDS);
	v->n = n;
	v->set = true;
	return 0;
}

static void print_count(const struct key *key, const void *field, struct buf *ret)
{
	const struct u64_value *v = field;

	(void)key;
	buf_printf(ret, "%" PRIu64, v->n);
}

static int parse_duration(const struct value_in *in, void *field, struct err *err)
{
	uint64_t ms = 0;

	if (num_duration(in->value, &ms, NULL) < 0)
		return err_set(err, "it must be a time, such as 30s, 10m or 1h");
	if (ms > MAX_LINGER_DAYS * DAY_MS)
		return err_set(err, "it is more than %d days", MAX_LINGER_DAYS);
	*(uint64_t *)field = ms;
	return 0;
}

static void print_duration(const struct key *key, const void *field, struct buf *ret)
{
	uint64_t ms = *(const uint64_t *)field;

	(void)key;
	if (ms % 1000)
		buf_printf(ret, "%" PRIu64 "ms", ms);
	else
		buf_printf(ret, "%" PRIu64 "s", ms / 1000);
}

/* The forms of an image that begin with a word and a colon. */
static const struct {
	const char *prefix;
	enum base_kind kind;
} image_forms[] = {
	{"dir:", BASE_DIR},
	{"tar:", BASE_TAR},
	{"oci:", BASE_OCI},
	{"layer:", BASE_LAYER},
};
#define N_FORMS (sizeof(image_forms) / sizeof(image_forms[0]))

static int parse_image_ref(enum base_kind kind, const char *ref, const char **ret, struct err *err)
{
	if (kind != BASE_LAYER) {
		if (!*ref)
			return err_set(err, "there is no path behind the ':'");
		*ret = ref;
		return 0;
	}
	if (str_starts(ref, "sha256:"))
		ref += strlen("sha256:");
	if (!image_is_hex(ref))
		return err_set(err, "a layer's digest is of 64 lower-case hexadecimal digits");
	*ret = ref;
	return 0;
}

static int parse_image(const struct value_in *in, void *field, struct err *err)
{
	static const char *const near_host[] = {"host", NULL};
	__typeof__(in->file->p.base) *v = field;

	if (str_eq(in->value, "host")) {
		v->kind = BASE_HOST;
		v->ref = NULL;
		return 0;
	}
	for (size_t i = 0; i < N_FORMS; i++)
		if (str_starts(in->value, image_forms[i].prefix)) {
			const char *ref = in->value + strlen(image_forms[i].prefix);

			if (parse_image_ref(image_forms[i].kind, ref, &v->ref, err) < 0)
				return -1;
			v->kind = image_forms[i].kind;
			return 0;
		}
	if (image_check_reference(in->value, err) < 0)
		return str_nearest(in->value, near_host) ? err_hint(err, "did you mean 'host'?")
							 : -1;
	v->kind = BASE_REGISTRY;
	v->ref = in->value;
	return 0;
}

static void print_image(const struct key *key, const void *field, struct buf *ret)
{
	const __typeof__(((struct profile *)0)->base) *v = field;

	(void)key;
	if (v->kind == BASE_HOST)
		buf_adds(ret, "host");
	for (size_t i = 0; i < N_FORMS; i++)
		if (v->kind == image_forms[i].kind)
			buf_adds(ret, image_forms[i].prefix);
	if (v->ref)
		buf_adds(ret, v->ref);
}

const char *profile_base(struct arena *a, const struct profile *p)
{
	_cleanup_buf_ struct buf b = {0};

	print_image(NULL, &p->base, &b);
	return arena_strndup(a, b.p, b.len);
}

bool profile_is_image(const struct profile *p)
{
	return p->base.kind != BASE_HOST && p->base.kind != BASE_DIR;
}

const struct value_type value_name = {parse_name, print_text};
const struct value_type value_image = {parse_image, print_image};
const struct value_type value_enum = {parse_enum, print_enum};
const struct value_type value_bool = {parse_bool, print_bool};
const struct value_type value_size = {parse_size, print_size};
const struct value_type value_cpus = {parse_cpus, print_cpus};
const struct value_type value_count = {parse_count, print_count};
const struct value_type value_duration = {parse_duration, print_duration};
