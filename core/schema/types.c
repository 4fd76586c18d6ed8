/*
 * types.c - value ranges of column types; see types.h.
 *
 * Sources: "Data Type Storage Requirements" and "Character Sets" in the servers' manuals.
 * What is not understood is called lossy: consent is asked for, nothing is lost.
 */
#include "core/schema/types.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum family {
	FAMILY_INTEGER,
	FAMILY_DECIMAL,
	FAMILY_FLOAT,
	FAMILY_BIT,
	FAMILY_TEXT,
	FAMILY_BINARY,
	FAMILY_TEMPORAL,
	FAMILY_LIST,
	FAMILY_OTHER,
};

/* size: bits of an integer or float; bytes of a text or blob, 0 = by its argument;
 * temporal: position in temporal_rank(). digits: of the greatest value. */
static const struct type {
	const char *name;
	uint64_t size;
	enum family family;
	int digits, unsigned_digits;
} types[] = {
	{ "tinyint", 8, FAMILY_INTEGER, 3, 3 },
	{ "smallint", 16, FAMILY_INTEGER, 5, 5 },
	{ "mediumint", 24, FAMILY_INTEGER, 7, 8 },
	{ "int", 32, FAMILY_INTEGER, 10, 10 },
	{ "bigint", 64, FAMILY_INTEGER, 19, 20 },
	{ "decimal", 0, FAMILY_DECIMAL, 0, 0 },
	{ "float", 24, FAMILY_FLOAT, 0, 0 },
	{ "double", 53, FAMILY_FLOAT, 0, 0 },
	{ "bit", 0, FAMILY_BIT, 0, 0 },
	{ "char", 0, FAMILY_TEXT, 0, 0 },
	{ "varchar", 0, FAMILY_TEXT, 0, 0 },
	{ "tinytext", 0xff, FAMILY_TEXT, 0, 0 },
	{ "text", 0xffff, FAMILY_TEXT, 0, 0 },
	{ "mediumtext", 0xffffff, FAMILY_TEXT, 0, 0 },
	{ "longtext", 0xffffffff, FAMILY_TEXT, 0, 0 },
	{ "binary", 0, FAMILY_BINARY, 0, 0 },
	{ "varbinary", 0, FAMILY_BINARY, 0, 0 },
	{ "tinyblob", 0xff, FAMILY_BINARY, 0, 0 },
	{ "blob", 0xffff, FAMILY_BINARY, 0, 0 },
	{ "mediumblob", 0xffffff, FAMILY_BINARY, 0, 0 },
	{ "longblob", 0xffffffff, FAMILY_BINARY, 0, 0 },
	{ "date", 0, FAMILY_TEMPORAL, 0, 0 },
	{ "datetime", 0, FAMILY_TEMPORAL, 0, 0 },
	{ "timestamp", 0, FAMILY_TEMPORAL, 0, 0 },
	{ "time", 0, FAMILY_TEMPORAL, 0, 0 },
	{ "enum", 0, FAMILY_LIST, 0, 0 },
	{ "set", 0, FAMILY_LIST, 0, 0 },
};
static const struct type other_type = { "", 0, FAMILY_OTHER, 0, 0 };

static const struct type *type_of(const struct table_column *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].name, c->type) == 0)
			return &types[i];
	return &other_type;
}

/* The first number between the type's brackets. */
static uint64_t arg(const struct table_column *c, uint64_t none)
{
	return c->args ? strtoull(c->args, NULL, 10) : none;
}

static uint64_t second_arg(const struct table_column *c)
{
	const char *comma = c->args ? strchr(c->args, ',') : NULL;

	return comma ? strtoull(comma + 1, NULL, 10) : 0;
}

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

/* ---- numbers ---------------------------------------------------------------------- */

static bool loses_sign(const struct table_column *from, const struct table_column *to)
{
	return !from->is_unsigned && to->is_unsigned;
}

