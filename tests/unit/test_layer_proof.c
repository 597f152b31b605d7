/* Covers store/layer_proof: a blob shows what layer it is. */
#include <errno.h>

#include "base/digest.h"
#include "store/blob.h"
#include "store/deflate.h"
#include "store/env.h"
#include "store/form.h"
#include "store/layer_proof.h"
#include "store_world.h"

#define OTHER "1111111111111111111111111111111111111111111111111111111111111111"

static int to_buf(void *ctx, const void *p, size_t n, struct err *err)
{
	(void)err;
	buf_add(ctx, p, n);
	return 0;
}

static void pack(enum layer_form how, const char *text, struct buf *ret)
{
	_cleanup_deflate_ struct deflate *d = NULL;
	struct err err = {0};

	assert_int_equal(deflate_new(how, to_buf, ret, &d, &err), 0);
	assert_int_equal(deflate_add(d, text, strlen(text), &err), 0);
	assert_int_equal(deflate_end(d, &err), 0);
}

static void a_blob_shows_its_layer(void **state)
{
	struct world *w = *state;
	struct store s = {.fd = -1};
	char diff_id[DIGEST_HEX + 1];
	struct err err = {0};
	struct form *v = NULL;
	size_t n = 0;

	assert_int_equal(store_open(w->a, &s, &err), 0);
	digest_sha256("a tar", strlen("a tar"), diff_id);
	for (enum layer_form how = LAYER_GZIP; how <= LAYER_ZSTD; how++) {
		struct oci_descriptor d = {.media_type = "x"};
		_cleanup_buf_ struct buf b = {0};

		pack(how, "a tar", &b);
		d.size = b.len;
		assert_int_equal(blob_put(&s, b.p, b.len, d.digest, &err), 0);
		assert_int_equal(layer_proof(w->a, &s, &d, OTHER, &err), -1);
		assert_int_equal(err.errnum, EBADMSG);
		assert_string_equal(err.msg, arena_printf(w->a,
							  "the blob sha256:%s is not the layer "
							  "sha256:" OTHER,
							  d.digest));
		assert_int_equal(layer_proof(w->a, &s, &d, diff_id, &err), 0);
		/* Then it is known, also where the blob is there no more. */
		assert_int_equal(unlinkat(s.fd, arena_printf(w->a, "blobs/%s", d.digest), 0), 0);
		assert_int_equal(layer_proof(w->a, &s, &d, diff_id, &err), 0);
		assert_int_equal(layer_proof(w->a, &s, &d, OTHER, &err), -1);
		assert_int_equal(err.errnum, ENOENT);
	}
	assert_int_equal(form_list(w->a, &s, diff_id, &v, &n, &err), 0);
	assert_int_equal(n, 2);
	store_done(&s);
}

static void what_is_damaged_shows_nothing(void **state)
{
	struct world *w = *state;
	struct store s = {.fd = -1};
	struct oci_descriptor d = {.media_type = "x"};
	_cleanup_buf_ struct buf b = {0};
	char diff_id[DIGEST_HEX + 1];
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	digest_sha256("a tar", strlen("a tar"), diff_id);
	pack(LAYER_GZIP, "a tar", &b);
	b.len -= 3;
	d.size = b.len;
	assert_int_equal(blob_put(&s, b.p, b.len, d.digest, &err), 0);
	assert_int_equal(layer_proof(w->a, &s, &d, diff_id, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_blob_shows_its_layer, world_make, world_remove),
		cmocka_unit_test_setup_teardown(what_is_damaged_shows_nothing, world_make,
						world_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
