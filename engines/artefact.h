/*
 * artefact.h - the names of what an engine leaves on a target: one place for all of them.
 *
 * Used by the mysql engine to make them, by planning to look past them, and by the tidier
 * to recognize them. Pure.
 *
 * A copy of a table and the table that it replaced stand beside the original:
 *
 *     <beginning of the original's name>~sb_new_<16 hex digits of the apply>
 *     <beginning of the original's name>~sb_old_<16 hex digits of the apply>
 *     (sb_was_: a replaced table that only a person drops)
 *
 * At most 64 characters, and byte for byte *after* the original's name, as the cutover
 * needs it (RENAME takes its locks in the order of names): `~` comes after every letter,
 * digit, `_` and `$`; where a cut name would still come first, U+FFFD stands for `~`.
 * The digits say which apply it belongs to, so that nothing is ever dropped on the
 * strength of a pattern alone.
 *
 * A dropped table in quarantine: `_schemabot_drops`.`<UTC yyyymmddhhmmssmmm>_<table>`.
 */
#ifndef SB_ENGINES_ARTEFACT_H
#define SB_ENGINES_ARTEFACT_H

#include "core/base/err.h"
#include "core/base/mem.h"

#define ARTEFACT_STATE_SCHEMA "_schemabot_state" /* checkpoints */
#define ARTEFACT_DROPS_SCHEMA "_schemabot_drops" /* quarantined drops */

#define ARTEFACT_MAX_CHARS   64 /* of an identifier; both servers */
#define ARTEFACT_MAX_BYTES   (4 * ARTEFACT_MAX_CHARS)
#define ARTEFACT_APPLY_HEX   16
#define ARTEFACT_STAMP_CHARS 17 /* yyyymmddhhmmssmmm */

enum artefact_kind {
	ARTEFACT_SHADOW, /* "new": the copy that is to become the table */
	ARTEFACT_OLD,	 /* "old": the table that was replaced */
	ARTEFACT_KEPT,	 /* "was": the same, when it may have writes that the new one has
			    not: never dropped by us */
};

/* The name beside `table` for this apply, from ctx. NULL and SB_EENGINE when there is
 * none that sorts after the table's, or apply_id is not one of ours. */
char *artefact_name(TALLOC_CTX *ctx, const char *table, enum artefact_kind kind,
		    const char *apply_id, struct sb_err *err) MUST_CHECK;

struct artefact {
	enum artefact_kind kind;
	char table[ARTEFACT_MAX_BYTES + 1]; /* the original's name, or its beginning */
	bool cut;			    /* it may be only the beginning */
	char apply[ARTEFACT_APPLY_HEX +
		   7]; /* "apply-" and 16 digits: how its id begins */
};
/* False when the name is not of that form. */
bool artefact_parse(const char *name, struct artefact *out);

/* "<stamp>_<table>", cut to 64 characters, from ctx. */
char *artefact_drop_name(TALLOC_CTX *ctx, const char *stamp, const char *table);
/* Is it such a name? The stamp is a date that exists. */
bool artefact_drop_parse(const char *name);

#endif