static bool integer_fits(const struct table_column *from, const struct table_column *to)
{
	const struct type *f = type_of(from), *t = type_of(to);

	switch (t->family) {
	case FAMILY_INTEGER:
		if (from->is_unsigned && !to->is_unsigned)
			return t->size > f->size;
		return t->size >= f->size;
	case FAMILY_DECIMAL:
		return arg(to, 10) - second_arg(to) >=
		       (uint64_t)(from->is_unsigned ? f->unsigned_digits : f->digits);
	case FAMILY_FLOAT:
		return !to->args && t->size >= f->size;
	case FAMILY_BIT:
	case FAMILY_TEXT:
	case FAMILY_BINARY:
	case FAMILY_TEMPORAL:
	case FAMILY_LIST:
	case FAMILY_OTHER:
		break;
	}
	return false;
}

static bool decimal_fits(const struct table_column *from, const struct table_column *to)
{
	return arg(to, 10) - second_arg(to) >= arg(from, 10) - second_arg(from) &&
	       second_arg(to) >= second_arg(from);
}

static bool float_fits(const struct table_column *from, const struct table_column *to)
{
	bool same_size = type_of(to)->size == type_of(from)->size;

	if (type_of(to)->size < type_of(from)->size)
		return false;
	/* More digits of a double show how far the float was from its decimal value. */
	return !to->args || (from->args && decimal_fits(from, to) &&
			     (same_size || second_arg(from) == second_arg(to)));
}

/* ---- texts ------------------------------------------------------------------------ */

static unsigned bytes_per_character(const char *charset)
{
	static const struct {
		const char *name;
		unsigned bytes;
	} wide[] = {
		{ "utf8mb4", 4 }, { "utf8mb3", 3 }, { "utf8", 3 }, { "utf16", 4 },
		{ "utf16le", 4 }, { "utf32", 4 },   { "ucs2", 2 }, { "gb18030", 4 },
		{ "gbk", 2 },	  { "gb2312", 2 },  { "big5", 2 }, { "sjis", 2 },
		{ "cp932", 2 },	  { "euckr", 2 },   { "ujis", 3 }, { "eucjpms", 3 }
	};

	for (size_t i = 0; charset && i < ARRAY_SIZE(wide); i++)
		if (strcmp(charset, wide[i].name) == 0)
			return wide[i].bytes;
	return 1;
}

static bool one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(name, *list) == 0)
			return true;
	return false;
}

/* Has every character of `from` a place of its own in `to`? */
static bool charset_covers(const char *from, const char *to)
{
	static const char *const all[] = { "utf8mb4", "utf16", "utf16le", "utf32", NULL };
	static const char *const bmp[] = { "utf8mb3", "utf8", "ucs2", NULL };
	/* Of these the servers put several characters in one place of Unicode. */
	static const char *const many_to_one[] = { "armscii8", "big5", "cp932",
						   "eucjpms",  "sjis", "tis620",
						   "ujis",     NULL };

	if (!from || !to || strcmp(from, to) == 0)
		return true;
	if (strcmp(from, "ascii") == 0)
		return strcmp(to, "swe7") != 0; /* letters instead of brackets */
	if (one_of(from, many_to_one))
		return false;
	if (one_of(to, all))
		return true;
	return one_of(to, bmp) && !one_of(from, all) && strcmp(from, "gb18030") != 0;
}

static bool is_char(const struct table_column *c)
{
	return type_of(c)->size == 0;
}

/* The most characters that can stand in a column. */
static uint64_t most_characters(const struct table_column *c)
{
	return is_char(c) ? arg(c, 1) : type_of(c)->size;
}

/* So many characters fit whatever they are. */
static uint64_t sure_characters(const struct table_column *c)
{
	return is_char(c) ? arg(c, 1)
			  : type_of(c)->size / bytes_per_character(c->charset);
}

/* Does every text have the same bytes in both? */
static bool same_bytes(const char *from, const char *to)
{
	static const char *const utf8[] = { "utf8mb3", "utf8", NULL };
	static const char *const wide[] = { "ucs2", "utf16", "utf16le", "utf32", NULL };

	if (!from || !to)
		return from == to;
	if (same_text(from, to) || (one_of(from, utf8) && strcmp(to, "utf8mb4") == 0))
		return true;
	return strcmp(from, "ascii") == 0 && !one_of(to, wide);
}

