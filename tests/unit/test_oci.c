#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"
#include "store/oci.h"
#include "store/oci_json.h"

/* Covers store/oci_kind, store/oci_read and store/oci_write, too. */

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define CONFIG                                                                        \
	"\"config\":{\"mediaType\":\"" OCI_MEDIA_CONFIG "\",\"digest\":\"sha256:" HEX \
	"\",\"size\":7}"
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar+gzip"
#define LAYER "{\"mediaType\":\"" LAYER_TYPE "\",\"digest\":\"sha256:" OTHER "\",\"size\":9}"
#define HEAD "{\"schemaVersion\":2,"
#define MANIFEST HEAD CONFIG ",\"layers\":[" LAYER "]}"
#define NO_MANIFEST "cannot use the image's manifest: "
#define NO_CONFIG "cannot use the image's config: "

static int begin(void **state)
{
	*state = arena_new();
	return 0;
}

static int end(void **state)
{
	arena_free(*state);
	return 0;
}

static void reads_a_manifest(void **state)
{
	struct oci_manifest m = {0};
	struct err err = {0};

	if (oci_read_manifest(*state, MANIFEST, strlen(MANIFEST), &m, &err) < 0)
		fail_msg("%s", err.msg);
	assert_null(m.media_type);
	assert_string_equal(m.config.digest, HEX);
	assert_int_equal(m.config.size, 7);
	assert_int_equal(m.n, 1);
	assert_string_equal(m.layers[0].media_type, LAYER_TYPE);
	assert_string_equal(m.layers[0].digest, OTHER);
	assert_int_equal(m.layers[0].size, 9);
}

static void writes_always_the_same(void **state)
{
	_cleanup_buf_ struct buf one = {0};
	_cleanup_buf_ struct buf two = {0};
	struct oci_manifest m = {0};
	struct oci_manifest again = {0};
	struct err err = {0};

	assert_int_equal(oci_read_manifest(*state, MANIFEST, strlen(MANIFEST), &m, &err), 0);
	m.media_type = OCI_MEDIA_MANIFEST;
	oci_pair_put(*state, &m.annotations, "b", "2");
	oci_pair_put(*state, &m.annotations, "a", "/");
	oci_pair_put(*state, &m.annotations, "b", "3");
	oci_write_manifest(&m, &one);
	assert_string_equal(
		one.p,
		"{\"annotations\":{\"a\":\"/\",\"b\":\"3\"},\"config\":{\"digest\":\"sha256:" HEX
		"\",\"mediaType\":\"" OCI_MEDIA_CONFIG
		"\",\"size\":7},\"layers\":[{\"digest\":\"sha256:" OTHER
		"\",\"mediaType\":\"" LAYER_TYPE
		"\",\"size\":9}],\"mediaType\":\"" OCI_MEDIA_MANIFEST "\",\"schemaVersion\":2}");
	assert_int_equal(oci_read_manifest(*state, one.p, one.len, &again, &err), 0);
	assert_string_equal(oci_pair(&again.annotations, "b"), "3");
	assert_null(oci_pair(&again.annotations, "c"));
	oci_write_manifest(&again, &two);
	assert_string_equal(one.p, two.p);
}

