/*
 * findings.h - what the checks of one change report, before levels and debt are looked
 * at.
 *
 * Filled by unsafe.c (the difference) and lint_table.c (a table); read by lint.c.
 */
#ifndef SB_SCHEMA_FINDINGS_H
#define SB_SCHEMA_FINDINGS_H

#include "core/schema/rules.h"

enum subject { OF_TABLE, OF_COLUMN, OF_INDEX, OF_CONSTRAINT };

struct finding {
	enum rule_id rule;
	enum subject of;
	const char *name; /* of the subject */
	/* Debt is what the same rule said of the same subject. A name that is at fault
	 * itself is followed through no rename; a detail tells faults of one subject
	 * apart. */
	bool name_is_at_fault;
	const char *detail; /* "" = there can be but one */
	const char *message;
};

struct findings {
	TALLOC_CTX *ctx;
	struct finding *v;
	size_t n;
};

/* Append one; name and message are copied. The result may be changed until the next. */
struct finding *finding_add(struct findings *list, enum rule_id rule, enum subject of,
			    const char *name, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif
