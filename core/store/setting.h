/*
 * setting.h - rows of settings: small operator-set values by key.
 */
#ifndef SB_STORE_SETTING_H
#define SB_STORE_SETTING_H

#include "core/base/db.h"
#include "core/model/model.h"

/* 1 and *out, 0 none, -1 */
int setting_get(TALLOC_CTX *ctx, struct db *db, const char *key, struct setting **out,
		struct sb_err *err) MUST_CHECK;
int setting_set(struct db *db, const char *key, const char *value,
		struct sb_err *err) MUST_CHECK;
int setting_list(TALLOC_CTX *ctx, struct db *db, struct setting **out, size_t *n,
		 struct sb_err *err) MUST_CHECK;

#endif
