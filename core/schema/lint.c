/*
 * lint.c - the lint rules, as a table; see lint.h.
 *
 * Errors are what SEMANTICS H counts as unsafe: no primary key, one of an inexact type,
 * foreign keys, odd names. A rule reports through report(); it never sees the live table.
 */
#include "core/schema/lint.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

struct rule {
	const char *linter, *severity;
	const char *fix_type; /* what kind of change would help */
	void (*check)(struct lint_list *list, const struct rule *rule,
		      const struct table *t);
};

static void report(struct lint_list *list, const struct rule *rule, const struct table *t,
		   const char *column, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

static void report(struct lint_list *list, const struct rule *rule, const struct table *t,
		   const char *column, const char *fmt, ...)
{
	va_list ap;

	list->v = mem_grow(list->ctx, list->v, struct schema_lint, list->n + 1);
	va_start(ap, fmt);
	list->v[list->n++] = (struct schema_lint){
		.message = mem_vprintf(list->ctx, fmt, ap),
		.table = mem_strdup(list->ctx, t->name),
		.column = mem_strdup(list->ctx, column),
		.linter = rule->linter,
		.severity = rule->severity,
		.fix_type = rule->fix_type,
	};
	va_end(ap);
}

/* ---- the rules -------------------------------------------------------------------- */

static void no_primary_key(struct lint_list *list, const struct rule *r,
			   const struct table *t)
{
	if (!table_primary_key(t))
		report(list, r, t, "",
		       "table `%s` has no primary key: its rows cannot be told apart, and "
		       "online changes and replication need that",
		       t->name);
}

static void primary_key_type(struct lint_list *list, const struct rule *r,
			     const struct table *t)
{
	static const char *const inexact[] = { "float", "double", "bit" };
	const struct table_index *pk = table_primary_key(t);

	for (size_t i = 0; pk && i < pk->n_parts; i++) {
		const struct table_column *c =
			pk->parts[i].column ? table_column(t, pk->parts[i].column) : NULL;

		for (size_t k = 0; c && k < ARRAY_SIZE(inexact); k++)
			if (strcmp(c->type, inexact[k]) == 0)
				report(list, r, t, c->name,
				       "column `%s` of the primary key is of type %s, which is "
				       "not compared exactly by every client",
				       c->name, c->type);
	}
}

static void foreign_key(struct lint_list *list, const struct rule *r,
			const struct table *t)
{
	for (size_t i = 0; i < t->n_constraints; i++)
		if (t->constraints[i].kind == CONSTRAINT_FOREIGN_KEY)
			report(list, r, t, "",
			       "foreign key `%s` ties changes of table `%s` to table `%s`: "
			       "online changes of either are not possible",
			       t->constraints[i].name, t->name, t->constraints[i].parent);
}

static bool is_odd(const char *name)
{
	if (isdigit((unsigned char)*name))
		return true;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && *name != '_' && *name != '$')
			return true;
	return false;
}

static void odd_name(struct lint_list *list, const struct rule *r, const struct table *t)
{
	static const char advice[] =
		"needs quoting everywhere: use letters, digits and _";

	if (is_odd(t->name))
		report(list, r, t, "", "table name `%s` %s", t->name, advice);
	for (size_t i = 0; i < t->n_columns; i++)
		if (is_odd(t->columns[i].name))
			report(list, r, t, t->columns[i].name, "column name `%s` %s",
			       t->columns[i].name, advice);
	for (size_t i = 0; i < t->n_indexes; i++)
		if (is_odd(t->indexes[i].name))
			report(list, r, t, "", "index name `%s` %s", t->indexes[i].name,
			       advice);
}

static bool is_narrow(const char *charset)
{
	return charset && *charset && strcasecmp(charset, "utf8mb4") != 0 &&
	       strcasecmp(charset, "binary") != 0;
}

static void character_set(struct lint_list *list, const struct rule *r,
			  const struct table *t)
{
	if (is_narrow(t->charset))
		report(list, r, t, "",
		       "table `%s` has the default character set %s, which cannot hold every "
		       "character: use utf8mb4",
		       t->name, t->charset);
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];

		if (is_narrow(c->charset) && strcasecmp(c->charset, t->charset) != 0)
			report(list, r, t, c->name,
			       "column `%s` has the character set %s, which cannot hold every "
			       "character: use utf8mb4",
			       c->name, c->charset);
	}
}

