/*
 * reaper.c - the duties of a pass, as a table. See reaper.h.
 */
#include "core/scheduler/reaper.h"

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/proc.h"
#include "core/base/program.h"
#include "core/drive/drive.h"
#include "core/store/counter.h"
#include "core/store/reap.h"
#include "core/store/storage.h"

bool reaper_time_left(const struct reaper *r)
{
	return proc_stop_requested() == 0 && clock_ms() < r->until_ms;
}

/* ---- the duties in storage: how many were put right, or -1 ------------------------ */

static int expire_retries(struct reaper *r, struct sb_err *err)
{
	char *owner = proc_owner(r->ctx);
	struct claim claim;
	bool too_old;
	int rc = 0, n = 0;

	while (n < REAPER_BATCH && reaper_time_left(r) &&
	       (rc = reap_claim_expired(r->db, owner, &claim, &too_old, err)) == 1) {
		FAULT("reaper.expire.claimed");
		log_context("apply_id", claim.lease.apply_id);
		/* model: EXPIRE_RETRIES */
		rc = drive_expire(r->ctx, r->db, &claim.lease, too_old, err);
		if (rc < 0 && err->code == SB_ELEASE) {
			/* We were frozen for so long that somebody else has it. */
			log_err(LOG_WARN, "reaper.lease_lost", err, "not given up by us");
			rc = 0;
		} else if (rc == 0) {
			n++;
		}
		log_context_clear();
		if (rc < 0)
			break;
	}
	talloc_free(owner);
	return rc < 0 ? -1 : n;
}

/* A counter is worth less than the duty: its loss is logged. */
static void count(struct reaper *r, enum counter c, int n)
{
	struct sb_err err;

	if (counter_add(r->db, c, "", "", n, &err) < 0)
		log_err(LOG_WARN, "reaper.counter", &err, "%s", counter_name(c));
}

static int settle_orphans(struct reaper *r, struct sb_err *err)
{
	int n = reap_orphans(r->db, REAPER_BATCH, err);

	count(r, COUNTER_STRANDED_OPERATIONS, n);
	return n;
}

static int rederive_stale(struct reaper *r, struct sb_err *err)
{
	int n = reap_stale_applies(r->db, REAPER_BATCH, err);

	count(r, COUNTER_STALE_APPLIES, n);
	return n;
}

static int end_orphaned_requests(struct reaper *r, struct sb_err *err)
{
	return reap_orphaned_requests(r->db, REAPER_BATCH, err);
}

static int trim_logs(struct reaper *r, struct sb_err *err)
{
	/* Lines are small: ten times as many a pass. */
	int n = reap_old_logs(r->db, r->config->log_retention_days, 10 * REAPER_BATCH,
			      err);

	count(r, COUNTER_LOGS, n);
	return n;
}

static int report_wedged(struct reaper *r, struct sb_err *err)
{
	struct reap_wedged *wedged;
	size_t n;

	if (reap_find_wedged(r->ctx, r->db, 2 * LEASE_SECONDS, &wedged, &n, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (wedged[i].due_seconds < 0)
			log_error("reaper.wedged",
				  "%s (%s) is not at rest and has nothing that anybody "
				  "could claim",
				  wedged[i].apply_id, wedged[i].state);
		else
			log_error("reaper.wedged",
				  "%s (%s) has been due for %lld s and nobody claims it: "
				  "is a scheduler running?",
				  wedged[i].apply_id, wedged[i].state,
				  (long long)wedged[i].due_seconds);
	return 0;
}

/* ---- the pass --------------------------------------------------------------------- */

/* In this order: what unblocks users first, what costs time on targets last. */
static const struct duty {
	const char *name; /* in events: "reaper.NAME" */
	const char *did;  /* "%d DID" */
	int (*run)(struct reaper *, struct sb_err *);
} duties[] = {
	{ "reaper.expired", "retries given up", expire_retries },
	{ "reaper.orphans", "stranded operations and tasks settled", settle_orphans },
	{ "reaper.stale", "applies derived anew", rederive_stale },
	{ "reaper.requests", "requests of settled applies ended", end_orphaned_requests },
	{ "reaper.wedged", "", report_wedged },
	{ "reaper.logs", "lines of old timelines removed", trim_logs },
	{ "reaper.scratch", "left-over scratch schemas dropped", reaper_drop_scratch },
	{ "reaper.targets", "left-overs removed from targets", reaper_tidy_targets },
};

int reaper_pass(struct reaper *r)
{
	struct sb_err err;
	int code = 0;

	if (storage_open(r->ctx, r->config, &r->db, &err) < 0)
		return program_fail("reaper.storage", &err);
	for (size_t i = 0; i < ARRAY_SIZE(duties) && reaper_time_left(r); i++) {
		int n = duties[i].run(r, &err);

		if (n < 0)
			code = program_fail(duties[i].name, &err);
		else if (n > 0)
			log_info(duties[i].name, "%d %s", n, duties[i].did);
		FAULT("reaper.duty.done");
	}
	return code;
}
