/*
 * memo.c - see memo.h. A direct-mapped table: a new entry replaces the one in its place.
 */
#include "fcgi/memo.h"

#include <string.h>

#define PLACES	64
#define LONGEST 16384

struct entry {
	char *apply_id, *body; /* NULL = free */
	uint64_t revision;
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

const char *memo_get(const struct memo *memo, const char *apply_id, uint64_t revision)
{
	const struct entry *e = &memo->entries[place_of(apply_id)];

	if (!e->apply_id || e->revision != revision || strcmp(e->apply_id, apply_id) != 0)
		return NULL;
	return e->body;
}

void memo_put(struct memo *memo, const char *apply_id, uint64_t revision,
	      const char *body)
{
	struct entry *e = &memo->entries[place_of(apply_id)];

	if (strlen(body) > LONGEST)
		return;
	talloc_free(e->apply_id);
	talloc_free(e->body);
	*e = (struct entry){ .apply_id = mem_strdup(memo, apply_id),
			     .body = mem_strdup(memo, body),
			     .revision = revision };
}
