#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/mem.h"

static void known_answers(void **state)
{
	_cleanup_arena_ struct arena *a = arena_new();
	char hex[DIGEST_HEX + 1];
	char *million = arena_alloc(a, 1000000);

	(void)state;
	/* FIPS 180-4's examples. */
	digest_sha256("", 0, hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb924"
				 "27ae41e4649b934ca495991b7852b855");
	digest_sha256("abc", 3, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
				 "b00361a396177a9cb410ff61f20015ad");
	memset(million, 'a', 1000000);
	digest_sha256(million, 1000000, hex);
	assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67"
				 "f1809a48a497200e046d39ccc7112cd0");
}

static void bytes_behind_a_nul_count(void **state)
{
	char x[DIGEST_HEX + 1];
	char y[DIGEST_HEX + 1];

	(void)state;
	digest_sha256("a\0b", 3, x);
	digest_sha256("a\0c", 3, y);
	assert_string_not_equal(x, y);
}

static void pieces_give_the_same(void **state)
{
	_cleanup_digest_ struct digest *unused = digest_new();
	struct digest *d = digest_new();
	char x[DIGEST_HEX + 1];
	char y[DIGEST_HEX + 1];

	(void)state;
	(void)unused;
	digest_add(d, "ab", 2);
	digest_add(d, "", 0);
	digest_add(d, "c", 1);
	digest_end(d, x);
	digest_sha256("abc", 3, y);
	assert_string_equal(x, y);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers),
		cmocka_unit_test(bytes_behind_a_nul_count),
		cmocka_unit_test(pieces_give_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
