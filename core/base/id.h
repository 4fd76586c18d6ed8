/*
 * id.h - identifiers, digests and comparisons that must not leak time.
 */
#ifndef SB_BASE_ID_H
#define SB_BASE_ID_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/mem.h"

#define SHA256_HEX_LEN 64

/* "<prefix>-<32 hex digits>" from the kernel's random source; aborts without one. */
char *id_new(TALLOC_CTX *ctx, const char *prefix);
/* Lower-case hex SHA-256 of n bytes. */
void sha256_hex(const void *bytes, size_t n, char out[SHA256_HEX_LEN + 1]);
/* Compares in time that depends on n only. */
bool equal_const_time(const void *a, const void *b, size_t n);

#endif
