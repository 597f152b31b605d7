/* What images need, and what is found of them: store/gc_blobs, store/fsck_blobs, and of store/roots what is about them. */
#include <sys/file.h>

#include "chain_world.h"
#include "store/blob.h"
#include "store/fsck_blobs.h"
#include "store/gc.h"
#include "store/image.h"
#include "store/pin.h"

#define GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define KEY "1111111111111111111111111111111111111111111111111111111111111111"

/* An image with one layer, DIGEST, whose blob is there. */
struct made {
	char manifest[DIGEST_HEX + 1];
	char blob[DIGEST_HEX + 1];
};

static struct made image_of(const struct site *t, const char *ref)
{
	struct commit c = commit_of(DIGEST);
	const struct chain chain = {.v = &c, .n = 1};
	struct oci_descriptor layer = {.media_type = GZIP, .size = 5};
	const struct image_make in = {.chain = &chain, .layers = &layer};
	struct image image = {.ref = ref, .source = "load"};
	struct made made = {0};
	struct err err = {0};

	assert_int_equal(blob_put(&t->s, "layer", 5, made.blob, &err), 0);
	memcpy(layer.digest, made.blob, sizeof(layer.digest));
	assert_int_equal(image_make(t->w->a, &t->s, &in, made.manifest, &err), 0);
	memcpy(image.manifest, made.manifest, sizeof(image.manifest));
	if (ref)
		assert_int_equal(image_put(&t->s, &image, &err), 0);
	return made;
}

static struct gc_result collect(const struct site *t, unsigned how)
{
	struct gc_result r = {0};
	struct err err = {0};

	if (gc_layers(t->w->a, &t->s, how, &r, &err) < 0)
		fail_msg("%s", err.msg);
	return r;
}

static size_t blobs(const struct site *t)
{
	return count(&t->s, "blobs") - 1; /* partial/ */
}

