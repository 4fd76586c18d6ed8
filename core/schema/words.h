/*
 * words.h - words that cannot be a name without quotes.
 *
 * Used by lint_table.c.
 */
#ifndef SB_SCHEMA_WORDS_H
#define SB_SCHEMA_WORDS_H

#include <stdbool.h>

/* Where the word is reserved: "MySQL", "MariaDB" or "MySQL and MariaDB". NULL = nowhere.
 */
const char *word_reserved_in(const char *word);

#endif
