/*
 * exec.h - what the files of the worker share: exec.c (one statement), online.c (an
 * online copy), group.c (several tasks that end together). For nobody else.
 */
#ifndef SB_ENGINES_MYSQL_EXEC_H
#define SB_ENGINES_MYSQL_EXEC_H

#include "engines/mysql/run.h"

enum outcome {
	DONE,
	REFUSED, /* not by this algorithm; nothing happened */
	FAILED,
	HALTED, /* nothing happened, or what happened was undone by the server */
};

/* ---- exec.c ------------------------------------------------------------------------ */

/* Execute task i from its beginning to its end. *note, of mem: what a user should know
 * about how it was done, or NULL. */
enum outcome exec_task(TALLOC_CTX *mem, struct engine_run *run, size_t i,
		       const char **note, struct sb_err *err);
/* Publish how a task ended. `last`: its end and the run's are one step, so that whoever
 * sees it may call start() again. */
void exec_report(struct engine_run *run, size_t i, enum outcome o, const char *note,
		 const struct sb_err *err, bool last);
/* Nothing more comes, and no task's end says so. */
void exec_end(struct engine_run *run);
/* The table's last task may be over: then nobody has to know any more who worked on it.
 */
void exec_forget(struct engine_run *run, const struct engine_task *task);
bool exec_halting(struct engine_run *run);

/* ---- online.c ---------------------------------------------------------------------- */

/* Is this task done by the online copy? */
bool online_is(const struct engine_run *run, const struct engine_task *task);

/* What is to be done when the cutover of a group was asked for, before it. */
struct online_before {
	int (*fn)(void *arg, struct sb_err *err);
	void *arg;
};
struct online_end {
	TALLOC_CTX *ctx;  /* of the note */
	const char *note; /* what a user should know about how it was done, or NULL */
	bool swapped;	  /* all tables are the new ones, even when it FAILED */
};
/* Change the tables of these tasks, given by their places; they swap together. Reports
 * how far each is; how they ended is the caller's to report. `before` may be NULL. */
enum outcome online_change(struct engine_run *run, const size_t *places, size_t n,
			   const struct online_before *before, struct online_end *end,
			   struct sb_err *err);

/* Drop the shadow of a task that is given up, and what else there is of it beside the
 * table. 0, or -1: the reaper will. Never when the shadow may be all that there is. */
int online_discard(struct engine_run *run, const struct engine_task *task,
		   struct sb_err *err) MUST_CHECK;

/* ---- group.c ----------------------------------------------------------------------- */

/* All tasks, which wait for one cutover. */
void group_execute(struct engine_run *run);

#endif