static void refuses_a_manifest(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} bad[] = {
		{"", "it is empty"},
		{"[]", "it is no JSON object"},
		{"{}", "its 'schemaVersion' is not 2"},
		{"{\"schemaVersion\":1,\"fsLayers\":[]}",
		 "it is of docker's schema 1, which nobody should use any more"},
		{HEAD "\"layers\":[],\"layers\":[]}",
		 "line 1: duplicate object key near '\"layers\"'"},
		{HEAD "\"a\":1}", "it has neither 'layers' nor 'manifests'"},
		{HEAD CONFIG ",\"layers\":[],\"manifests\":[]}",
		 "it has both 'manifests' and 'layers' or 'config': it could be taken for two images"},
		{HEAD "\"manifests\":[]}", "it is an index, not a manifest"},
		{HEAD CONFIG "}", "it has no list 'layers'"},
		{HEAD CONFIG ",\"layers\":[1]}", "'layers' holds something that is no object"},
		{HEAD "\"layers\":[]}", "'config': it is no object"},
		{HEAD CONFIG ",\"layers\":[{}]}", "'layers', number 1: it has no media type"},
		{HEAD CONFIG ",\"layers\":[{\"mediaType\":\"x\"}]}",
		 "'layers', number 1: it has no digest"},
		{HEAD CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"sha256:" HEX "\"}]}",
		 "'layers', number 1: its size is no number of bytes"},
		{HEAD CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"sha256:" HEX
			     "\",\"size\":-1}]}",
		 "'layers', number 1: its size is no number of bytes"},
		{HEAD CONFIG ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"sha256:" HEX
			     "\",\"size\":1}]}",
		 "'x' is no layer of an image"},
		{HEAD CONFIG ",\"layers\":[],\"mediaType\":\"" OCI_MEDIA_INDEX "\"}",
		 "its media type is '" OCI_MEDIA_INDEX "', but it is a manifest"},
		{HEAD CONFIG ",\"layers\":[],\"mediaType\":\"text/plain\"}",
		 "its media type is 'text/plain', which is no image"},
		{HEAD CONFIG ",\"layers\":[],\"annotations\":{\"a\":1}}",
		 "'a' of 'annotations' is no string"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct oci_manifest m = {0};
		struct err err = {0};

		if (oci_read_manifest(*state, bad[i].text, strlen(bad[i].text), &m, &err) == 0)
			fail_msg("accepted: %s", bad[i].text);
		assert_int_equal(err.errnum, EBADMSG);
		assert_null(m.layers);
		if (!str_starts(err.msg, NO_MANIFEST))
			fail_msg("%s", err.msg);
		assert_string_equal(err.msg + strlen(NO_MANIFEST), bad[i].why);
	}
}

static void says_how_an_old_one_is_made_new(void **state)
{
	struct oci_manifest m = {0};
	struct err err = {0};
	const char *old = "{\"schemaVersion\":1,\"fsLayers\":[]}";

	assert_int_equal(oci_read_manifest(*state, old, strlen(old), &m, &err), -1);
	assert_string_equal(err.hint, "'skopeo copy' makes a newer image of it");
}

static void transport_and_document_agree(void **state)
{
	static const char own[] =
		HEAD CONFIG ",\"layers\":[],\"mediaType\":\"" OCI_MEDIA_MANIFEST "\"}";
	enum oci_kind kind = OCI_IS_INDEX;
	struct err err = {0};

	(void)state;
	assert_int_equal(oci_kind(own, strlen(own), OCI_MEDIA_MANIFEST, &kind, &err), 0);
	assert_int_equal(kind, OCI_IS_MANIFEST);
	assert_int_equal(oci_kind(own, strlen(own), OCI_MEDIA_DOCKER_MANIFEST, &kind, &err), -1);
	assert_string_equal(err.msg,
			    NO_MANIFEST "it was given as '" OCI_MEDIA_DOCKER_MANIFEST
					"', but its media type is '" OCI_MEDIA_MANIFEST "'");
	assert_int_equal(oci_kind(MANIFEST, strlen(MANIFEST), OCI_MEDIA_INDEX, &kind, &err), -1);
	assert_string_equal(err.msg, NO_MANIFEST "it was given as '" OCI_MEDIA_INDEX
						 "', but it is a manifest");
	assert_int_equal(oci_kind(MANIFEST, strlen(MANIFEST),
				  "application/vnd.docker.distribution.manifest.v1+prettyjws",
				  &kind, &err),
			 -1);
	assert_string_equal(err.msg, NO_MANIFEST
			    "it is of docker's schema 1, which nobody should use any more");
}