static bool text_fits(const struct table_column *from, const struct table_column *to,
		      const char **why)
{
	if (strcmp(to->type, "char") == 0 && strcmp(from->type, "char") != 0) {
		*why = "CHAR loses trailing spaces";
		return false;
	}
	*why = "longer values do not fit";
	if (!is_char(from) && !is_char(to) && same_bytes(from->charset, to->charset))
		return type_of(to)->size >= type_of(from)->size;
	return sure_characters(to) >= most_characters(from);
}

static bool binary_fits(const struct table_column *from, const struct table_column *to)
{
	uint64_t f = is_char(from) ? arg(from, 1) : type_of(from)->size;
	uint64_t t = is_char(to) ? arg(to, 1) : type_of(to)->size;

	/* BINARY pads with zero bytes, which then are part of the value. */
	if (strcmp(to->type, "binary") == 0)
		return strcmp(from->type, "binary") == 0 && f == t;
	return t >= f;
}

/* ---- lists and times -------------------------------------------------------------- */

static bool list_fits(const struct table_column *from, const struct table_column *to,
		      const char **why)
{
	*why = "values that are removed or change their place alter what is stored";
	if (strcmp(from->type, to->type) != 0 || to->n_elements < from->n_elements)
		return false;
	for (size_t i = 0; i < from->n_elements; i++)
		if (strcmp(from->elements[i], to->elements[i]) != 0)
			return false;
	return true;
}

static bool list_fits_text(const struct table_column *from, const struct table_column *to)
{
	size_t most = 0, sum = 0;

	for (size_t i = 0; i < from->n_elements; i++) {
		size_t len = strlen(from->elements[i]);

		sum += len + 1;
		most = len > most ? len : most;
	}
	return strcmp(to->type, "char") != 0 &&
	       charset_covers(from->charset, to->charset) &&
	       sure_characters(to) >= (strcmp(from->type, "set") == 0 ? sum : most);
}

static bool temporal_fits(const struct table_column *from, const struct table_column *to)
{
	if (strcmp(from->type, to->type) == 0)
		return arg(to, 0) >= arg(from, 0);
	return strcmp(from->type, "date") == 0 && strcmp(to->type, "datetime") == 0;
}

/* ---- other types ------------------------------------------------------------------ */

/* A geometry of one kind is a geometry. */
static bool is_geometry(const struct table_column *c)
{
	static const char *const kinds[] = { "point",
					     "linestring",
					     "polygon",
					     "multipoint",
					     "multilinestring",
					     "multipolygon",
					     "geometrycollection",
					     "geomcollection",
					     "geometry",
					     NULL };

	return one_of(c->type, kinds);
}

/* The reference system that a column insists on (MySQL); "" = any. */
static char *srid_of(TALLOC_CTX *ctx, const struct table_column *c)
{
	struct tokens t;

	if (tokenize(ctx, c->definition, &t, NULL) == 0)
		for (size_t i = 0; i < t.n; i++)
			if (t.v[i].depth == 0 && token_is(&t.v[i], "SRID"))
				return tokens_text(ctx, &t, i + 1, i + 2);
	return mem_strdup(ctx, "");
}

static bool geometry_fits(TALLOC_CTX *ctx, const struct table_column *from,
			  const struct table_column *to, const char **why)
{
	const char *srid = srid_of(ctx, to);

	*why = "geometries of another reference system are refused";
	if (*srid && strcmp(srid_of(ctx, from), srid) != 0)
		return false;
	*why = "geometries of another kind are refused";
	return strcmp(to->type, from->type) == 0 || strcmp(to->type, "geometry") == 0;
}

#define VECTOR_DIMENSIONS 2048 /* when none are named */

static bool other_fits(TALLOC_CTX *ctx, const struct table_column *from,
		       const struct table_column *to, const char **why)
{
	if (is_geometry(from) && is_geometry(to))
		return geometry_fits(ctx, from, to, why);
	*why = "the conversion may fail or alter values";
	if (strcmp(from->type, to->type) != 0)
		return false;
	if (strcmp(to->type, "vector") == 0)
		return arg(to, VECTOR_DIMENSIONS) >= arg(from, VECTOR_DIMENSIONS);
	return same_text(from->args, to->args);
}

