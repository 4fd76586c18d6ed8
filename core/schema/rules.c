/*
 * rules.c - see rules.h.
 */
#include "core/schema/rules.h"

#include <string.h>

const struct rule lint_rules[N_RULES] = {
#define RULE(id, scope, level, fix, what, why) \
	{ #id, SCOPE_##scope, LEVEL_##level, fix, what, why },
#include "core/schema/rules.def"
#undef RULE
};

static const char *const levels[] = { "off", "info", "warning", "error" };

const struct rule *rule_by_name(const char *id)
{
	for (size_t i = 0; i < N_RULES; i++)
		if (strcmp(lint_rules[i].id, id) == 0)
			return &lint_rules[i];
	return NULL;
}

const char *rule_level_name(enum rule_level level)
{
	return levels[level];
}

enum rule_level rule_level(const struct rule *rule, const struct config_lint *lint,
			   size_t n_lint)
{
	if (rule->scope == SCOPE_LOSS)
		return LEVEL_ERROR;
	for (size_t i = 0; i < n_lint; i++) {
		if (strcmp(lint[i].rule, rule->id) != 0)
			continue;
		for (size_t k = 0; k < ARRAY_SIZE(levels); k++)
			if (strcmp(lint[i].level, levels[k]) == 0)
				return (enum rule_level)k;
	}
	return rule->level;
}
