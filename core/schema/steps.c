/*
 * steps.c - from two schemas to statements in order; see steps.h.
 *
 * The order: tables are renamed; foreign keys that are in the way of something are
 * dropped; tables are created and altered, parents before children where it matters;
 * foreign keys that close a circle are added; tables are dropped, children first.
 */
#include "core/schema/steps.h"

#include <string.h>

#include "core/schema/bonds.h"
#include "core/schema/ddl.h"
#include "core/schema/order.h"
#include "core/schema/stages.h"

struct maker {
	TALLOC_CTX *ctx;
	const char *namespace;
	const struct schema_view *live;
	const struct desired *desired;
	const struct renames *renames; /* all */
	struct refusal_list *refused;
	struct renames tables, columns; /* in this order, one after the other */
	struct change *v;
	size_t n;
	struct steps *out;
};

/* ---- what differs ----------------------------------------------------------------- */

static bool same_table(const struct maker *m, const char *a, const char *b)
{
	return m->live->fold_case ? same_name(a, b) : strcmp(a, b) == 0;
}

static const struct table *desired_table(const struct maker *m, const char *name)
{
	if (!m->live->fold_case)
		return tables_find(m->desired->v, m->desired->n, name);
	for (size_t i = 0; i < m->desired->n; i++)
		if (same_name(m->desired->v[i]->name, name))
			return m->desired->v[i];
	return NULL;
}

/* A rename of tables, then one of columns of tables that have their new names. */
static void split_renames(struct maker *m)
{
	const struct renames *r = m->renames;

	m->tables = m->columns = *r;
	m->tables.v = mem_array(m->ctx, struct table_rename, r->n + 1);
	m->columns.v = mem_array(m->ctx, struct table_rename, r->n + 1);
	m->tables.n = m->columns.n = 0;
	for (size_t i = 0; i < r->n; i++) {
		struct table_rename table = r->v[i], columns = r->v[i];

		table.n_columns = 0;
		columns.old = columns.new;
		if (strcmp(table.old, table.new) != 0)
			m->tables.v[m->tables.n++] = table;
		if (columns.n_columns > 0)
			m->columns.v[m->columns.n++] = columns;
	}
}

static bool is_renamed(const struct change *c)
{
	return c->live && c->moved && strcmp(c->live->name, c->moved->name) != 0;
}

static struct table_diff *compare(struct maker *m, const struct table *from,
				  const struct table *to, struct refusal_list *refused)
{
	struct table_diff *d = diff_tables(m->ctx, from, to);

	if (m->refused)
		additive_filter(d, m->namespace, m->renames->flavor, refused);
	return d;
}

static void add_change(struct maker *m, const struct table *live,
		       const struct table *desired)
{
	struct change c = { .live = live, .desired = desired };
	size_t refused = m->refused ? m->refused->n : 0;

	if (m->refused && !desired) {
		additive_keep_table(m->refused, m->namespace, live->name);
		return;
	}
	if (live) {
		c.moved = rewrite_renamed(m->ctx, live, &m->tables);
		c.base = rewrite_renamed(m->ctx, c.moved, &m->columns);
		c.early = mem_array(m->ctx, bool, live->n_constraints + 1);
	}
	if (c.base == desired)
		return;
	if (live && desired) {
		c.diff = compare(m, c.base, desired, m->refused);
		c.partial = m->refused && m->refused->n > refused;
		if (c.diff->n == 0 && !c.diff->inexpressible && !is_renamed(&c))
			return;
	}
	c.name = desired ? desired->name : live->name;
	if (desired)
		c.late = mem_array(m->ctx, bool, desired->n_constraints + 1);
	m->v[m->n++] = c;
}

/* The live table that becomes the desired one of this name. */
static const struct table *live_table(const struct maker *m, const char *name)
{
	for (size_t i = 0; i < m->tables.n; i++)
		if (same_table(m, m->tables.v[i].new, name))
			return view_table(m->live, m->tables.v[i].old);
	return view_table(m->live, name);
}

