/*
 * setting.c - rows of settings. See setting.h.
 */
#include "core/store/setting.h"

#define SETTING_STATEMENTS(S)                                                         \
	S(SETTING_GET, "SELECT setting_key, setting_value, updated_at FROM settings"  \
		       " WHERE setting_key = ?")                                      \
	S(SETTING_SET,                                                                \
	  "INSERT INTO settings (setting_key, setting_value) VALUES (?, ?)"           \
	  " ON DUPLICATE KEY UPDATE setting_value = ?, updated_at = NOW(6)")          \
	S(SETTING_LIST, "SELECT setting_key, setting_value, updated_at FROM settings" \
			" ORDER BY setting_key")

DB_STATEMENTS(setting, SETTING_STATEMENTS)

static const struct db_col setting_columns[] = {
	COL(STR, struct setting, key),
	COL(STR, struct setting, value),
	COL(STR, struct setting, updated_at),
};

int setting_get(TALLOC_CTX *ctx, struct db *db, const char *key, struct setting **out,
		struct sb_err *err)
{
	struct setting *s = mem_new(ctx, struct setting);
	int rc = db_one(s, db, SETTING_GET, BIND(key), setting_columns,
			ARRAY_SIZE(setting_columns), s, err);

	*out = rc == 1 ? s : NULL;
	if (rc != 1)
		talloc_free(s);
	return rc;
}

int setting_set(struct db *db, const char *key, const char *value, struct sb_err *err)
{
	return db_exec(db, SETTING_SET, BIND(key, value, value), err) < 0 ? -1 : 0;
}

int setting_list(TALLOC_CTX *ctx, struct db *db, struct setting **out, size_t *n,
		 struct sb_err *err)
{
	return db_all(ctx, db, SETTING_LIST, NO_BIND, setting_columns,
		      ARRAY_SIZE(setting_columns), sizeof(**out), out, n, err);
}
