/*
 * printed.h - what SHOW CREATE TABLE printed, made fit to be kept, compared and executed.
 *
 * Called by reader.c before it takes the text apart.
 */
#ifndef SB_SCHEMA_PRINTED_H
#define SB_SCHEMA_PRINTED_H

#include <stdint.h>

#include "core/schema/token.h"

/*
 * The statement without its AUTO_INCREMENT value, which is data and changes with every
 * INSERT, and with bytes that are no UTF-8 (MariaDB prints defaults of BINARY columns as
 * they are) as X'00ff', which every server reads and JSON can carry. *counter is the
 * value that was cut out, 0 = there was none. `t` are the tokens of sql.
 */
char *printed_clean(TALLOC_CTX *ctx, const char *sql, const struct tokens *t,
		    uint64_t *counter);

/* The value of the table's AUTO_INCREMENT option in a statement; 0 = none. */
uint64_t printed_counter(const struct tokens *t);

#endif
