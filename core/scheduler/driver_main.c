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
#include "core/base/proc.h"
#include "core/base/program.h"
#include "core/drive/drive.h"
#include "core/scheduler/slot.h"
#include "core/store/storage.h"

#define LINGER_MS 100

struct slot {
	int fd; /* -1 = started by hand */
};

static int note_claim(void *arg, uint64_t operation, uint64_t token, struct sb_err *err)
{
	const struct slot *slot = arg;

	FAULT("driver.slot.before");
	if (slot->fd < 0)
		return 0;
	return slot_write(slot->fd, operation, token, err);
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

static int drive_all(TALLOC_CTX *ctx, const struct config *config, struct db *db,
		     struct slot *slot)
{
	char *owner = proc_owner(ctx);
	int64_t parked_ms = 0; /* when the last one was */
	struct claim claim;
	struct sb_err err;

	while (proc_stop_requested() == 0) {
		int rc = operation_claim(db, owner, note_claim, slot, &claim, &err);

		if (rc < 0)
			return program_fail("driver.claim", &err);
		if (rc == 0 && linger(parked_ms))
			continue;
		if (rc == 0)
			return 0;
		switch (drive_operation(ctx, config, &db, &claim)) {
		case DRIVE_PARKED:
			parked_ms = clock_ms();
			if (slot->fd >= 0)
				slot_clear(slot->fd);
			break;
		case DRIVE_SETTLED:
		case DRIVE_HANDED_BACK:
			if (slot->fd >= 0)
				slot_clear(slot->fd);
			break;
		case DRIVE_LOST:
			return err_exit_code(SB_ELEASE);
		case DRIVE_UNCERTAIN:
			return err_exit_code(SB_EAMBIGUOUS);
		}
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
	struct slot slot = { -1 };
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
		rc = drive_all(ctx, config, db, &slot);
out:
	talloc_free(ctx);
	return rc;
}
