/*
 * diff_partitions.c - differences of partitioning; see diff_parts.h.
 *
 * Partitions that are new behind all others are added, and RANGE and LIST partitions that
 * are gone are dropped, with their rows, when nothing new can be what became of them.
 * Both stand alone in a statement (stages.c). Anything else is a PARTITION BY, which
 * copies the table and keeps all rows, or fails.
 */
#include <string.h>

#include "core/schema/diff_parts.h"

/* "PARTITION BY …" up to the list, and the list's elements. */
struct partitions {
	struct tokens t;
	char *head;
	struct range {
		size_t from, to; /* tokens */
		char *text;
	} * v;
	size_t n;
};

/* Index of the bracket that opens the list of partitions, or t->n. */
static size_t list_begin(const struct tokens *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (token_punct(&t->v[i], '(') && t->v[i].depth == 0 &&
		    token_is(&t->v[i + 1], "PARTITION"))
			return i;
	return t->n;
}

static bool split(TALLOC_CTX *ctx, const char *text, struct partitions *p)
{
	size_t open, end;

	*p = (struct partitions){ 0 };
	if (tokenize(ctx, text, &p->t, NULL) < 0)
		return false;
	open = list_begin(&p->t);
	if (open == p->t.n)
		return false;
	end = tokens_skip(&p->t, open) - 1;
	p->head = tokens_text(ctx, &p->t, 0, open);
	p->v = mem_array(ctx, struct range, end - open);
	for (size_t i = open + 1, from = i; i <= end; i++) {
		if (i < end && (p->t.v[i].depth != 1 || !token_punct(&p->t.v[i], ',')))
			continue;
		p->v[p->n++] =
			(struct range){ from, i, tokens_text(ctx, &p->t, from, i) };
		from = i + 1;
	}
	return true;
}

static bool is_kind(const struct partitions *p, const char *kind)
{
	return token_is(&p->t.v[2], kind);
}

/* VALUES IN (…): where the list stands in the tokens. Empty for DEFAULT. */
static void values_of(const struct partitions *p, const struct range *r, size_t *from,
		      size_t *to)
{
	*from = r->from;
	while (*from < r->to && !token_punct(&p->t.v[*from], '('))
		(*from)++;
	*to = *from < r->to ? tokens_skip(&p->t, *from) : *from;
}

/* May a row of LIST partition x have a place in y? */
static bool shares_values(const struct partitions *p, const struct range *x,
			  const struct partitions *q, const struct range *y)
{
	size_t a, a_end, b, b_end;

	values_of(p, x, &a, &a_end);
	values_of(q, y, &b, &b_end);
	if (a == a_end || b == b_end)
		return true;
	for (; a < a_end; a++)
		for (size_t i = b; i < b_end; i++)
			if (p->t.v[a].type != TOKEN_PUNCT &&
			    p->t.v[a].len == q->t.v[i].len &&
			    memcmp(p->t.v[a].text, q->t.v[i].text, p->t.v[a].len) == 0)
				return true;
	return false;
}

/* Can none of the new partitions be meant for the rows of those that are gone? */
static bool are_unrelated(const struct partitions *from, const bool *gone,
			  const struct partitions *to, size_t kept)
{
	if (is_kind(from, "RANGE")) /* all that is new lies behind what is kept */
		return kept == to->n || !gone[from->n - 1];
	for (size_t i = 0; i < from->n; i++)
		for (size_t k = kept; gone[i] && k < to->n; k++)
			if (shares_values(from, &from->v[i], to, &to->v[k]))
				return false;
	return true;
}

/* MariaDB adds a partition beside DEFAULT and leaves in DEFAULT the rows that belong to
 * the new one, where no query finds them any more. */
static bool has_default(const struct partitions *p)
{
	size_t from, to;

	for (size_t i = 0; i < p->n; i++) {
		values_of(p, &p->v[i], &from, &to);
		if (from == to)
			return true;
	}
	return false;
}

static char *list(TALLOC_CTX *ctx, const struct partitions *p, const bool *leave_out,
		  size_t from, size_t to)
{
	struct buf b;

	buf_init(&b, ctx);
	for (size_t i = from; i < to; i++)
		if (!leave_out || !leave_out[i])
			buf_printf(&b, "%s%s", b.len > 0 ? ", " : "", p->v[i].text);
	return b.data;
}

static char *names(TALLOC_CTX *ctx, const struct partitions *p, const bool *which)
{
	struct buf b;

	buf_init(&b, ctx);
	for (size_t i = 0; i < p->n; i++)
		if (which[i]) {
			char *name = token_name(b.ctx, &p->t.v[p->v[i].from + 1]);

			buf_printf(&b, "%s%s", b.len > 0 ? ", " : "",
				   db_ident(b.ctx, name ? name : ""));
		}
	return b.data;
}

bool diff_partition_moves(TALLOC_CTX *ctx, const char *from, const char *to,
			  struct partition_moves *out)
{
	struct partitions a, b;
	size_t kept = 0;
	bool *gone;

	*out = (struct partition_moves){ NULL, NULL, NULL };
	if (!*from || !*to || !split(ctx, from, &a) || !split(ctx, to, &b) ||
	    strcmp(a.head, b.head) != 0)
		return false;
	gone = mem_array(ctx, bool, a.n + 1);
	for (size_t i = 0; i < a.n; i++) {
		gone[i] = kept >= b.n || strcmp(a.v[i].text, b.v[kept].text) != 0;
		kept += !gone[i];
	}
	if (kept == 0 || (kept < a.n && (!(is_kind(&a, "RANGE") || is_kind(&a, "LIST")) ||
					 !are_unrelated(&a, gone, &b, kept))))
		return false;
	if (kept < b.n && is_kind(&a, "LIST") && has_default(&a))
		return false;
	if (kept < a.n)
		out->dropped = names(ctx, &a, gone);
	if (kept < b.n)
		out->added = list(ctx, &b, NULL, kept, b.n);
	out->kept = mem_printf(ctx, "%s (%s)", a.head, list(ctx, &a, gone, 0, a.n));
	return true;
}

void diff_partitions(struct table_diff *d)
{
	const char *from = d->from->partitioning, *to = d->to->partitioning;
	struct partition_moves moves;

	if (strcmp(from, to) == 0)
		return;
	if (!*to)
		diff_add(d, CLAUSE_REMOVE_PARTITIONING);
	else if (d->n > 0 || !diff_partition_moves(d, from, to, &moves) ||
		 (moves.added && moves.dropped))
		diff_add(d, CLAUSE_PARTITION_BY)->value = to;
	else if (moves.added)
		diff_add(d, CLAUSE_ADD_PARTITIONS)->value = moves.added;
	else if (moves.dropped)
		diff_add(d, CLAUSE_DROP_PARTITIONS)->value = moves.dropped;
}