static bool goes_on(const struct maker *m, const struct table *live)
{
	for (size_t i = 0; i < m->tables.n; i++)
		if (same_table(m, m->tables.v[i].old, live->name))
			return true;
	return desired_table(m, live->name) != NULL;
}

/* Created, altered, dropped; each kind by name. */
static void find_changes(struct maker *m)
{
	const struct desired *d = m->desired;

	m->v = mem_array(m->ctx, struct change, d->n + m->live->n + 1);
	for (size_t i = 0; i < d->n; i++)
		if (!live_table(m, d->v[i]->name))
			add_change(m, NULL, d->v[i]);
	for (size_t i = 0; i < d->n; i++)
		if (live_table(m, d->v[i]->name))
			add_change(m, live_table(m, d->v[i]->name), d->v[i]);
	for (size_t i = 0; i < m->live->n; i++)
		if (!goes_on(m, m->live->v[i]))
			add_change(m, m->live->v[i], NULL);
}

/* The change of the table that a foreign key refers to, or NULL. */
static struct change *parent_of(const struct maker *m, const struct table_constraint *f)
{
	for (size_t i = 0; !f->parent_schema && i < m->n; i++)
		if (same_table(m, m->v[i].name, f->parent))
			return &m->v[i];
	return NULL;
}

static bool is_foreign_key(const struct table_constraint *f)
{
	return f->kind == CONSTRAINT_FOREIGN_KEY && !f->parent_schema;
}

/* ---- foreign keys that go first ------------------------------------------------------
 */

static void find_early(struct maker *m)
{
	for (size_t i = 0; i < m->n; i++) {
		struct change *c = &m->v[i];

		for (size_t k = 0; !m->refused && c->base && k < c->base->n_constraints;
		     k++)
			c->early[k] =
				is_foreign_key(&c->base->constraints[k]) &&
				bond_goes_first(c, parent_of(m, &c->base->constraints[k]),
						&c->base->constraints[k]);
	}
}

/* ---- parents before children --------------------------------------------------------
 */

/* The change before which f cannot be added, or NULL. */
static const struct change *waits_for(const struct maker *m, const struct change *c,
				      const struct table_constraint *f)
{
	const struct change *parent = is_foreign_key(f) ? parent_of(m, f) : NULL;

	if (!parent || parent == c || !bond_is_added(c, parent, f) ||
	    bond_is_ready(parent, f))
		return NULL;
	return parent;
}

static void find_parents(const struct maker *m, struct change *c)
{
	c->behind = mem_array(m->ctx, size_t, c->desired->n_constraints + 1);
	c->n_behind = 0;
	for (size_t i = 0; i < c->desired->n_constraints; i++) {
		const struct change *parent =
			waits_for(m, c, &c->desired->constraints[i]);

		if (parent && parent->desired && !c->late[i])
			c->behind[c->n_behind++] = (size_t)(parent - m->v);
	}
}

/* A foreign key to the table itself needs its column to be there already (MariaDB), and
 * any needs the table's partitions to be gone. */
static void find_late(const struct maker *m, struct change *c)
{
	for (size_t i = 0; c->base && i < c->desired->n_constraints; i++) {
		const struct table_constraint *f = &c->desired->constraints[i];

		const struct change *parent;

		if (!is_foreign_key(f))
			continue;
		parent = parent_of(m, f);
		c->late[i] = bond_is_added(c, parent, f) &&
			     (bond_partitions_come(c->desired, c->base) ||
			      (parent == c && !bond_is_ready(c, f)));
	}
}

static bool may_be_placed(const struct maker *m, const struct change *c)
{
	for (size_t i = 0; i < c->n_behind; i++)
		if (!m->v[c->behind[i]].placed)
			return false;
	return true;
}

/* Does c wait for itself? seen: what was looked at. */
static bool in_circle(const struct maker *m, const struct change *c, size_t self,
		      bool *seen)
{
	for (size_t i = 0; i < c->n_behind; i++) {
		size_t next = c->behind[i];

		if (m->v[next].placed || seen[next])
			continue;
		if (next == self)
			return true;
		seen[next] = true;
		if (in_circle(m, &m->v[next], self, seen))
			return true;
	}
	return false;
}

