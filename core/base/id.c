/*
 * id.c - identifiers and digests, over libcrypto. See id.h.
 */
#include "core/base/id.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "core/base/err.h"

static void to_hex(const unsigned char *bytes, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * n] = '\0';
}

char *id_new(TALLOC_CTX *ctx, const char *prefix)
{
	unsigned char bytes[16];
	char hex[2 * sizeof(bytes) + 1];

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		BUG("no random numbers to be had");
	to_hex(bytes, sizeof(bytes), hex);
	return mem_printf(ctx, "%s-%s", prefix, hex);
}

void sha256_hex(const void *bytes, size_t n, char out[SHA256_HEX_LEN + 1])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (EVP_Digest(bytes, n, digest, &len, EVP_sha256(), NULL) != 1 || len != 32)
		BUG("SHA-256 is not available");
	to_hex(digest, len, out);
}

bool equal_const_time(const void *a, const void *b, size_t n)
{
	return CRYPTO_memcmp(a, b, n) == 0;
}
