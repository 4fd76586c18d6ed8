/*
 * proc.h - what a process of ours needs from the system: signals, locks, children,
 * wake-ups.
 *
 * Signal handlers only set flags and write to a pipe; the main loop looks. Locks are
 * flock()s, which the kernel releases when the process ends in whatever way.
 */
#ifndef SB_BASE_PROC_H
#define SB_BASE_PROC_H

#include <stdint.h>
#include <sys/types.h>

#include "core/base/err.h"
#include "core/base/mem.h"

/* ---- signals: TERM and INT ask to end, PIPE is ignored ---------------------------- */
void proc_signals_init(void);
/* How often TERM or INT arrived: 1 = wind up, 2 = at once. */
int proc_stop_requested(void);
/* Readable when a signal arrived; for poll(). */
int proc_signal_fd(void);
/* Wait until fd (or -1) is readable, a signal arrives or ms passed. 1 = fd is readable.
 */
int proc_wait(int fd, int64_t ms);

/* ---- lock files ------------------------------------------------------------------- */
/* Open (create) and flock without waiting. 1 and *fd, 0 when somebody holds it, -1. */
int proc_lock_file(const char *path, int *fd, struct sb_err *err) MUST_CHECK;
int proc_mkdir(const char *path, struct sb_err *err) MUST_CHECK;

/* ---- children ---------------------------------------------------------------------- */
/* Start argv[0] in a session of its own, its fd 3 being keep_fd, nothing else of ours
 * open but stderr. The child is never waited for. */
int proc_spawn_detached(char *const argv[], int keep_fd, pid_t *pid,
			struct sb_err *err) MUST_CHECK;
#define PROC_KEEP_FD 3
/* Directory of the running binary, from ctx. */
char *proc_self_dir(TALLOC_CTX *ctx);
/* "<host>/<pid>": who we are in storage. */
char *proc_owner(TALLOC_CTX *ctx);

/* ---- wake-up datagrams ------------------------------------------------------------- */
/* A bound unix datagram socket that anybody in its group may write to. */
int proc_wake_listen(const char *path, int *fd, struct sb_err *err) MUST_CHECK;
/* Best effort and never blocking: nobody listening is no error. */
void proc_wake_send(const char *path);
/* Take everything that is waiting. */
void proc_wake_drain(int fd);

#endif