/* Nothing may be placed: the first table in a circle adds its foreign keys later. */
static void break_circle(struct maker *m)
{
	bool *seen = mem_array(m->ctx, bool, m->n + 1);
	size_t i = 0;

	for (; i < m->n; i++) {
		memset(seen, 0, m->n * sizeof(*seen));
		if (!m->v[i].placed && m->v[i].desired && in_circle(m, &m->v[i], i, seen))
			break;
	}
	BUG_ON(i == m->n);
	for (size_t k = 0; k < m->v[i].desired->n_constraints; k++) {
		const struct change *parent =
			waits_for(m, &m->v[i], &m->v[i].desired->constraints[k]);

		m->v[i].late[k] |= parent && parent->desired && !parent->placed;
	}
	find_parents(m, &m->v[i]);
}

/* ---- steps ------------------------------------------------------------------------ */

static struct step *add_step(struct maker *m, const struct change *c, const char *action)
{
	struct steps *s = m->out;

	s->v = mem_grow(m->ctx, s->v, struct step, s->n + 1);
	s->v[s->n] = (struct step){ .change = c, .action = action };
	return &s->v[s->n++];
}

static void alter(struct maker *m, const struct change *c, const struct table *from,
		  const struct table *to)
{
	const struct table_diff *d;
	struct step *s;

	if (from == to)
		return;
	d = from == c->base && to == c->desired ? c->diff : compare(m, from, to, NULL);
	if (d->n == 0 && !d->inexpressible)
		return;
	s = add_step(m, c, "alter");
	s->from = from;
	s->to = to;
	s->diff = d;
	s->ddl = ddl_alter(m->ctx, d, m->renames->flavor);
}

static bool any(const bool *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i])
			return true;
	return false;
}

/* A foreign key to a table that is renamed later still has that one's old name. */
static void rename_tables(struct maker *m)
{
	struct renames done = m->tables;

	done.v = mem_array(m->ctx, struct table_rename, m->n + 1);
	done.n = 0;
	for (size_t i = 0; i < m->n; i++) {
		const struct change *c = &m->v[i];
		struct step *s;

		if (!is_renamed(c))
			continue;
		done.v[done.n++] = (struct table_rename){ .old = c->live->name,
							  .new = c->moved->name };
		s = add_step(m, c, "alter");
		s->from = c->live;
		s->to = rewrite_renamed(m->ctx, c->live, &done);
		s->ddl = ddl_rename(m->ctx, c->live->name, c->moved->name);
		s->renames = true;
	}
}

/* The table after its early foreign keys have gone, before its columns are renamed. */
static const struct table *without_early(struct maker *m, const struct change *c)
{
	if (!any(c->early, c->moved->n_constraints))
		return c->moved;
	return rewrite_without(m->ctx, c->moved, c->early);
}

static void drop_early(struct maker *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].moved)
			alter(m, &m->v[i], m->v[i].moved, without_early(m, &m->v[i]));
}

static const struct table *without_late(struct maker *m, const struct change *c)
{
	if (!any(c->late, c->desired->n_constraints))
		return c->desired;
	return rewrite_without(m->ctx, c->desired, c->late);
}

/* The table when its columns have their new names, and nothing else has happened; itself
 * when none has another name. */
static const struct table *after_renames(struct maker *m, const struct table *t)
{
	struct table *out = mem_new(m->ctx, struct table);
	bool renamed = false;

	*out = *t;
	out->columns = mem_array(m->ctx, struct table_column, t->n_columns);
	for (size_t i = 0; i < t->n_columns; i++) {
		out->columns[i] = t->columns[i];
		out->columns[i].renamed_from = NULL;
		renamed |= t->columns[i].renamed_from != NULL;
	}
	return renamed ? out : t;
}

static void alter_in_stages(struct maker *m, const struct change *c,
			    const struct table *from, const struct table *to)
{
	const struct table *stages[MOST_STAGES];
	size_t n = m->refused ? 0 : stages_between(m->ctx, from, to, stages);

	if (n > 0 && after_renames(m, from) != from) {
		const struct table *renamed = after_renames(m, from);

		alter(m, c, from, renamed);
		from = renamed;
		n = stages_between(m->ctx, from, to, stages);
	}
	for (size_t i = 0; i < n; i++) {
		alter(m, c, from, stages[i]);
		from = stages[i];
	}
	alter(m, c, from, to);
}

