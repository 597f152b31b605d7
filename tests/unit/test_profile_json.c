#include <stdlib.h>

#include <jansson.h>

#include "cli/profile_json.h"
#include "profile_world.h"

/* Both as JSON with sorted keys, so that a difference is shown as text. */
static void assert_json(const char *profile, const char *expected)
{
	_cleanup_arena_ struct arena *a = arena_new();
	json_auto_t *got = profile_json(profile_of(a, profile));
	json_auto_t *want = json_loads(expected, 0, NULL);

	assert_non_null(got);
	assert_non_null(want);
	if (json_equal(got, want))
		return;

	char *x = json_dumps(got, JSON_INDENT(1) | JSON_SORT_KEYS);
	char *y = json_dumps(want, JSON_INDENT(1) | JSON_SORT_KEYS);

	assert_string_equal(x, y);
}

#define SHARED_NOTHING                                                                          \
	"\"share\": {\"ssh-agent\": false, \"git\": false, \"wayland\": false, \"x11\": false," \
	"           \"gpu\": false},"

static void test_defaults(void **state)
{
	(void)state;
	assert_json(
		"",
		"{\"name\": null, \"files\": [\"sbx.ini\"], \"base\": {\"image\": \"host\"},"
		"\"user\": {\"as\": \"self\"}, \"env\": {\"pass\": [], \"set\": {}},"
		"\"mounts\": [],"
		"\"network\": {\"mode\": \"slirp\", \"driver\": \"auto\", \"ports\": []},"
		"\"limits\": {\"memory\": null, \"millicpus\": null, \"pids\": null,"
		"             \"best-effort\": false},"
		"\"security\": {\"seccomp\": \"default\", \"nested\": false}," SHARED_NOTHING
		"\"build\": [], \"commit\": {\"exclude\": []}, \"sandbox\": {\"linger_ms\": 30000}}");
}

static void test_everything(void **state)
{
	(void)state;
	assert_json(
		PROFILE_EVERYTHING,
		"{\"name\": \"thesis\", \"files\": [\"sbx.ini\"],"
		"\"base\": {\"image\": \"registry.example/library/debian:12\"},"
		"\"user\": {\"as\": \"root\"},"
		"\"env\": {\"pass\": [\"LANG\", \"TERM\", \"COLORTERM\"],"
		"          \"set\": {\"PYTHONUTF8\": \"1\", \"OPTS\": \"a=b;c # d\"}},"
		"\"mounts\": ["
		"  {\"host\": \"~/data\", \"inside\": \"/data\", \"writable\": false},"
		"  {\"host\": \"./with space, comma:colon\", \"inside\": \"/a b\", \"writable\": true},"
		"  {\"host\": \"/odd = \\\"x\\\" ;y\\\\\", \"inside\": \"/odd/path\","
		"   \"writable\": false}],"
		"\"network\": {\"mode\": \"none\", \"driver\": \"pasta\", \"ports\": ["
		"  {\"address\": \"127.0.0.1\", \"host\": 8888, \"inside\": 8888, \"protocol\": \"tcp\"},"
		"  {\"address\": \"0.0.0.0\", \"host\": 80, \"inside\": 8080, \"protocol\": \"tcp\"},"
		"  {\"address\": \"::1\", \"host\": 81, \"inside\": 81, \"protocol\": \"tcp\"}]},"
		"\"limits\": {\"memory\": 4294967296, \"millicpus\": 500, \"pids\": 512,"
		"             \"best-effort\": true},"
		"\"security\": {\"seccomp\": \"strict\", \"nested\": true}," SHARED_NOTHING
		"\"build\": [{\"run\": \"apt-get update && apt-get install -y build-essential\"},"
		"            {\"run\": \"a; b\"}],"
		"\"commit\": {\"exclude\": [\"/var/cache/a b;c/**/[!x]*.deb\", \"__pycache__/\"]},"
		"\"sandbox\": {\"linger_ms\": 1500}}");
}

/* What stands before ':' is shown again, whatever kind it is. */
static void test_images(void **state)
{
	static const char hex[] =
		"0123456701234567012345670123456701234567012345670123456701234567";
	_cleanup_arena_ struct arena *a = arena_new();
	const char *const images[] = {
		"host",
		"dir:./a b",
		"tar:~/root.tar",
		"oci:/x:y",
		arena_printf(a, "layer:%s", hex),
		"localhost/a",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		json_auto_t *o = profile_json(
			profile_of(a, arena_printf(a, "[base]\nimage = %s\n", images[i])));
		const json_t *image = json_object_get(json_object_get(o, "base"), "image");

		assert_string_equal(json_string_value(image), images[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