/* C10: before a path is built of it. */
static void only_whole_sha256_is_a_digest(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} bad[] = {
		{"", "'' is no digest"},
		{HEX, "'" HEX "' is no digest"},
		{":" HEX, "':" HEX "' is no digest"},
		{"sha256:", "the digest 'sha256:' is not sha256: and 64 digits of 0-9a-f"},
		{"sha256:../../x",
		 "the digest 'sha256:../../x' is not sha256: and 64 digits of 0-9a-f"},
		{"sha512:" HEX HEX, NULL},
		{"SHA256:" HEX, NULL},
		{"sha256+b64:" HEX, NULL},
		{"sha256: " HEX, NULL},
		{"sha256:" HEX "0", NULL},
		{"sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", NULL},
	};
	char hex[DIGEST_HEX + 1] = "";
	struct err err = {0};

	(void)state;
	assert_int_equal(oci_digest("sha256:" HEX, hex, &err), 0);
	assert_string_equal(hex, HEX);
	hex[0] = '\0';
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err = (struct err){0};
		if (oci_digest(bad[i].text, hex, &err) == 0)
			fail_msg("accepted: %s", bad[i].text);
		assert_string_equal(hex, "");
		assert_int_equal(err.errnum, EBADMSG);
		if (bad[i].why)
			assert_string_equal(err.msg, bad[i].why);
	}
	assert_int_equal(oci_digest("sha512:" HEX HEX, hex, &err), -1);
	assert_non_null(strstr(err.msg, "' is not of sha256, which alone is used"));
}

static const char config_text[] =
	"{\"architecture\":\"amd64\",\"author\":\"me\",\"config\":{\"Cmd\":[\"sh\"],\"Entrypoint\":[],"
	"\"Env\":[\"A=1\"],\"ExposedPorts\":{\"80/tcp\":{},\"81/udp\":{}},\"Healthcheck\":{\"Test\":["
	"\"NONE\"]},\"Labels\":{\"a\":\"b\"},\"OnBuild\":[\"RUN x\"],\"Shell\":[\"/bin/sh\",\"-c\"],"
	"\"StopSignal\":\"15\",\"User\":\"1:2\",\"Volumes\":{\"/v\":{}},\"WorkingDir\":\"/w\"},"
	"\"created\":\"2020-01-02T03:04:05Z\",\"history\":[{\"author\":\"x\",\"comment\":\"y\","
	"\"created\":\"2020-01-02T03:04:05Z\",\"created_by\":\"z\"},{\"created_by\":\"ENV\","
	"\"empty_layer\":true}],\"os\":\"linux\",\"rootfs\":{\"diff_ids\":[\"sha256:" HEX
	"\"],\"type\":\"layers\"},\"variant\":\"v1\"}";

