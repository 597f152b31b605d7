#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/mem.h"
#include "base/worker.h"

#define LENGTH ((size_t)9 << 20)

struct seen {
	unsigned char *p;
	size_t n;
	pthread_t who;
	sigset_t blocked;
};

static void take(void *ctx, const void *p, size_t n)
{
	struct seen *seen = ctx;

	memcpy(seen->p + seen->n, p, n);
	seen->n += n;
	seen->who = pthread_self();
	(void)pthread_sigmask(SIG_SETMASK, NULL, &seen->blocked);
}

static unsigned char *some_bytes(size_t n)
{
	unsigned char *p = xmalloc(n);
	unsigned x = 1;

	for (size_t i = 0; i < n; i++) {
		x = x * 1103515245 + 12345;
		p[i] = (unsigned char)(x >> 16);
	}
	return p;
}

/* Pieces of every size, more than all blocks together hold. */
static void in_order_and_whole(void **state)
{
	unsigned char *bytes = some_bytes(LENGTH);
	struct seen seen = {.p = xmalloc(LENGTH)};
	struct worker *b = worker_new(take, &seen);
	size_t size = 1;

	(void)state;
	assert_non_null(b);
	for (size_t at = 0; at < LENGTH;) {
		size_t n = size < LENGTH - at ? size : LENGTH - at;

		worker_add(b, bytes + at, n);
		at += n;
		size = size * 7 % 300007;
	}
	worker_add(b, bytes, 0);
	worker_end(&b);
	assert_null(b);
	assert_int_equal(seen.n, LENGTH);
	assert_memory_equal(seen.p, bytes, LENGTH);
	assert_false(pthread_equal(seen.who, pthread_self()));
	assert_true(sigismember(&seen.blocked, SIGTERM));
	free(seen.p);
	free(bytes);
}

static void nothing_at_all(void **state)
{
	struct seen seen = {0};
	struct worker *b = worker_new(take, &seen);

	(void)state;
	worker_end(&b);
	worker_end(&b);
	worker_end(NULL);
	assert_int_equal(seen.n, 0);
}

static void the_digest_is_the_same(void **state)
{
	unsigned char *bytes = some_bytes(LENGTH);
	struct digest *d = digest_new_beside();
	_cleanup_digest_ struct digest *let_go = digest_new_beside();
	char x[DIGEST_HEX + 1];
	char y[DIGEST_HEX + 1];

	(void)state;
	for (size_t at = 0; at < LENGTH; at += LENGTH / 8)
		digest_add(d, bytes + at, LENGTH / 8);
	digest_add(let_go, bytes, LENGTH);
	digest_end(d, x);
	digest_sha256(bytes, LENGTH, y);
	assert_string_equal(x, y);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order_and_whole),
		cmocka_unit_test(nothing_at_all),
		cmocka_unit_test(the_digest_is_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
