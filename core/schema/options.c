/*
 * options.c - the table of table options; see options.h.
 *
 * Sources: "CREATE TABLE" in the manuals of MySQL 8.0 to 9.x and MariaDB 10.6 to 11.x.
 * An option that is not listed is refused in files, and is carried as it is when a live
 * table has it.
 */
#include "core/schema/options.h"

#include <string.h>
#include <strings.h>

#define OTHER_FILES  "it places files outside the schema"
#define OTHER_TABLES "it reaches other tables or servers"

const struct table_option table_options[] = {
	{ "AUTO_INCREMENT", NULL, NULL }, /* a value of the data, never compared */
	{ "AUTOEXTEND_SIZE", "0", NULL },
	{ "AVG_ROW_LENGTH", "0", NULL },
	{ "CHARACTER SET", NULL, NULL },
	{ "CHARSET", NULL, NULL },
	{ "CHECKSUM", "0", NULL },
	{ "COLLATE", NULL, NULL },
	{ "COMMENT", "''", NULL },
	{ "COMPRESSION", "''", NULL },
	{ "CONNECTION", NULL, OTHER_TABLES },
	{ "DATA DIRECTORY", NULL, OTHER_FILES },
	{ "DELAY_KEY_WRITE", "0", NULL },
	{ "ENCRYPTED", "DEFAULT", NULL },
	{ "ENCRYPTION", "'N'", NULL },
	{ "ENCRYPTION_KEY_ID", "DEFAULT", NULL },
	{ "ENGINE", NULL, NULL },
	{ "ENGINE_ATTRIBUTE", "''", NULL },
	{ "INDEX DIRECTORY", NULL, OTHER_FILES },
	{ "INSERT_METHOD", NULL, OTHER_TABLES },
	{ "KEY_BLOCK_SIZE", "0", NULL },
	{ "MAX_ROWS", "0", NULL },
	{ "MIN_ROWS", "0", NULL },
	{ "PACK_KEYS", "DEFAULT", NULL },
	{ "PAGE_CHECKSUM", "DEFAULT", NULL },
	{ "PAGE_COMPRESSED", "DEFAULT", NULL },
	{ "PAGE_COMPRESSION_LEVEL", "DEFAULT", NULL },
	{ "PASSWORD", NULL, "servers ignore it" },
	{ "ROW_FORMAT", "DEFAULT", NULL },
	{ "SECONDARY_ENGINE", NULL, OTHER_TABLES },
	{ "SEQUENCE", NULL, "sequences are not managed" },
	{ "STATS_AUTO_RECALC", "DEFAULT", NULL },
	{ "STATS_PERSISTENT", "DEFAULT", NULL },
	{ "STATS_SAMPLE_PAGES", "DEFAULT", NULL },
	{ "TABLESPACE", NULL, OTHER_FILES },
	{ "TABLE_CHECKSUM", "0", NULL },
	{ "TRANSACTIONAL", "DEFAULT", NULL },
	{ "UNION", NULL, OTHER_TABLES },
	{ "WITH SYSTEM VERSIONING", NULL, "system-versioned tables are not managed" },
};
const size_t n_table_options = ARRAY_SIZE(table_options);

/* Number of tokens that spell the option's name at i, or 0. */
static size_t spells(const struct tokens *t, size_t i, const char *name)
{
	size_t n = 0;

	while (*name) {
		size_t len = strcspn(name, " ");
		const struct token *w = &t->v[i + n];
		/* MariaDB quotes the options of its engine plug-ins. */
		size_t quote = w->type == TOKEN_IDENT ? 1 : 0;

		if ((w->type != TOKEN_WORD && w->type != TOKEN_IDENT) ||
		    w->len != len + 2 * quote ||
		    strncasecmp(w->text + quote, name, len) != 0)
			return 0;
		n++;
		name += len;
		name += strspn(name, " ");
	}
	return n;
}

size_t option_read(const struct tokens *t, size_t i, const struct table_option **option,
		   size_t *value, size_t *value_end)
{
	size_t named, at = i;

	*option = NULL;
	*value = *value_end = i;
	if (token_is(&t->v[at], "DEFAULT"))
		at++;
	for (size_t o = 0; o < n_table_options; o++) {
		named = spells(t, at, table_options[o].name);
		if (named == 0)
			continue;
		*option = &table_options[o];
		at += named;
		if (strncmp((*option)->name, "WITH ", 5) == 0) {
			*value = *value_end = at;
			return at;
		}
		if (token_punct(&t->v[at], '='))
			at++;
		*value = at;
		if (at >= t->n)
			return 0;
		at = token_punct(&t->v[at], '(') ? tokens_skip(t, at) : at + 1;
		*value_end = at;
		return at;
	}
	return 0;
}

const struct table_option *option_by_name(const char *name)
{
	for (size_t o = 0; o < n_table_options; o++)
		if (strcasecmp(table_options[o].name, name) == 0)
			return &table_options[o];
	return NULL;
}

/* Engines that keep their rows in this server and in this table, and nowhere else. */
bool storage_engine_allowed(const char *name)
{
	static const char *const allowed[] = {
		"InnoDB",  "Aria",	"MyISAM", "MEMORY",
		"ARCHIVE", "BLACKHOLE", "CSV",	  "ROCKSDB"
	};

	for (size_t i = 0; i < ARRAY_SIZE(allowed); i++)
		if (strcasecmp(allowed[i], name) == 0)
			return true;
	return false;
}
