/*
 * workspace.c - compare a workspace server with its target; see workspace.h.
 *
 * The settings are those of which the servers' manuals say that they change what CREATE
 * TABLE makes or refuses. A server shows only those that it has.
 */
#include "core/schema/workspace.h"

#include <string.h>

#define SETTINGS                                                                    \
	"'character_set_collations', 'default_collation_for_utf8mb4',"              \
	" 'default_storage_engine', 'default_table_encryption',"                    \
	" 'explicit_defaults_for_timestamp', 'innodb_default_row_format',"          \
	" 'innodb_file_per_table', 'innodb_page_size', 'innodb_strict_mode',"       \
	" 'lower_case_table_names', 'old_mode', 'restrict_fk_on_non_standard_key'," \
	" 'sql_generate_invisible_primary_key', 'sql_require_primary_key'"

#define MAJOR_MINOR(version) ((version) / 100)

static const char *flavor_name(const struct db *db)
{
	return db_flavor(db) == DB_MARIADB ? "MariaDB" : "MySQL";
}

static int check_version(const struct db *target, const struct db *workspace,
			 struct sb_err *err)
{
	unsigned long t = db_version(target), w = db_version(workspace);

	if (db_flavor(target) == db_flavor(workspace) && MAJOR_MINOR(t) == MAJOR_MINOR(w))
		return 0;
	return sb_err(
		err, SB_EENGINE,
		"%s is a %s %lu.%lu and the target is a %s %lu.%lu, so that what works "
		"there proves nothing; configure a workspace of the same kind and version",
		db_params(workspace)->name, flavor_name(workspace), w / 10000,
		w / 100 % 100, flavor_name(target), t / 10000, t / 100 % 100);
}

static const char *value_of(const struct db_rows *rows, const char *name)
{
	for (size_t i = 0; i < rows->n; i++)
		if (strcmp(rows->cell[i][0], name) == 0)
			return rows->cell[i][1] ? rows->cell[i][1] : "";
	return "(not there)";
}

int workspace_check(struct db *target, struct db *workspace, struct sb_err *err)
{
	static const char sql[] =
		"SHOW SESSION VARIABLES WHERE Variable_name IN (" SETTINGS ")";
	TALLOC_CTX *tmp = mem_ctx(NULL, "workspace check");
	struct db_rows *t, *w;
	int rc = check_version(target, workspace, err);

	if (rc == 0)
		rc = db_query(tmp, target, sql, &t, err);
	if (rc == 0)
		rc = db_query(tmp, workspace, sql, &w, err);
	for (size_t i = 0; rc == 0 && i < t->n; i++) {
		const char *name = t->cell[i][0];

		if (strcmp(value_of(t, name), value_of(w, name)) != 0)
			rc = sb_err(
				err, SB_EENGINE,
				"%s has %s = '%s' and the target has '%s', so that a "
				"statement may mean something else there; set both alike",
				db_params(workspace)->name, name, value_of(w, name),
				value_of(t, name));
	}
	talloc_free(tmp);
	return rc;
}
