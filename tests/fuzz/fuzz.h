/*
 * fuzz.h - what the fuzzers share: a check that ends the process with a stack.
 *
 * A fuzzer is a function that libFuzzer calls with bytes. What must hold is said with
 * MUST(); reading beyond the input and undefined behaviour are found by the sanitizers,
 * which is why the input is copied to a block of exactly its size.
 */
#ifndef SB_TESTS_FUZZ_H
#define SB_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/mem.h"

#define MUST(condition)                                                               \
	do {                                                                          \
		if (!(condition)) {                                                   \
			fprintf(stderr, "%s:%d: must hold: %s\n", __FILE__, __LINE__, \
				#condition);                                          \
			abort();                                                      \
		}                                                                     \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as text: up to its first zero byte, in a block that ends with it. Free it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, 0, size);
	size_t n = end ? (size_t)(end - data) : size;
	char *text = malloc(n + 1);

	if (!text)
		abort();
	memcpy(text, data, n);
	text[n] = '\0';
	return text;
}

#endif
