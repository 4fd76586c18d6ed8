/*
 * rules.h - the table of rules (rules.def), and what level each has.
 *
 * Read by lint.c, unsafe.c and the route that shows the rules. The configuration knows
 * the same ids (core/base/config_keys.c; a test compares the two).
 */
#ifndef SB_SCHEMA_RULES_H
#define SB_SCHEMA_RULES_H

#include "core/base/config.h"

enum rule_id {
#define RULE(id, scope, level, fix, what, why) RULE_##id,
#include "core/schema/rules.def"
#undef RULE
	N_RULES
};

enum rule_scope { SCOPE_LOSS, SCOPE_CHANGE, SCOPE_TABLE, SCOPE_NOTE };
enum rule_level { LEVEL_OFF, LEVEL_INFO, LEVEL_WARNING, LEVEL_ERROR };

struct rule {
	const char *id;
	enum rule_scope scope;
	enum rule_level level; /* when the configuration says nothing */
	const char *fix_type;  /* what kind of change would help; "" = none */
	const char *what;      /* what it finds: "a table is dropped" */
	const char *why;       /* why that matters and what to do: sentences */
};
extern const struct rule lint_rules[N_RULES];

/* NULL when there is none. */
const struct rule *rule_by_name(const char *id);

/* "off", "info", "warning", "error": a word of the configuration and of the API. */
const char *rule_level_name(enum rule_level level);

/* The level in effect under a database's configuration. What loses data is an error
 * whatever it says. */
enum rule_level rule_level(const struct rule *rule, const struct config_lint *lint,
			   size_t n_lint);

#endif
