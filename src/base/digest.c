/*
 * The low-level functions, although OpenSSL 3 calls them deprecated: they need
 * two objects of the static archive.  EVP needs all of libcrypto, whose set-up
 * costs more than a warm `sbx run`.
 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "base/digest.h"

#include <openssl/sha.h>

void digest_sha256(const void *p, size_t n, char ret_hex[DIGEST_HEX + 1])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[SHA256_DIGEST_LENGTH];
	SHA256_CTX ctx;

	(void)SHA256_Init(&ctx);
	(void)SHA256_Update(&ctx, p, n);
	(void)SHA256_Final(raw, &ctx);
	for (size_t i = 0; i < sizeof(raw); i++) {
		ret_hex[2 * i] = hex[raw[i] >> 4];
		ret_hex[2 * i + 1] = hex[raw[i] & 15];
	}
	ret_hex[DIGEST_HEX] = '\0';
}
