/* Covers store/image, store/image_info and store/image_make. */
#include <errno.h>

#include "chain_world.h"
#include "store/blob.h"
#include "store/image.h"

#define GZIP "application/vnd.oci.image.layer.v1.tar+gzip"
#define DOCKER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define DOCKER "application/vnd.docker.image.rootfs.diff.tar"

static const char chain_messages[2][16] = {"first\nmore", ""};

static struct chain chain_of_two(struct commit *v)
{
	v[0] = (struct commit){.digest = DIGEST,
			       .message = chain_messages[0],
			       .by = "sbx commit",
			       .tree = LAYER_TREE,
			       .created = 1000000000};
	v[1] = (struct commit){.digest = OTHER,
			       .message = chain_messages[1],
			       .by = "sbx commit",
			       .tree = LAYER_TREE,
			       .created = 2000000000};
	return (struct chain){.v = v, .n = 2};
}

static void make(const struct site *t, const struct image_make *in, char hex[DIGEST_HEX + 1])
{
	struct err err = {0};

	if (image_make(t->w->a, &t->s, in, hex, &err) < 0)
		fail_msg("%s", err.msg);
}

static struct image_info info_of(const struct site *t, const char *hex)
{
	struct image_info info = {0};
	struct err err = {0};

	if (image_info(t->w->a, &t->s, hex, &info, &err) < 0)
		fail_msg("%s", err.msg);
	return info;
}

static void layers_of(struct oci_descriptor *v)
{
	v[0] = (struct oci_descriptor){.media_type = DOCKER_GZIP, .digest = OTHER, .size = 1};
	v[1] = (struct oci_descriptor){.media_type = GZIP, .digest = DIGEST, .size = 2};
}

