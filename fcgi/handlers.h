/*
 * handlers.h - the handlers, one file for each family. See app.h for what they may do.
 */
#ifndef SB_FCGI_HANDLERS_H
#define SB_FCGI_HANDLERS_H

#include "fcgi/app.h"

#define HANDLERS(X)             \
	/* plan.c */            \
	X(plan_post)            \
	X(plan_read)            \
	/* apply.c */           \
	X(apply_post)           \
	/* rollback.c */        \
	X(rollback_plan_post)   \
	/* progress.c */        \
	X(progress_of_apply)    \
	X(progress_of_database) \
	/* why.c */             \
	X(why_of_apply)         \
	/* status.c */          \
	X(status_read)          \
	X(history_read)         \
	/* logs.c */            \
	X(logs_of_apply)        \
	X(logs_of_database)     \
	/* databases.c */       \
	X(databases_read)       \
	X(environments_read)    \
	/* lint_rules.c */      \
	X(lint_rules_read)      \
	/* pull.c */            \
	X(pull_post)            \
	/* control.c */         \
	X(control_stop)         \
	X(control_start)        \
	X(control_cancel)       \
	X(control_cutover)      \
	X(control_volume)       \
	X(control_release)      \
	X(control_revert)       \
	X(control_skip_revert)  \
	/* locks.c */           \
	X(lock_acquire_post)    \
	X(lock_release_delete)  \
	X(locks_read)           \
	X(lock_read)            \
	/* settings.c */        \
	X(settings_read)        \
	X(setting_read)         \
	X(setting_post)         \
	/* health.c */          \
	X(livez_read)           \
	X(health_read)          \
	/* metrics.c */         \
	X(metrics_text)         \
	/* openapi.c */         \
	X(openapi_read)

#define X(name) handler_fn name;
HANDLERS(X)
#undef X

#endif
