/*
 * pending.c - see pending.h: an open-addressed table of indexes into one piece of memory.
 *
 * A key is its parts, each with its length (4 bytes) in front. The hash is FNV-1a: keys
 * come from the application, but a bad spread costs time, not correctness.
 */
#include "engines/mysql/copy/pending.h"

#include <string.h>

struct entry {
	size_t at;
	uint32_t len, hash;
};

struct pending {
	uint8_t *bytes;
	size_t n_bytes, cap_bytes;
	struct entry *entries;
	size_t n, cap;
	uint32_t *slots; /* index of an entry + 1; 0 = free */
	size_t n_slots;	 /* a power of two, at least twice n */
	uint8_t *draft;	 /* a key that is being looked up */
	size_t cap_draft;
};

struct pending *pending_new(TALLOC_CTX *ctx)
{
	struct pending *p = mem_new(ctx, struct pending);

	p->n_slots = 64;
	p->slots = mem_array(p, uint32_t, p->n_slots);
	return p;
}

size_t pending_count(const struct pending *p)
{
	return p->n;
}

size_t pending_bytes(const struct pending *p)
{
	return p->cap_bytes + p->cap * sizeof(*p->entries) +
	       p->n_slots * sizeof(*p->slots);
}

static uint32_t hash_of(const uint8_t *p, size_t n)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ p[i]) * 16777619u;
	return h;
}

/* The slot where it is or would be. */
static size_t find(const struct pending *p, const uint8_t *bytes, size_t len,
		   uint32_t hash)
{
	size_t mask = p->n_slots - 1, at = hash & mask;

	for (; p->slots[at]; at = (at + 1) & mask) {
		const struct entry *e = &p->entries[p->slots[at] - 1];

		if (e->hash == hash && e->len == len &&
		    memcmp(p->bytes + e->at, bytes, len) == 0)
			break;
	}
	return at;
}

static void grow_slots(struct pending *p)
{
	p->n_slots *= 2;
	talloc_free(p->slots);
	p->slots = mem_array(p, uint32_t, p->n_slots);
	for (size_t i = 0; i < p->n; i++) {
		const struct entry *e = &p->entries[i];

		p->slots[find(p, p->bytes + e->at, e->len, e->hash)] = (uint32_t)i + 1;
	}
}

bool pending_add_bytes(struct pending *p, const uint8_t *bytes, size_t len)
{
	uint32_t hash = hash_of(bytes, len);
	size_t at = find(p, bytes, len, hash);

	if (p->slots[at])
		return false;
	if (p->n_bytes + len > p->cap_bytes) {
		p->cap_bytes = (p->n_bytes + len) * 2;
		p->bytes = mem_grow(p, p->bytes, uint8_t, p->cap_bytes);
	}
	if (p->n == p->cap) {
		p->cap = p->cap > 0 ? p->cap * 2 : 32;
		p->entries = mem_grow(p, p->entries, struct entry, p->cap);
	}
	memcpy(p->bytes + p->n_bytes, bytes, len);
	p->entries[p->n++] = (struct entry){ p->n_bytes, (uint32_t)len, hash };
	p->n_bytes += len;
	p->slots[at] = (uint32_t)p->n;
	if (p->n * 2 > p->n_slots)
		grow_slots(p);
	return true;
}

bool pending_add(struct pending *p, const struct rows_key *key)
{
	size_t len = 0, at = 0;

	for (size_t i = 0; i < key->n; i++)
		len += 4 + key->len[i];
	if (len > p->cap_draft) {
		p->cap_draft = len * 2;
		p->draft = mem_grow(p, p->draft, uint8_t, p->cap_draft);
	}
	for (size_t i = 0; i < key->n; i++) {
		for (unsigned k = 0; k < 4; k++)
			p->draft[at++] = (uint8_t)(key->len[i] >> (8 * k));
		memcpy(p->draft + at, key->p[i], key->len[i]);
		at += key->len[i];
	}
	return pending_add_bytes(p, p->draft, len);
}

const uint8_t *pending_get(const struct pending *p, size_t i, size_t *len)
{
	*len = p->entries[i].len;
	return p->bytes + p->entries[i].at;
}

void pending_parts(const uint8_t *bytes, size_t len, struct rows_key *out)
{
	struct wire w = { bytes, bytes + len, false };

	*out = (struct rows_key){ .n = 0 };
	while (wire_left(&w) > 0 && out->n < ROWS_MAX_KEY_PARTS) {
		out->len[out->n] = (size_t)wire_uint(&w, 4);
		out->p[out->n] = wire_take(&w, out->len[out->n]);
		BUG_ON(w.bad);
		out->n++;
	}
}
