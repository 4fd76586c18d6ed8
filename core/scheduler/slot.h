/*
 * slot.h - slot files: how many drivers a host runs, and the proof that one has died.
 *
 * run_dir/driver-N.slot is flock'ed by the process that drives in slot N and holds its
 * name as a lease owner and, for each operation that it has claimed, one line
 * "<operation row> <lease token>". The
 * scheduler takes the lock before it starts a driver and passes the open file on, so that
 * there is no moment in which a used slot looks free. A file that is not empty and that
 * nobody locks belongs to a driver that the kernel knows to be dead: its claims are given
 * back at once, by token and owner: one that died before its claim was committed has left
 * the very token that the next driver was given.
 */
#ifndef SB_SCHEDULER_SLOT_H
#define SB_SCHEDULER_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/err.h"
#include "core/base/mem.h"

/* Lock slot n without waiting: 1 and *fd, 0 when a driver has it, -1. */
int slot_take(const char *run_dir, int n, int *fd, struct sb_err *err) MUST_CHECK;

#define SLOT_MOST 8
struct slot_claim {
	uint64_t operation, token;
};
#define SLOT_OWNER_MAX 255 /* as wide as lease_owner */
/* What the slot's last driver left: how many claims, and whose; 0 for nothing. */
size_t slot_read(int fd, char owner[SLOT_OWNER_MAX + 1],
		 struct slot_claim claims[SLOT_MOST]);

/* Write down claims, before they are committed; durable enough for a process's death. */
int slot_write(int fd, const char *owner, const struct slot_claim *claims, size_t n,
	       struct sb_err *err) MUST_CHECK;
void slot_clear(int fd);

/* Besides: the driver does nothing but wait for an operator's cutover, perhaps for days,
 * and does not count as one of the host's drivers. Forgotten with the next write. */
void slot_set_waiting(int fd, bool waiting);
/* Does slot n's file say so? False when there is none. */
bool slot_is_waiting(const char *run_dir, int n);
/* Is there such a file? */
bool slot_exists(const char *run_dir, int n);

#endif
