/*
 * options.h - table options: which a file may use, and how one is taken back.
 *
 * Read by allow.c (may it stand in a file?), reader.c (what is it called?) and diff.c
 * (it is gone: which clause undoes it?).
 */
#ifndef SB_SCHEMA_OPTIONS_H
#define SB_SCHEMA_OPTIONS_H

#include "core/schema/token.h"

struct table_option {
	const char *name; /* as SHOW CREATE prints it */
	const char
		*reset; /* the value that undoes it in an ALTER; NULL = there is none */
	const char *refused; /* why a file may not use it; NULL = it may */
};

extern const struct table_option table_options[];
extern const size_t n_table_options;

/*
 * Read the option whose first token is i. Returns the index after its value, or 0 when
 * no option that is known begins there. *value is the range of the value's tokens.
 */
size_t option_read(const struct tokens *t, size_t i, const struct table_option **option,
		   size_t *value, size_t *value_end);

const struct table_option *option_by_name(const char *name);

/* May a table of ours be stored by this engine? */
bool storage_engine_allowed(const char *name);

#endif