static void a_config_goes_in_and_out(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct oci_config c = {0};
	struct err err = {0};

	if (oci_read_config(*state, config_text, strlen(config_text), &c, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(c.platform.variant, "v1");
	assert_true(c.entrypoint.set);
	assert_int_equal(c.entrypoint.n, 0);
	assert_string_equal(c.ports.v[1], "81/udp");
	assert_null(c.ports.v[2]);
	assert_string_equal(c.user, "1:2");
	assert_string_equal(c.diff_ids[0], HEX);
	assert_true(c.history[1].empty_layer);
	oci_write_config(&c, &b);
	assert_string_equal(b.p, config_text);
}

/* Go writes null for what is not there. */
static void nothing_and_null_are_the_same(void **state)
{
	static const char text[] =
		"{\"config\":{\"Env\":null,\"Labels\":null,\"User\":null,\"Healthcheck\":null},"
		"\"history\":null,\"rootfs\":{\"diff_ids\":null}}";
	_cleanup_buf_ struct buf b = {0};
	struct oci_config c = {0};
	struct err err = {0};

	assert_int_equal(oci_read_config(*state, text, strlen(text), &c, &err), 0);
	assert_false(c.env.set);
	assert_null(c.platform.os);
	oci_write_config(&c, &b);
	assert_string_equal(b.p,
			    "{\"config\":{},\"rootfs\":{\"diff_ids\":[],\"type\":\"layers\"}}");
}

static void a_message_of_any_bytes_is_written(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct oci_history h = {.created_by = "a\xff"};
	const struct oci_config c = {.history = &h, .n_history = 1};

	(void)state;
	oci_write_config(&c, &b);
	assert_non_null(strstr(b.p, "\"created_by\":\"a\\\\xff\""));
}

static void refuses_a_config(void **state)
{
	static const struct {
		const char *text;
		const char *why;
	} bad[] = {
		{"{}", "it has no 'rootfs'"},
		{"{\"rootfs\":{\"type\":\"x\"}}", "its 'rootfs' is of 'x', not of layers"},
		{"{\"rootfs\":{\"diff_ids\":[\"x\"]}}", "'diff_ids', number 1: 'x' is no digest"},
		{"{\"rootfs\":{\"diff_ids\":1}}", "'diff_ids' is no list"},
		{"{\"rootfs\":{},\"config\":1}", "'config' is no object"},
		{"{\"rootfs\":{},\"config\":{\"Env\":[1]}}",
		 "'Env' holds something that is no string"},
		{"{\"rootfs\":{},\"config\":{\"Labels\":[]}}", "'Labels' is no object"},
		{"{\"rootfs\":{},\"config\":{\"User\":1}}", "'User' is no string"},
		{"{\"rootfs\":{},\"config\":{\"Healthcheck\":1}}", "'Healthcheck' is no object"},
		{"{\"rootfs\":{},\"history\":[1]}", "'history' holds something that is no object"},
		{"{\"rootfs\":{},\"history\":[{\"created_by\":1}]}",
		 "'history', number 1: 'created_by' is no string"},
		{"{\"rootfs\":{},\"os\":\"a\\u0000b\"}",
		 "line 1: \\u0000 is not allowed without JSON_ALLOW_NUL"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct oci_config c = {0};
		struct err err = {0};

		if (oci_read_config(*state, bad[i].text, strlen(bad[i].text), &c, &err) == 0)
			fail_msg("accepted: %s", bad[i].text);
		assert_int_equal(err.errnum, EBADMSG);
		assert_true(str_starts(err.msg, NO_CONFIG));
		if (!str_starts(err.msg + strlen(NO_CONFIG), bad[i].why))
			fail_msg("%s", err.msg);
	}
}

static void expect_refused(const struct buf *b, const char *why)
{
	struct err err = {0};
	json_t *root = NULL;

	assert_int_equal(oci_json(b->p, b->len, &root, &err), -1);
	assert_null(root);
	assert_string_equal(err.msg, why);
}

/* C8: before the parser sees it. */
static void limits_come_first(void **state)
{
	_cleanup_buf_ struct buf deep = {0};
	_cleanup_buf_ struct buf wide = {0};
	_cleanup_buf_ struct buf fine = {0};
	_cleanup_buf_ struct buf large = {0};
	struct err err = {0};
	json_auto_t *root = NULL;

	(void)state;
	buf_adds(&deep, "{\"a\":");
	for (int i = 0; i < 1000000; i++)
		buf_adds(&deep, "[");
	expect_refused(&deep, "it is nested deeper than 32 levels");
	buf_adds(&wide, "{\"a\":[");
	for (int i = 0; i < 100001; i++)
		buf_adds(&wide, "1,");
	expect_refused(&wide, "it has more than 100000 values");
	/* Brackets in a string are none. */
	buf_adds(&fine, "{\"a\":\"\\\"");
	for (int i = 0; i < 1000; i++)
		buf_adds(&fine, "[{");
	buf_adds(&fine, "\"}");
	assert_int_equal(oci_json(fine.p, fine.len, &root, &err), 0);
	for (size_t i = 0; i <= OCI_MAX; i++)
		buf_add(&large, " ", 1);
	expect_refused(&large, "it has 4194305 bytes, at most 4194304 are read");
}

static void more_layers_than_can_be_are_refused(void **state)
{
	_cleanup_buf_ struct buf b = {0};
	struct oci_manifest m = {0};
	struct err err = {0};

	buf_adds(&b, HEAD CONFIG ",\"layers\":[" LAYER);
	for (unsigned i = 0; i < OCI_LAYERS_MAX; i++)
		buf_adds(&b, "," LAYER);
	buf_adds(&b, "]}");
	assert_int_equal(oci_read_manifest(*state, b.p, b.len, &m, &err), -1);
	assert_string_equal(err.msg, NO_MANIFEST "'layers' has 501 entries, at most 500 are read");
}

static struct oci_descriptor entry(const char *os, const char *architecture, const char *variant)
{
	return (struct oci_descriptor){.platform = {os, architecture, variant}};
}

static void chooses_what_runs_here(void **state)
{
	struct oci_descriptor v[] = {
		entry("linux", "arm64", NULL), entry("linux", "arm", "v6"),
		entry("linux", "arm", "v7"),   entry("linux", "arm", "v5"),
		entry("linux", "amd64", "v3"), entry("windows", "amd64", NULL),
		entry("linux", "amd64", NULL), entry("unknown", "unknown", NULL),
	};
	const struct oci_index index = {.manifests = v, .n = sizeof(v) / sizeof(v[0])};
	const struct {
		struct oci_platform want;
		size_t got;
	} cases[] = {
		{{"linux", "amd64", NULL}, 6}, {{"linux", "arm64", "v8"}, 0},
		{{"linux", "arm64", NULL}, 0}, {{"linux", "arm", "v7"}, 2},
		{{"linux", "arm", "v6"}, 1},
	};
	const struct oci_platform riscv = {"linux", "riscv64", NULL};
	const struct oci_descriptor *got = NULL;
	struct err err = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(oci_choose(&index, &cases[i].want, &got, &err), 0);
		assert_int_equal(got - v, cases[i].got);
	}
	assert_int_equal(oci_choose(&index, &riscv, &got, &err), -1);
	assert_string_equal(err.msg,
			    "there is no image for linux/riscv64 in it, but for: linux/arm64, "
			    "linux/arm/v6, linux/arm/v7, linux/arm/v5, linux/amd64/v3, "
			    "windows/amd64, linux/amd64, unknown/unknown");
}

static void one_that_does_not_say_is_for_all(void **state)
{
	struct oci_descriptor v[] = {entry(NULL, NULL, NULL), entry("linux", "s390x", NULL)};
	const struct oci_index index = {.manifests = v, .n = 2};
	const struct oci_index none = {0};
	struct oci_platform want = oci_platform_here();
	const struct oci_descriptor *got = NULL;
	struct err err = {0};

	(void)state;
	assert_string_equal(want.os, "linux");
	want.architecture = "amd64";
	assert_int_equal(oci_choose(&index, &want, &got, &err), 0);
	assert_ptr_equal(got, &v[0]);
	want.architecture = "s390x";
	assert_int_equal(oci_choose(&index, &want, &got, &err), 0);
	assert_ptr_equal(got, &v[1]);
	assert_int_equal(oci_choose(&none, &want, &got, &err), -1);
	assert_string_equal(err.msg, "there is no image in it");
}

static void an_index_goes_in_and_out(void **state)
{
	static const char text[] =
		"{\"manifests\":[{\"annotations\":{\"" OCI_NOTE_REF
		"\":\"a:1\"},\"digest\":\"sha256:" HEX "\",\"mediaType\":\"" OCI_MEDIA_MANIFEST
		"\",\"platform\":{\"architecture\":\"arm\",\"os\":\"linux\",\"variant\":\"v7\"},"
		"\"size\":3}],\"mediaType\":\"" OCI_MEDIA_INDEX "\",\"schemaVersion\":2}";
	_cleanup_buf_ struct buf b = {0};
	struct oci_index index = {0};
	struct err err = {0};

	if (oci_read_index(*state, text, strlen(text), &index, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(oci_pair(&index.manifests[0].annotations, OCI_NOTE_REF), "a:1");
	oci_write_index(&index, &b);
	assert_string_equal(b.p, text);
	assert_int_equal(oci_read_index(*state, MANIFEST, strlen(MANIFEST), &index, &err), -1);
	assert_string_equal(err.msg,
			    "cannot use the image's index: it is a manifest, not an index");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_a_manifest, begin, end),
		cmocka_unit_test_setup_teardown(writes_always_the_same, begin, end),
		cmocka_unit_test_setup_teardown(refuses_a_manifest, begin, end),
		cmocka_unit_test_setup_teardown(says_how_an_old_one_is_made_new, begin, end),
		cmocka_unit_test(transport_and_document_agree),
		cmocka_unit_test(only_whole_sha256_is_a_digest),
		cmocka_unit_test_setup_teardown(a_config_goes_in_and_out, begin, end),
		cmocka_unit_test_setup_teardown(nothing_and_null_are_the_same, begin, end),
		cmocka_unit_test(a_message_of_any_bytes_is_written),
		cmocka_unit_test_setup_teardown(refuses_a_config, begin, end),
		cmocka_unit_test(limits_come_first),
		cmocka_unit_test_setup_teardown(more_layers_than_can_be_are_refused, begin, end),
		cmocka_unit_test(chooses_what_runs_here),
		cmocka_unit_test(one_that_does_not_say_is_for_all),
		cmocka_unit_test_setup_teardown(an_index_goes_in_and_out, begin, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
