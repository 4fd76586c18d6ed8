/*
 * load.h - desired files become tables: through the allow-list and a scratch schema.
 *
 * Called by plan.c for each namespace. The server parses; what it says about a file is an
 * entry in the plan's errors that names the file.
 */
#ifndef SB_SCHEMA_LOAD_H
#define SB_SCHEMA_LOAD_H

#include "core/schema/introspect.h"
#include "core/schema/schema.h"
#include "core/schema/scratch.h"

struct text_list {
	TALLOC_CTX *ctx;
	const char **v;
	size_t n;
};
void text_add(struct text_list *list, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

struct desired {
	struct table **v; /* ordered by name, byte-wise */
	size_t n;
	bool failed;		 /* a file was refused: v is not to be used */
	struct scratch *scratch; /* holds those tables that differ in text; NULL = none */
};

/*
 * Load the files of ns. A file that says what the live table's definition says is not
 * sent to the server: the live table stands for it. *out and the scratch schema belong to
 * ctx. What is wrong with a file goes to errors, also that it took too long, or came
 * after `until` (clock_ms); -1 is about the server (SB_ERETRY, SB_EENGINE).
 */
int load_files(TALLOC_CTX *ctx, struct db *work, struct db *keeper,
	       const struct schema_namespace *ns, const struct schema_view *live,
	       int64_t until, struct text_list *errors, struct desired **out,
	       struct sb_err *err) MUST_CHECK;

/* Is a failed statement its own fault (and not the server's, or a missing privilege)? */
bool is_statement_fault(const struct sb_err *err);
/* Did a statement begun at `started` (clock_ms) cost the connection for taking too long?
 */
bool took_too_long(const struct db *work, int64_t started);

#endif