static void make_one(struct maker *m, const struct change *c)
{
	const struct table *to = without_late(m, c);
	struct step *s;

	if (c->live) {
		alter_in_stages(m, c,
				rewrite_renamed(m->ctx, without_early(m, c), &m->columns),
				to);
		return;
	}
	s = add_step(m, c, "create");
	s->to = to;
	s->ddl = ddl_create(m->ctx, to);
}

static void make_all(struct maker *m)
{
	size_t left = 0;

	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].desired) {
			find_late(m, &m->v[i]);
			find_parents(m, &m->v[i]);
			left++;
		}
	while (left > 0) {
		size_t i = 0;

		while (i < m->n && (m->v[i].placed || !m->v[i].desired ||
				    !may_be_placed(m, &m->v[i])))
			i++;
		if (i == m->n) {
			break_circle(m);
			continue;
		}
		make_one(m, &m->v[i]);
		m->v[i].placed = true;
		left--;
	}
}

static void add_late(struct maker *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].desired)
			alter(m, &m->v[i], without_late(m, &m->v[i]), m->v[i].desired);
}

/* ---- drops ------------------------------------------------------------------------ */

/* Those that refer to other dropped tables. False when there is none. */
static bool drop_keys_early(struct maker *m, struct change *c)
{
	bool found = false;

	for (size_t k = 0; k < c->moved->n_constraints; k++) {
		const struct table_constraint *f = &c->moved->constraints[k];
		const struct change *parent = is_foreign_key(f) ? parent_of(m, f) : NULL;

		if (c->early[k] || !parent || parent == c || parent->desired)
			continue;
		c->early[k] = found = true;
	}
	return found;
}

/* Dropped tables in an order in which parents come first; their foreign keys that form
 * circles are dropped early. */
static size_t order_drops(struct maker *m, const struct table **v)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		if (!m->v[i].desired)
			v[n++] = without_early(m, &m->v[i]);
	for (;;) {
		const struct table *stuck = order_by_reference(v, n);
		struct change *c = m->v;

		if (!stuck)
			return n;
		while (strcmp(c->name, stuck->name) != 0 || c->desired)
			c++;
		if (!drop_keys_early(m, c))
			return n;
		for (size_t k = 0; k < n; k++)
			if (v[k] == stuck)
				v[k] = without_early(m, c);
	}
}

static void drop_all(struct maker *m, const struct table **v, size_t n)
{
	while (n-- > 0) {
		const struct change *c = m->v;
		struct step *s;

		while (strcmp(c->name, v[n]->name) != 0 || c->desired)
			c++;
		s = add_step(m, c, "drop");
		s->from = v[n];
		s->ddl = ddl_drop(m->ctx, c->name);
	}
}

static void mark_ends(struct steps *s)
{
	for (size_t i = 0; i < s->n; i++) {
		s->v[i].first = s->v[i].last = true;
		for (size_t k = 0; k < i; k++)
			if (s->v[k].change == s->v[i].change)
				s->v[k].last = s->v[i].first = false;
	}
}

void steps_make(TALLOC_CTX *ctx, const struct steps_request *request, struct steps *out)
{
	struct maker m = { .ctx = ctx,
			   .namespace = request->namespace,
			   .live = request->live,
			   .desired = request->desired,
			   .renames = request->renames,
			   .refused = request->refused,
			   .out = out };
	const struct table **drops;
	size_t n_drops;

	*out = (struct steps){ 0 };
	split_renames(&m);
	find_changes(&m);
	find_early(&m);
	drops = mem_array(ctx, const struct table *, m.n + 1);
	n_drops = order_drops(&m, drops);
	rename_tables(&m);
	drop_early(&m);
	make_all(&m);
	add_late(&m);
	drop_all(&m, drops, n_drops);
	mark_ends(out);
}
