/*
 * The low-level functions, although OpenSSL 3 calls them deprecated: they need
 * two objects of the static archive.  EVP needs all of libcrypto, whose set-up
 * costs more than a warm `sbx run`.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "base/digest.h"

#include <stdlib.h>

#include <openssl/sha.h>

#include "base/mem.h"
#include "base/worker.h"

struct digest {
	SHA256_CTX ctx;
	struct worker *worker; /* the thread that hashes, or NULL */
};

static void update(void *ctx, const void *p, size_t n)
{
	struct digest *d = ctx;

	(void)SHA256_Update(&d->ctx, p, n);
}

struct digest *digest_new(void)
{
	struct digest *d = xmalloc(sizeof(*d));

	d->worker = NULL;
	(void)SHA256_Init(&d->ctx);
	return d;
}

struct digest *digest_new_beside(void)
{
	struct digest *d = digest_new();

	d->worker = worker_new(update, d);
	return d;
}

void digest_add(struct digest *d, const void *p, size_t n)
{
	if (d->worker)
		worker_add(d->worker, p, n);
	else
		update(d, p, n);
}

void digest_end(struct digest *d, char ret_hex[DIGEST_HEX + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[SHA256_DIGEST_LENGTH];

	worker_end(&d->worker);
	(void)SHA256_Final(raw, &d->ctx);
	for (size_t i = 0; i < sizeof(raw); i++) {
		ret_hex[2 * i] = hex[raw[i] >> 4];
		ret_hex[2 * i + 1] = hex[raw[i] & 15];
	}
	ret_hex[DIGEST_HEX] = '\0';
	free(d);
}

void digest_free(struct digest **d)
{
	if (!d || !*d)
		return;
	worker_end(&(*d)->worker);
	free(*d);
	*d = NULL;
}

void digest_sha256(const void *p, size_t n, char ret_hex[DIGEST_HEX + 1])
{
	struct digest *d = digest_new();

	digest_add(d, p, n);
	digest_end(d, ret_hex);
}