/* Is `x` the beginning of `y`, so that y serves everything x does? */
static bool begins(const struct table_index *x, const struct table_index *y)
{
	if (x == y || x->kind != INDEX_PLAIN || y->kind > INDEX_PLAIN || !y->visible ||
	    x->n_parts > y->n_parts)
		return false;
	for (size_t i = 0; i < x->n_parts; i++)
		if (!same_name(x->parts[i].text, y->parts[i].text))
			return false;
	/* Of two equal ones the later is the redundant one. */
	return x->n_parts < y->n_parts || y->kind < INDEX_PLAIN || x > y;
}

static void redundant_index(struct lint_list *list, const struct rule *r,
			    const struct table *t)
{
	for (size_t i = 0; i < t->n_indexes; i++)
		for (size_t k = 0; k < t->n_indexes; k++)
			if (begins(&t->indexes[i], &t->indexes[k])) {
				report(list, r, t, "",
				       "index `%s` is the beginning of index `%s`: every write "
				       "pays for both",
				       t->indexes[i].name, t->indexes[k].name);
				break;
			}
}

static void storage_engine(struct lint_list *list, const struct rule *r,
			   const struct table *t)
{
	if (strcasecmp(t->engine, "InnoDB") != 0)
		report(list, r, t, "",
		       "table `%s` is stored by %s, which has no transactions like InnoDB's",
		       t->name, t->engine);
}

static void zero_date(struct lint_list *list, const struct rule *r, const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];

		if (c->default_value && strncmp(c->default_value, "'0000-00-00", 11) == 0)
			report(list, r, t, c->name,
			       "column `%s` has a date that does not exist as its default, which "
			       "strict servers refuse",
			       c->name);
	}
}

static void small_counter(struct lint_list *list, const struct rule *r,
			  const struct table *t)
{
	for (size_t i = 0; i < t->n_columns; i++) {
		const struct table_column *c = &t->columns[i];

		if (c->auto_increment &&
		    (strcmp(c->type, "tinyint") == 0 || strcmp(c->type, "smallint") == 0))
			report(list, r, t, c->name,
			       "column `%s` numbers rows with a %s, which is soon used up",
			       c->name, c->type);
	}
}

static void comment_characters(struct lint_list *list, const struct rule *r,
			       const struct table *t)
{
	if (t->wide_text)
		report(list, r, t, "",
		       "a comment in table `%s` has characters above U+FFFF (such as emoji), "
		       "which servers keep as \"?\"",
		       t->name);
}

static const struct rule rules[] = {
	{ "no_primary_key", "error", "add_primary_key", no_primary_key },
	{ "primary_key_type", "error", "change_type", primary_key_type },
	{ "foreign_key", "error", "drop_foreign_key", foreign_key },
	{ "odd_name", "error", "rename", odd_name },
	{ "character_set", "warning", "convert_charset", character_set },
	{ "redundant_index", "warning", "drop_index", redundant_index },
	{ "storage_engine", "warning", "change_engine", storage_engine },
	{ "zero_date", "warning", "change_default", zero_date },
	{ "comment_characters", "warning", "change_comment", comment_characters },
	{ "small_counter", "warning", "change_type", small_counter },
};

/* ---- what is new ------------------------------------------------------------------ */

static void check(struct lint_list *list, const struct table *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		rules[i].check(list, &rules[i], t);
}

static bool contains(const struct lint_list *list, const struct schema_lint *entry)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->v[i].linter, entry->linter) == 0 &&
		    strcmp(list->v[i].message, entry->message) == 0)
			return true;
	return false;
}

size_t lint_change(struct lint_list *list, const struct table *from,
		   const struct table *to, const char **first)
{
	struct lint_list old = { .ctx = mem_ctx(NULL, "lint of the live table") };
	struct lint_list new = { .ctx = list->ctx };
	size_t errors = 0;

	*first = NULL;
	if (from)
		check(&old, from);
	check(&new, to);
	for (size_t i = 0; i < new.n; i++) {
		if (contains(&old, &new.v[i]))
			continue;
		list->v = mem_grow(list->ctx, list->v, struct schema_lint, list->n + 1);
		list->v[list->n++] = new.v[i];
		if (strcmp(new.v[i].severity, "error") == 0 && errors++ == 0)
			*first = new.v[i].message;
	}
	talloc_free(old.ctx);
	return errors;
}

void lint_add(struct lint_list *list, const char *linter, const char *severity,
	      const char *table, const char *column, const char *message)
{
	list->v = mem_grow(list->ctx, list->v, struct schema_lint, list->n + 1);
	list->v[list->n++] = (struct schema_lint){
		.message = mem_strdup(list->ctx, message),
		.table = mem_strdup(list->ctx, table),
		.column = mem_strdup(list->ctx, column),
		.linter = linter,
		.severity = severity,
		.fix_type = "",
	};
}
