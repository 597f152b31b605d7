/* Covers cli/images_known: what the store has under a registry's name, and whose it is. */
#include <errno.h>

#include "cli/images.h"
#include "conf/image.h"
#include "store/image.h"
#include "store_world.h"

#define ONE "1111111111111111111111111111111111111111111111111111111111111111"
#define TWO "2222222222222222222222222222222222222222222222222222222222222222"

static void put(const struct store *s, const char *ref, const char *manifest, const char *source)
{
	struct image image = {.ref = ref, .source = source, .created = 1};
	struct err err = {0};

	memcpy(image.manifest, manifest, sizeof(image.manifest));
	assert_int_equal(image_put(s, &image, &err), 0);
}

/* Its source; NULL: nothing is known. */
static const char *source_of(struct world *w, const struct store *s, const char *name)
{
	struct image_ref ref = {0};
	struct image image = {0};
	struct err err = {0};

	assert_int_equal(image_ref_parse(w->a, name, &ref, &err), 0);
	if (images_of_registry(w->a, s, &ref, &image, &err) == 0)
		return image.source;
	assert_int_equal(err.errnum, ENOENT);
	return NULL;
}

static void a_digest_counts_for_its_repository(void **state)
{
	struct world *w = *state;
	struct store s = {.fd = -1};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	put(&s, "r.example/a/b:1", ONE, "pull");
	assert_string_equal(source_of(w, &s, "r.example/a/b:1"), "pull");
	assert_null(source_of(w, &s, "r.example/a/b:2"));
	assert_string_equal(source_of(w, &s, "r.example/a/b@sha256:" ONE), "pull");
	assert_string_equal(source_of(w, &s, "r.example/a/b:9@sha256:" ONE), "pull");
	assert_null(source_of(w, &s, "r.example/a/b@sha256:" TWO));
	assert_null(source_of(w, &s, "r.example/a/c@sha256:" ONE));
	assert_null(source_of(w, &s, "q.example/a/b@sha256:" ONE));
	/* What anybody is given there counts more, whichever is found first. */
	put(&s, "r.example/a/b:0", ONE, IMAGE_PUBLIC);
	put(&s, "r.example/a/b:3", ONE, "load");
	assert_string_equal(source_of(w, &s, "r.example/a/b@sha256:" ONE), IMAGE_PUBLIC);
	assert_string_equal(source_of(w, &s, "r.example/a/b:3"), "load");
	store_done(&s);
}

static void a_manifest_is_somebodys(void **state)
{
	struct world *w = *state;
	struct store s = {.fd = -1};
	struct image got = {0};
	struct err err = {0};

	assert_int_equal(store_open(w->a, &s, &err), 0);
	assert_int_equal(images_of_manifest(w->a, &s, ONE, "/p", &got), TRUST_IMAGE_ABSENT);
	put(&s, "localhost/a:1", ONE, images_built_by(w->a, "/p"));
	assert_int_equal(images_of_manifest(w->a, &s, ONE, "/p", &got), TRUST_IMAGE_PUBLIC);
	assert_int_equal(images_of_manifest(w->a, &s, ONE, "/q", &got), TRUST_IMAGE_OWN);
	assert_string_equal(got.ref, "localhost/a:1");
	assert_int_equal(images_of_manifest(w->a, &s, TWO, "/p", &got), TRUST_IMAGE_ABSENT);
	put(&s, "r.example/z:1", ONE, IMAGE_PUBLIC);
	assert_int_equal(images_of_manifest(w->a, &s, ONE, "/q", &got), TRUST_IMAGE_PUBLIC);
	store_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_digest_counts_for_its_repository, world_make,
						world_remove),
		cmocka_unit_test_setup_teardown(a_manifest_is_somebodys, world_make, world_remove),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
