/*
 * workspace.h - may statements be tried out on another server than they are meant for?
 *
 * Called by plan.c when a workspace is configured. What works there must work on the
 * target and must mean the same: same kind of server, same version, and the same settings
 * where they decide what a CREATE TABLE makes.
 */
#ifndef SB_SCHEMA_WORKSPACE_H
#define SB_SCHEMA_WORKSPACE_H

#include "core/base/db.h"

/* 0, or SB_EENGINE with what differs and what to do about it; SB_ERETRY: server lost. */
int workspace_check(struct db *target, struct db *workspace,
		    struct sb_err *err) MUST_CHECK;

#endif
