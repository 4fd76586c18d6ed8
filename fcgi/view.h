/*
 * view.h - model structs as the JSON of the API.
 *
 * The only file besides plan_data.c that says how something looks on the wire; schemas.c
 * describes the same and a test compares the two. Public identifiers only: no row id
 * leaves the server except as the position in a log.
 */
#ifndef SB_FCGI_VIEW_H
#define SB_FCGI_VIEW_H

#include "core/base/json.h"
#include "core/schema/schema.h"
#include "core/store/apply.h"

/* `plan` as stored and `outcome` as its plan_data says. */
struct json_object *view_plan(const struct plan *plan, const struct schema_plan *outcome);

struct json_object *view_progress(TALLOC_CTX *ctx, const struct apply_bundle *bundle);

/* One row of the status list, and of a history. */
struct json_object *view_status_entry(TALLOC_CTX *ctx, const struct apply *apply);
struct json_object *view_history_entry(const struct apply *apply);

struct json_object *view_log_entry(const struct log_entry *entry);
struct json_object *view_lock(const struct lock *lock);
struct json_object *view_setting(const struct setting *setting);

/* Options as stored ({string: string} as text) as an object. */
struct json_object *view_options(TALLOC_CTX *ctx, const char *options);

#endif