static void names_come_and_go(void **state)
{
	static const char *const refs[] = {"localhost/a:1", "oci:/d b/../%:x", ".hidden", "A@b"};
	struct site t = site_new(state);
	struct image image = {.manifest = DIGEST, .created = 5, .source = "load"};
	struct image got = {0};
	struct image *all = NULL;
	struct err err = {0};
	size_t n = 0;
	size_t bad = 0;

	for (size_t i = 0; i < 4; i++) {
		image.ref = refs[i];
		assert_int_equal(image_put(&t.s, &image, &err), 0);
	}
	assert_int_equal(image_list(t.w->a, &t.s, &all, &n, &bad, &err), 0);
	assert_int_equal(n, 4);
	assert_int_equal(bad, 0);
	assert_string_equal(all[0].ref, ".hidden");
	assert_string_equal(all[3].ref, "oci:/d b/../%:x");
	assert_int_equal(image_get(t.w->a, &t.s, refs[1], &got, &err), 0);
	assert_string_equal(got.manifest, DIGEST);
	assert_string_equal(got.source, "load");
	assert_int_equal(got.created, 5);
	assert_int_equal(image_delete(&t.s, refs[1], &err), 0);
	assert_int_equal(image_get(t.w->a, &t.s, refs[1], &got, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_string_equal(err.msg, "no image 'oci:/d b/../%:x': No such file or directory");
	assert_string_equal(err.hint, "'sbx images' lists them");
	assert_int_equal(image_delete(&t.s, refs[1], &err), -1);
	assert_string_equal(err.hint, "'sbx images' lists them");
	site_done(&t);
}

/* Two that are the same for as long as a file's name may be. */
static void long_names_are_told_apart(void **state)
{
	struct site t = site_new(state);
	struct image image = {.manifest = DIGEST, .source = "load"};
	struct image got = {0};
	struct err err = {0};
	char one[600];
	char two[600];

	memset(one, 'x', sizeof(one));
	one[sizeof(one) - 1] = '\0';
	memcpy(two, one, sizeof(two));
	two[sizeof(two) - 2] = 'y';
	image.ref = one;
	assert_int_equal(image_put(&t.s, &image, &err), 0);
	assert_int_equal(image_get(t.w->a, &t.s, two, &got, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_int_equal(image_get(t.w->a, &t.s, one, &got, &err), 0);
	assert_string_equal(got.ref, one);
	site_done(&t);
}

static void a_damaged_name_is_counted(void **state)
{
	struct site t = site_new(state);
	struct image *all = NULL;
	struct image got = {0};
	struct err err = {0};
	size_t n = 1;
	size_t bad = 0;

	file(t.s.fd, "images/a.json",
	     "{\"version\":1,\"ref\":\"b\",\"manifest\":\"" DIGEST
	     "\",\"created\":1,\"source\":\"load\"}");
	assert_int_equal(image_list(t.w->a, &t.s, &all, &n, &bad, &err), 0);
	assert_int_equal(n, 0);
	assert_int_equal(bad, 1);
	assert_int_equal(image_get(t.w->a, &t.s, "a", &got, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	assert_string_equal(err.msg, "cannot read the image 'a.json': a value is missing or wrong");
	assert_string_equal(err.hint,
			    "get the image again, or remove the file from 'images' in the store");
	site_done(&t);
}

static void a_chain_goes_in_and_out(void **state)
{
	struct site t = site_new(state);
	struct oci_descriptor layers[2];
	struct commit v[2];
	struct chain chain = chain_of_two(v);
	struct chain got = {0};
	struct image_make in = {.chain = &chain, .layers = layers, .created = 1500000000};
	struct image_info info;
	struct err err = {0};
	char hex[DIGEST_HEX + 1];
	char again[DIGEST_HEX + 1];

	layers_of(layers);
	oci_pair_put(t.w->a, &in.annotations, OCI_NOTE_BASE, "host");
	oci_pair_put(t.w->a, &in.annotations, OCI_NOTE_HOST, "debian");
	make(&t, &in, hex);
	make(&t, &in, again);
	assert_string_equal(hex, again);
	info = info_of(&t, hex);
	assert_true(info.over_host);
	assert_string_equal(info.host, "debian");
	assert_string_equal(info.digest, hex);
	assert_string_equal(info.manifest.layers[0].media_type, GZIP);
	assert_string_equal(info.config.cmd.v[0], "/bin/sh");
	assert_string_equal(info.config.created, "2017-07-14T02:40:00Z");
	assert_string_equal(info.config.history[0].created_by, "first\nmore");
	assert_string_equal(info.config.history[1].created_by, "sbx commit");
	/* Nothing is newer than the image. */
	assert_string_equal(info.config.history[1].created, "2017-07-14T02:40:00Z");
	assert_int_equal(image_chain(t.w->a, &t.s, &info, "one-id", &got, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	assert_non_null(strstr(err.msg, DIGEST));
	publish(&t, DIGEST, "one-id");
	publish(&t, OTHER, "subids-self");
	assert_int_equal(image_chain(t.w->a, &t.s, &info, "one-id", &got, &err), -1);
	assert_string_equal(err.msg,
			    "the layer " OTHER " for the ids 'one-id': No such file or directory");
	dir(t.s.fd, "layers/" OTHER "/tree-one-id");
	assert_int_equal(image_chain(t.w->a, &t.s, &info, "one-id", &got, &err), 0);
	assert_int_equal(got.n, 2);
	assert_string_equal(got.v[0].message, "first");
	assert_string_equal(got.v[0].by, "image");
	assert_int_equal(got.v[0].created, 1000000000);
	assert_string_equal(got.v[1].tree, "tree-one-id");
	site_done(&t);
}

/* The base's history, with what made no layer, goes on. */
static void an_image_goes_on(void **state)
{
	struct site t = site_new(state);
	struct oci_descriptor layers[2];
	struct commit v[2];
	struct chain chain = chain_of_two(v);
	struct chain low = {.v = v, .n = 1};
	struct oci_history told[] = {{.created_by = "ADD"},
				     {.created_by = "ENV", .empty_layer = true}};
	struct oci_config config = {.user = "me", .history = told, .n_history = 2};
	struct image_make base = {.chain = &low, .layers = layers, .config = &config};
	struct image_make in = {.chain = &chain, .layers = layers, .n_from = 1};
	struct image_info from;
	struct image_info info;
	char hex[DIGEST_HEX + 1];

	layers_of(layers);
	make(&t, &base, hex);
	from = info_of(&t, hex);
	assert_int_equal(from.config.n_history, 2);
	in.from = &from;
	make(&t, &in, hex);
	info = info_of(&t, hex);
	assert_string_equal(info.config.user, "me");
	assert_false(info.config.cmd.set);
	assert_int_equal(info.config.n_history, 3);
	assert_string_equal(info.config.history[1].created_by, "ENV");
	assert_string_equal(info.config.history[2].created_by, "sbx commit");
	/* Below it nothing of the image's is left: then its history tells of nothing. */
	in.n_from = 0;
	make(&t, &in, hex);
	info = info_of(&t, hex);
	assert_int_equal(info.config.n_history, 2);
	assert_string_equal(info.config.history[0].created_by, "first\nmore");
	site_done(&t);
}

static void blob_of(const struct site *t, const char *text, char hex[DIGEST_HEX + 1])
{
	struct err err = {0};

	assert_int_equal(blob_put(&t->s, text, strlen(text), hex, &err), 0);
}

static void refuse(const struct site *t, const char *config, size_t size, const char *why)
{
	struct image_info info = {0};
	struct err err = {0};
	char hex[DIGEST_HEX + 1];
	char manifest[DIGEST_HEX + 1];
	const char *text;

	blob_of(t, config, hex);
	text = arena_printf(t->w->a,
			    "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG
			    "\",\"digest\":\"sha256:%s\",\"size\":%zu},\"layers\":[{\"mediaType\":"
			    "\"" DOCKER "\",\"digest\":\"sha256:%s\",\"size\":1}]}",
			    hex, size ? size : strlen(config), hex);
	blob_of(t, text, manifest);
	assert_int_equal(image_info(t->w->a, &t->s, manifest, &info, &err), -1);
	assert_int_equal(err.errnum, EBADMSG);
	assert_string_equal(err.msg, why);
}

/* C11: a diffID for each layer. */
static void manifest_and_config_fit(void **state)
{
	static const char none[] = "{\"rootfs\":{\"diff_ids\":[]}}";
	struct site t = site_new(state);
	struct image_info info = {0};
	struct err err = {0};

	refuse(&t, none, 0, "the image has 1 layers, but its config knows 0");
	refuse(&t, none, 30, "the image's config has 26 bytes, its manifest says 30");
	refuse(&t, "{", 0,
	       "cannot use the image's config: line 1: string or '}' expected near end of "
	       "file");
	assert_int_equal(image_info(t.w->a, &t.s, DIGEST, &info, &err), -1);
	assert_int_equal(err.errnum, ENOENT);
	site_done(&t);
}

static void times_are_read(void **state)
{
	(void)state;
	assert_int_equal(image_time("1970-01-01T00:00:10Z"), 10);
	assert_int_equal(image_time("1970-01-01T00:00:10.5Z"), 10);
	assert_int_equal(image_time("1970-01-01T01:00:10.123456789+01:00"), 10);
	assert_int_equal(image_time("1969-12-31T23:30:10-00:30"), 10);
	assert_int_equal(image_time("yesterday"), 0);
	assert_int_equal(image_time(NULL), 0);
}

static void a_long_message_is_cut(void **state)
{
	struct site t = site_new(state);
	struct oci_descriptor layers[2];
	struct commit v[2];
	struct chain chain = chain_of_two(v);
	struct chain got = {0};
	struct image_make in = {.chain = &chain, .layers = layers};
	struct image_info info;
	_cleanup_buf_ struct buf b = {0};
	struct err err = {0};
	char hex[DIGEST_HEX + 1];

	layers_of(layers);
	buf_adds(&b, "x");
	for (int i = 0; i < 200; i++)
		buf_adds(&b, "ä");
	chain.n = 1;
	v[0].message = b.p;
	make(&t, &in, hex);
	info = info_of(&t, hex);
	publish(&t, DIGEST, "one-id");
	assert_int_equal(image_chain(t.w->a, &t.s, &info, "one-id", &got, &err), 0);
	assert_int_equal(strlen(got.v[0].message), 199 + strlen("…"));
	site_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(names_come_and_go),
		TEST(long_names_are_told_apart),
		TEST(a_damaged_name_is_counted),
		TEST(a_chain_goes_in_and_out),
		TEST(an_image_goes_on),
		TEST(manifest_and_config_fit),
		TEST(times_are_read),
		TEST(a_long_message_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