/* ---- all of it -------------------------------------------------------------------- */

static bool same_family_fits(TALLOC_CTX *ctx, const struct table_column *from,
			     const struct table_column *to, const char **why)
{
	switch (type_of(from)->family) {
	case FAMILY_INTEGER:
		return integer_fits(from, to);
	case FAMILY_DECIMAL:
		return decimal_fits(from, to);
	case FAMILY_FLOAT:
		return float_fits(from, to);
	case FAMILY_BIT:
		return arg(to, 1) >= arg(from, 1);
	case FAMILY_TEXT:
		return text_fits(from, to, why);
	case FAMILY_BINARY:
		return binary_fits(from, to);
	case FAMILY_TEMPORAL:
		*why = "fractions of seconds or parts of the value are lost";
		return temporal_fits(from, to);
	case FAMILY_LIST:
		return list_fits(from, to, why);
	case FAMILY_OTHER:
		break;
	}
	return other_fits(ctx, from, to, why);
}

static bool fits(TALLOC_CTX *ctx, const struct table_column *from,
		 const struct table_column *to, const char **why)
{
	enum family f = type_of(from)->family, t = type_of(to)->family;

	if (f <= FAMILY_FLOAT && t <= FAMILY_FLOAT && loses_sign(from, to)) {
		*why = "negative values do not fit";
		return false;
	}
	if (f == t) {
		*why = "values outside the smaller range do not fit";
		return same_family_fits(ctx, from, to, why);
	}
	if (f == FAMILY_INTEGER && (t == FAMILY_DECIMAL || t == FAMILY_FLOAT)) {
		*why = "greater values do not fit exactly";
		return integer_fits(from, to);
	}
	if (f == FAMILY_LIST && t == FAMILY_TEXT && list_fits_text(from, to))
		return true;
	if (strcmp(from->type, "json") == 0 && strcmp(to->type, "longtext") == 0 &&
	    same_text(to->charset, "utf8mb4"))
		return true;
	*why = mem_printf(ctx, "converting %s to %s may fail or alter values", from->type,
			  to->type);
	return false;
}

enum type_loss types_loss(TALLOC_CTX *ctx, const struct table_column *from,
			  const struct table_column *to, const char **why)
{
	bool lists = type_of(from)->family == FAMILY_LIST &&
		     type_of(to)->family == FAMILY_LIST;

	/* The elements of lists are compared one by one, as the server printed them. */
	if (!lists && !charset_covers(from->charset, to->charset)) {
		*why = "characters that the new character set does not have are lost";
		return LOSS_CHARACTERS;
	}
	if (fits(ctx, from, to, why))
		return LOSS_NONE;
	return lists ? LOSS_ELEMENTS : LOSS_VALUES;
}

uint64_t types_greatest_integer(const struct table_column *c)
{
	const struct type *t = type_of(c);

	if (t->family != FAMILY_INTEGER)
		return 0;
	return UINT64_MAX >> (64 - t->size + (c->is_unsigned ? 0 : 1));
}

unsigned types_character_bytes(const struct table_column *c)
{
	return type_of(c)->family == FAMILY_TEXT ? bytes_per_character(c->charset) : 1;
}

uint64_t types_most_bytes(const struct table_column *c)
{
	const struct type *t = type_of(c);

	switch (t->family) {
	case FAMILY_INTEGER:
		return t->size / 8;
	case FAMILY_TEXT:
		return t->size ? t->size : arg(c, 1) * bytes_per_character(c->charset);
	case FAMILY_BINARY:
		return t->size ? t->size : arg(c, 1);
	case FAMILY_DECIMAL:
	case FAMILY_FLOAT:
	case FAMILY_BIT:
	case FAMILY_TEMPORAL:
	case FAMILY_LIST:
	case FAMILY_OTHER:
		break;
	}
	return 8;
}