static void an_image_keeps_its_blobs_and_layers(void **state)
{
	struct site t = site_new(state);
	struct made made = image_of(&t, "localhost/a:1");
	struct gc_result r;
	struct err err = {0};

	publish(&t, DIGEST, "one-id");
	publish(&t, OTHER, "one-id");
	assert_int_equal(blob_put(&t.s, "loose", 5, NULL, &err), 0);
	assert_int_equal(blobs(&t), 4);
	r = collect(&t, GC_DRY_RUN);
	assert_int_equal(r.n_blobs, 1);
	assert_int_equal(blobs(&t), 4);
	r = collect(&t, 0);
	assert_int_equal(r.n, 1);
	assert_string_equal(r.layers[0], OTHER);
	assert_int_equal(r.n_blobs, 1);
	assert_int_equal(blobs(&t), 3);
	assert_true(blob_has(&t.s, made.blob));
	assert_int_equal(image_delete(&t.s, "localhost/a:1", &err), 0);
	r = collect(&t, 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(r.n_blobs, 3);
	assert_int_equal(blobs(&t), 0);
	site_done(&t);
}

/* --blobs drops what can be made anew, and only that. */
static void the_only_form_of_a_layer_stays(void **state)
{
	struct site t = site_new(state);
	struct made made = image_of(&t, "localhost/a:1");

	assert_int_equal(collect(&t, GC_BLOBS).n_blobs, 0);
	publish(&t, DIGEST, "one-id");
	assert_int_equal(collect(&t, 0).n_blobs, 0);
	assert_int_equal(collect(&t, GC_BLOBS).n_blobs, 1);
	assert_false(blob_has(&t.s, made.blob));
	assert_true(blob_has(&t.s, made.manifest));
	site_done(&t);
}

static void an_environment_keeps_the_blobs_of_its_image(void **state)
{
	struct site t = site_new(state);
	struct made made = image_of(&t, NULL);
	struct commit c = commit_of(DIGEST);
	struct env_from from = {.chain = {.v = &c, .n = 1}, .rung = 1, .as = 1};
	const struct env_want want = {.project = "/p", .name = "second", .from = &from};
	struct env e = {.fd = -1};
	struct err err = {0};

	publish(&t, DIGEST, "one-id");
	from.image.ref = "localhost/a:1";
	from.image.n = 1;
	memcpy(from.image.manifest, made.manifest, sizeof(made.manifest));
	assert_int_equal(env_open_or_make_on(t.w->a, &t.s, &want, &e, &err), 0);
	env_done(&e);
	assert_int_equal(collect(&t, 0).n_blobs, 0);
	site_done(&t);
}

static void a_pin_keeps_what_no_record_names(void **state)
{
	struct site t = site_new(state);
	struct pin pin = PIN_NONE;
	struct err err = {0};
	char hex[DIGEST_HEX + 1];

	publish(&t, OTHER, "one-id");
	assert_int_equal(blob_put(&t.s, "loose", 5, hex, &err), 0);
	assert_int_equal(pin_make(&t.s, &pin, &err), 0);
	assert_int_equal(pin_add(&pin, hex, &err), 0);
	assert_int_equal(pin_add(&pin, OTHER, &err), 0);
	assert_int_equal(collect(&t, 0).n_blobs, 0);
	assert_true(there(t.s.fd, "layers/" OTHER));
	pin_done(&t.s, &pin);
	assert_int_equal(collect(&t, 0).n_blobs, 1);
	assert_false(there(t.s.fd, "layers/" OTHER));
	site_done(&t);
}

static void a_download_that_goes_on_stays(void **state)
{
	struct site t = site_new(state);
	struct blob_writer *w = NULL;
	struct err err = {0};
	uint64_t offset;

	assert_int_equal(blob_resume(&t.s, KEY, &w, &offset, &err), 0);
	assert_int_equal(collect(&t, 0).n_partial, 0);
	blob_abort(&w);
	assert_true(there(t.s.fd, "blobs/partial/" KEY));
	assert_int_equal(collect(&t, GC_DRY_RUN).n_partial, 1);
	assert_true(there(t.s.fd, "blobs/partial/" KEY));
	assert_int_equal(collect(&t, 0).n_partial, 1);
	assert_false(there(t.s.fd, "blobs/partial/" KEY));
	site_done(&t);
}

static void put_file(const struct site *t, const char *name, const char *text)
{
	struct err err = {0};

	assert_int_equal(fs_write_atomic(t->s.fd, name, text, strlen(text), 0600, &err), 0);
}

static void the_build_cache_keeps_its_layers(void **state)
{
	struct site t = site_new(state);

	publish(&t, DIGEST, "one-id");
	put_file(&t, "cache/" KEY ".json", "{\"version\":1,\"layer\":\"" DIGEST "\"}");
	put_file(&t, "cache/" OTHER ".json", "{\"version\":1,\"layer\":\"" OTHER "\"}");
	put_file(&t, "cache/" DIGEST ".json", "{\"version\":1,\"layer\":\"\"}");
	put_file(&t, "forms/" DIGEST ".json", "{}");
	put_file(&t, "forms/" OTHER ".json", "{}");
	assert_int_equal(collect(&t, 0).n, 0);
	assert_true(there(t.s.fd, "cache/" KEY ".json"));
	assert_true(there(t.s.fd, "cache/" DIGEST ".json"));
	assert_false(there(t.s.fd, "cache/" OTHER ".json"));
	assert_true(there(t.s.fd, "forms/" DIGEST ".json"));
	assert_false(there(t.s.fd, "forms/" OTHER ".json"));
	assert_int_equal(collect(&t, GC_ALL).n, 1);
	assert_int_equal(count(&t.s, "cache"), 0);
	assert_int_equal(count(&t.s, "forms"), 0);
	site_done(&t);
}

static void damage(const struct site *t, const char *blob)
{
	const char *path = arena_printf(t->w->a, "blobs/%s", blob);

	assert_int_equal(unlinkat(t->s.fd, path, 0), 0);
	file(t->s.fd, path, "lAyer");
}

static void tell(void *ctx, uint64_t done, uint64_t total)
{
	assert_true(done <= total);
	*(uint64_t *)ctx = done;
}

static struct findings check(const struct site *t, uint64_t *ret_told)
{
	struct findings f = {.a = t->w->a};
	struct roots roots = {0};
	struct err err = {0};

	assert_int_equal(fsck_blobs(&t->s, &f, tell, ret_told, &err), 0);
	assert_int_equal(roots_read(t->w->a, &t->s, &roots, &err), 0);
	fsck_roots(&t->s, &roots, &f);
	fsck_images(&t->s, &roots, &f);
	return f;
}

static void a_damaged_blob_is_found_and_put_aside(void **state)
{
	struct site t = site_new(state);
	struct made made = image_of(&t, "localhost/a:1");
	struct fsck_aside aside = {0};
	struct findings f;
	struct err err = {0};
	uint64_t told = 0;

	assert_int_equal(check(&t, &told).n, 0);
	assert_true(told > 5);
	damage(&t, made.blob);
	f = check(&t, &told);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.v[0].kind, FSCK_BLOB);
	assert_string_equal(f.v[0].name, made.blob);
	assert_true(str_starts(f.v[0].what, "it is not what it was: its digest is "));
	assert_int_equal(f.v[1].kind, FSCK_IMAGE);
	assert_string_equal(f.v[1].name, "localhost/a:1");
	assert_string_equal(f.v[1].what, "its layer 0123456789ab is neither there nor its blob");
	assert_string_equal(f.v[1].hint, "get it again, or forget it: sbx images -d REF");
	/* Unpacked, too, it does not need the blob. */
	publish(&t, DIGEST, "one-id");
	f = check(&t, &told);
	assert_int_equal(f.n, 1);
	assert_int_equal(fsck_quarantine(&t.s, &f, &aside, &err), 0);
	assert_int_equal(aside.blobs, 1);
	assert_int_equal(aside.layers, 0);
	assert_int_equal(count(&t.s, "quarantine"), 1);
	assert_int_equal(check(&t, &told).n, 0);
	site_done(&t);
}

