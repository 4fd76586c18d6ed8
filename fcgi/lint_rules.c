/*
 * lint_rules.c - GET /api/lint-rules: the rules that plans are judged by, and what level
 * each has for every database.
 */
#include "core/schema/rules.h"
#include "fcgi/handlers.h"

static const char *scope_name(enum rule_scope scope)
{
	switch (scope) {
	case SCOPE_LOSS:
		return "loss";
	case SCOPE_CHANGE:
		return "change";
	case SCOPE_TABLE:
		return "table";
	case SCOPE_NOTE:
		break;
	}
	return "note";
}

static struct json_object *rule_json(const struct config *config, const struct rule *rule)
{
	struct json_object *o = js_object(), *databases = js_object();

	for (size_t i = 0; i < config->n_databases; i++) {
		const struct config_database *d = &config->databases[i];

		js_str(databases, d->name,
		       rule_level_name(rule_level(rule, d->lint, d->n_lint)));
	}
	js_str(o, "linter", rule->id);
	js_str(o, "scope", scope_name(rule->scope));
	js_str(o, "severity", rule_level_name(rule->level));
	js_bool(o, "configurable", rule->scope != SCOPE_LOSS);
	js_str(o, "message", rule->what);
	js_str(o, "documentation", rule->why);
	js_str(o, "fix_type", rule->fix_type);
	js_add(o, "databases", databases);
	return o;
}

int lint_rules_read(struct app *app, const struct request *req, struct reply *reply,
		    struct sb_err *err)
{
	struct json_object *o = js_object(), *list = js_array();

	(void)req;
	(void)err;
	for (size_t i = 0; i < N_RULES; i++)
		js_push(list, rule_json(app->config, &lint_rules[i]));
	js_add(o, "rules", list);
	return reply_json(reply, 200, o);
}
