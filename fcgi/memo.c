/*
 * memo.c - see memo.h. A direct-mapped table: a new entry replaces the one in its place.
 */
#include "fcgi/memo.h"

#include <string.h>

#include "core/base/clock.h"

#define PLACES	   64
#define LONGEST	   16384
#define TRUSTED_MS 250

struct entry {
	char *apply_id, *body; /* NULL = free */
	uint64_t revision;
	bool settled;
	int64_t checked_ms; /* when storage last said that this is the revision */
};

struct memo {
	struct entry entries[PLACES];
};

struct memo *memo_new(TALLOC_CTX *ctx)
{
	return mem_new(ctx, struct memo);
}

/* FNV-1a (draft-eastlake-fnv): identifiers are random, any spread will do. */
static size_t place_of(const char *apply_id)
{
	uint32_t hash = 2166136261U;

	for (const char *p = apply_id; *p; p++)
		hash = (hash ^ (unsigned char)*p) * 16777619U;
	return hash % PLACES;
}

static bool holds(const struct entry *e, const char *apply_id)
{
	return e->apply_id && strcmp(e->apply_id, apply_id) == 0;
}

bool memo_knows(const struct memo *memo, const char *apply_id)
{
	return holds(&memo->entries[place_of(apply_id)], apply_id);
}

const char *memo_get(struct memo *memo, const char *apply_id, uint64_t revision)
{
	struct entry *e = &memo->entries[place_of(apply_id)];

	if (!holds(e, apply_id) || e->revision != revision)
		return NULL;
	e->checked_ms = clock_ms();
	return e->body;
}

const char *memo_get_settled(const struct memo *memo, const char *apply_id,
			     uint64_t *revision)
{
	const struct entry *e = &memo->entries[place_of(apply_id)];

	if (!holds(e, apply_id) || !e->settled || clock_ms() - e->checked_ms > TRUSTED_MS)
		return NULL;
	*revision = e->revision;
	return e->body;
}

void memo_put(struct memo *memo, const char *apply_id, uint64_t revision, bool settled,
	      const char *body)
{
	struct entry *e = &memo->entries[place_of(apply_id)];

	if (strlen(body) > LONGEST)
		return;
	talloc_free(e->apply_id);
	talloc_free(e->body);
	*e = (struct entry){ .apply_id = mem_strdup(memo, apply_id),
			     .body = mem_strdup(memo, body),
			     .revision = revision,
			     .settled = settled,
			     .checked_ms = clock_ms() };
}
