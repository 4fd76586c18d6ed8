/*
 * driver_main.c - schemabot-driver: claim one due operation after the other and drive it.
 *
 * Started by the scheduler in a session of its own, with its locked slot file as fd 3;
 * may be started by hand without one. Ends when nothing is due and nothing that it parked
 * soon will be, when a lease is lost, or when asked to.
 *
 * Must never: drive without a claim, or go on to another operation after an uncertain end
 * (the slot must come free so that the scheduler can hand the claim back).
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/fault.h"
#include "core/base/log.h"
#include "core/base/proc.h"
#include "core/base/program.h"
#include "core/drive/drive.h"
#include "core/scheduler/slot.h"
#include "core/store/storage.h"

#define LINGER_MS 100
/* Of claims made together, none is begun that is older. */
#define BATCH_MS 15000

struct slot {
	int fd; /* -1 = started by hand */
	const char *owner;
};

static int note_claims(void *arg, const struct claim *claims, size_t n,
		       struct sb_err *err)
{
	const struct slot *slot = arg;
	struct slot_claim lines[SLOT_MOST];

	FAULT("driver.slot.before");
	if (slot->fd < 0)
		return 0;
	for (size_t i = 0; i < n; i++)
		lines[i] = (struct slot_claim){ claims[i].lease.operation,
						claims[i].lease.token };
	return slot_write(slot->fd, slot->owner, lines, n, err);
}

/* Operations that are parked come due again in a moment: a driver that has parked one
 * stays for them, so that not each look costs a process. True = look again. */
static bool linger(int64_t parked_ms)
{
	if (parked_ms == 0 || clock_ms() - parked_ms > (PARK_SECONDS + 1) * 1000)
		return false;
	proc_wait(-1, LINGER_MS);
	return true;
}

struct driver {
	TALLOC_CTX *ctx;
	const struct config *config;
	struct db *db;
	struct slot *slot;
	int64_t parked_ms; /* when the last operation was parked */
	bool waited;	   /* for a cutover: another driver may have begun beside us */
};

static void note_waiting(void *arg, bool waiting)
{
	struct driver *d = arg;

	d->waited = true;
	if (d->slot->fd >= 0)
		slot_set_waiting(d->slot->fd, waiting);
}

/* Claims that were made together: those that were looked at and have not changed. */
struct looked {
	struct lease leases[CLAIM_PARKED];
	size_t n;
};

static void clear_slot(const struct driver *d)
{
	if (d->slot->fd >= 0)
		/* model: SLOT_CLEAR */
		slot_clear(d->slot->fd);
}

/* Drive one claim: -1 = go on with others, else the exit code. looked: for a claim that
 * was made with others. */
static int drive_one(struct driver *d, const struct claim *claim, struct looked *looked)
{
	const struct drive_idle idle = { note_waiting, d };

	switch (drive_operation(d->ctx, d->config, &d->db, claim, &idle)) {
	case DRIVE_LOOKED:
		looked->leases[looked->n++] = claim->lease;
		return -1;
	case DRIVE_PARKED:
		d->parked_ms = clock_ms();
		return -1;
	case DRIVE_SETTLED:
	case DRIVE_HANDED_BACK:
		if (!d->waited)
			return -1;
		clear_slot(d);
		return 0;
	case DRIVE_LOST:
		return err_exit_code(SB_ELEASE);
	case DRIVE_UNCERTAIN:
		break;
	}
	return err_exit_code(SB_EAMBIGUOUS);
}

static int drive_batch(struct driver *d, const struct claim *claims, size_t n,
		       struct looked *looked)
{
	struct sb_err err;
	int rc = -1;

	for (size_t i = 0; i < n; i++) {
		bool late = clock_ms() - claims[i].made_ms > BATCH_MS;

		if (rc >= 0 || late || proc_stop_requested() > 0) {
			if (operation_park(d->db, &claims[i].lease, 0, -1, &err) < 0)
				log_err(LOG_WARN, "driver.give_back", &err, "%s",
					claims[i].lease.apply_id);
			continue;
		}
		rc = drive_one(d, &claims[i], looked);
	}
	return rc;
}

/*
 * Where one parked operation was due, others are: take a handful with one claim, and park
 * together what has not changed. When one of them keeps us, or we have to end, the rest
 * goes back untouched and is due at once.
 */
static int drive_parked(struct driver *d)
{
	TALLOC_CTX *tmp = mem_ctx(d->ctx, "parked");
	struct claim claims[CLAIM_PARKED];
	struct looked looked = { .n = 0 };
	struct sb_err err;
	int rc;
	size_t n;

	if (operation_claim_parked(tmp, d->db, d->slot->owner, note_claims, d->slot,
				   claims, &n, &err) < 0) {
		/* model: CLAIM_FAILED */
		talloc_free(tmp);
		return program_fail("driver.claim", &err);
	}
	rc = drive_batch(d, claims, n, &looked);
	/* Where that fails the claims expire, or are handed back when we end. */
	if (operation_park_all(d->db, looked.leases, looked.n, PARK_SECONDS, &err) < 0)
		rc = program_fail("driver.park", &err);
	if (looked.n > 0)
		d->parked_ms = clock_ms();
	talloc_free(tmp);
	if (rc < 0)
		clear_slot(d);
	return rc;
}

static int drive_all(struct driver *d)
{
	struct claim claim;
	struct sb_err err;

	while (proc_stop_requested() == 0) {
		int rc = operation_claim(d->db, d->slot->owner, note_claims, d->slot,
					 &claim, &err);

		if (rc < 0)
			return program_fail("driver.claim", &err);
		if (rc == 0 && linger(d->parked_ms))
			continue;
		if (rc == 0)
			return 0;
		rc = drive_one(d, &claim, NULL);
		if (rc >= 0)
			return rc;
		clear_slot(d);
		if (claim.parked && proc_stop_requested() == 0)
			rc = drive_parked(d);
		if (rc >= 0)
			return rc;
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool has_slot = false;
	const struct program_option options[] = {
		{ "slot", NULL, "fd 3 is a locked slot file (the scheduler says so)",
		  &has_slot, NULL },
	};
	const struct program program = { "schemabot-driver",
					 "claims due operations and drives them", options,
					 ARRAY_SIZE(options) };
	TALLOC_CTX *ctx = mem_ctx(NULL, "driver");
	struct slot slot = { -1, proc_owner(ctx) };
	struct config *config;
	struct sb_err err;
	struct db *db;
	int rc = program_start(ctx, &program, argc, argv, &config);

	if (rc >= 0)
		goto out;
	proc_signals_init();
	if (has_slot) {
		slot.fd = PROC_KEEP_FD;
		if (fcntl(slot.fd, F_SETFD, FD_CLOEXEC) < 0)
			slot.fd = -1;
	}
	FAULT("driver.started");
	if (storage_open(ctx, config, &db, &err) < 0)
		rc = program_fail("driver.storage", &err);
	else
		rc = drive_all(&(struct driver){
			.ctx = ctx, .config = config, .db = db, .slot = &slot });
out:
	talloc_free(ctx);
	return rc;
}
