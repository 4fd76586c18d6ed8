/*
 * clock.h - this host's clocks.
 *
 * Monotonic time measures how long something took or how long we may still wait;
 * wall time only stamps log lines. What happened *when* is always said by the
 * database's clock (DESIGN.md 3), never by these.
 */
#ifndef SB_BASE_CLOCK_H
#define SB_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

int64_t clock_ms(void); /* monotonic milliseconds */
int64_t clock_us(void); /* monotonic microseconds */
/* "2026-11-21T03:04:05.123456Z" into out (at least 28 bytes). */
void clock_rfc3339(char *out, size_t size);
void clock_sleep_ms(int64_t ms); /* ends early when a signal arrives */

#endif
