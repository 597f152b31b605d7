#include "store/oci.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/layer.h"
#include "store/oci_json.h"
#include "store/oci_kind.h"

#define SHA256 "sha256:"

const char *oci_pair(const struct oci_pairs *p, const char *name)
{
	for (size_t i = 0; i < p->n; i++) {
		if (str_eq(p->v[i].name, name))
			return p->v[i].value;
	}
	return NULL;
}

void oci_pair_put(struct arena *a, struct oci_pairs *p, const char *name, const char *value)
{
	struct oci_pair *v = arena_alloc(a, (p->n + 1) * sizeof(*v));
	const struct oci_pair add = {arena_strdup(a, name), arena_strdup(a, value)};
	bool put = false;
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		int order = strcmp(p->v[i].name, name);

		if (!put && order >= 0) {
			v[n++] = add;
			put = true;
		}
		if (order != 0)
			v[n++] = p->v[i];
	}
	if (!put)
		v[n++] = add;
	p->v = v;
	p->n = n;
}

/* Of what this program is built for: that is what runs here, whatever else the kernel could. */
struct oci_platform oci_platform_here(void)
{
	struct oci_platform p = {.os = "linux"};

#if defined(__x86_64__)
	p.architecture = "amd64";
#elif defined(__i386__)
	p.architecture = "386";
#elif defined(__aarch64__)
	p.architecture = "arm64";
	p.variant = "v8";
#elif defined(__arm__)
	p.architecture = "arm";
#if __ARM_ARCH >= 7
	p.variant = "v7";
#elif __ARM_ARCH == 6
	p.variant = "v6";
#else
	p.variant = "v5";
#endif
#elif defined(__powerpc64__) && defined(__LITTLE_ENDIAN__)
	p.architecture = "ppc64le";
#elif defined(__s390x__)
	p.architecture = "s390x";
#elif defined(__riscv) && __riscv_xlen == 64
	p.architecture = "riscv64";
#elif defined(__loongarch64)
	p.architecture = "loong64";
#else
	p.architecture = "unknown";
#endif
	return p;
}

int oci_digest(const char *text, char ret_hex[DIGEST_HEX + 1], struct err *err)
{
	const char *colon = strchr(text, ':');

	if (!colon || colon == text)
		return oci_bad(err, "'%.100s' is no digest", text);
	if (!str_starts(text, SHA256))
		return oci_bad(err, "the digest '%.100s' is not of sha256, which alone is used",
			       text);
	if (!layer_is_digest(colon + 1))
		return oci_bad(err, "the digest '%.100s' is not " SHA256 " and 64 digits of 0-9a-f",
			       text);
	memcpy(ret_hex, colon + 1, DIGEST_HEX + 1);
	return 0;
}

/* As the variants of a processor go: "v7" runs what is for "v6", too.  0: not one of those. */
static int variant_number(const char *variant)
{
	if (!variant || variant[0] != 'v' || variant[1] < '1' || variant[1] > '9' || variant[2])
		return 0;
	return variant[1] - '0';
}

/*
 * How well something for `p` runs on `want`: 0 not at all, 1 where it does not say what it is for; the more the
 * better.
 */
static int fits(const struct oci_platform *p, const struct oci_platform *want)
{
	/* The first 64-bit ARM is v8, the first amd64 v1: who leaves it out means that. */
	int first = str_eq(want->architecture, "arm64") ? 8 : 1;
	int have = p->variant ? variant_number(p->variant) : first;
	int most = want->variant ? variant_number(want->variant) : first;

	if (!p->os && !p->architecture)
		return 1;
	if (!str_eq(p->os, want->os) || !str_eq(p->architecture, want->architecture))
		return 0;
	if (str_eq(p->variant, want->variant))
		return 20;
	if (have == 0 || have > most)
		return 0;
	return 2 + have;
}

static const char *text_or(const char *s, const char *otherwise)
{
	return s ? s : otherwise;
}

static void add_platform(struct buf *b, const struct oci_platform *p)
{
	buf_printf(b, "%s%.40s/%.40s", b->len ? ", " : "", text_or(p->os, "?"),
		   text_or(p->architecture, "?"));
	if (p->variant)
		buf_printf(b, "/%.40s", p->variant);
}

int oci_choose(const struct oci_index *index, const struct oci_platform *want,
	       const struct oci_descriptor **ret, struct err *err)
{
	_cleanup_buf_ struct buf wanted = {0};
	_cleanup_buf_ struct buf all = {0};
	const struct oci_descriptor *best = NULL;
	int good = 0;

	for (size_t i = 0; i < index->n; i++) {
		int now = fits(&index->manifests[i].platform, want);

		if (now > good) {
			good = now;
			best = &index->manifests[i];
		}
		/* Enough to see what it is like. */
		if (all.len < 400)
			add_platform(&all, &index->manifests[i].platform);
	}
	if (best) {
		*ret = best;
		return 0;
	}
	add_platform(&wanted, want);
	if (index->n == 0)
		return oci_bad(err, "there is no image in it");
	return oci_bad(err, "there is no image for %s in it, but for: %s", wanted.p, all.p);
}

int oci_kind(const void *p, size_t n, const char *media_type, enum oci_kind *ret, struct err *err)
{
	json_auto_t *root = NULL;

	if (oci_json(p, n, &root, err) < 0 || oci_kind_of(root, media_type, ret, err) < 0)
		return err_prefix(err, "cannot use the image's manifest");
	return 0;
}