static void a_damaged_manifest_stops_gc(void **state)
{
	struct site t = site_new(state);
	struct made made = image_of(&t, "localhost/a:1");
	struct findings f;
	struct gc_result r;
	uint64_t told = 0;

	publish(&t, OTHER, "one-id");
	damage(&t, made.manifest);
	r = collect(&t, 0);
	assert_int_equal(r.n, 0);
	assert_int_equal(r.n_blobs, 0);
	assert_int_equal(r.roots.damaged.n, 1);
	assert_int_equal(r.roots.damaged.v[0].kind, ROOT_IMAGE);
	assert_string_equal(r.roots.damaged.v[0].name, "localhost/a:1");
	f = check(&t, &told);
	assert_int_equal(f.n, 2);
	assert_int_equal(f.v[1].kind, FSCK_IMAGE);
	put_file(&t, "images/b.json", "{");
	assert_int_equal(collect(&t, 0).roots.damaged.n, 2);
	site_done(&t);
}

static void what_is_no_blob_is_found(void **state)
{
	struct site t = site_new(state);
	struct findings f;
	uint64_t told = 0;

	file(t.s.fd, "blobs/x", "");
	dir(t.s.fd, "blobs/" KEY);
	f = check(&t, &told);
	assert_int_equal(f.n, 2);
	for (size_t i = 0; i < 2; i++)
		assert_string_equal(f.v[i].what, strcmp(f.v[i].name, "x") == 0
							 ? "it does not belong there"
							 : "cannot read the blob sha256:" KEY
							   ": it is no file");
	site_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_image_keeps_its_blobs_and_layers),
		TEST(the_only_form_of_a_layer_stays),
		TEST(an_environment_keeps_the_blobs_of_its_image),
		TEST(a_pin_keeps_what_no_record_names),
		TEST(a_download_that_goes_on_stays),
		TEST(the_build_cache_keeps_its_layers),
		TEST(a_damaged_blob_is_found_and_put_aside),
		TEST(a_damaged_manifest_stops_gc),
		TEST(what_is_no_blob_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
