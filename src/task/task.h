/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Work that takes time: a row in the database, a log file, steps with weights, percent, cancel. A
 * task runs in a thread of its lane; lanes bound how many run at once. Progress is a whole
 * snapshot: a viewer can join at any moment.
 *
 *   queued ──► running ──► succeeded     (also: the daemon died, only extra steps were left)
 *      │          ├──────► failed        (also: the daemon died)
 *      └──────────┴──────► cancelled
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"
#include "db/db.h"

struct tasks; /* the runner */
struct task;  /* a running task, seen from its own steps */

enum task_lane { TASK_BUILD, TASK_PULL, TASK_CONTROL, TASK_LANE_COUNT };

/* The list of steps is the progress bar. On failure or cancel, undo of earlier steps runs in
 * reverse. */
struct task_step {
	const char *title; /* "Compiling" */
	int weight;        /* share of the bar */
	bool (*run)(struct task *t, void *arg, struct err *e);
	void (*undo)(struct task *t, void *arg); /* may be NULL */
};

struct task_spec {
	const char *kind, *model, *environment, *backend,
		*message; /* model, environment, backend may be NULL */
	enum task_lane lane;
	const struct task_step *steps; /* static */
	int step_count;
	/* So many of the last steps come after what was asked for: a failure of one, or a cancel
	 * from then on, leaves it out, and the task succeeds. */
	int extra_count;
	void *arg;                   /* owned by the task from submit on, also when submit fails */
	void (*free_arg)(void *arg); /* after on_end, before anyone sees the end; may be NULL */
	/* Runs last, after the row is final (db says succeeded, failed, cancelled): in the task's
	 * thread, or in the canceller's when it never ran. May be NULL. */
	void (*on_end)(void *arg, const struct err *outcome);
};

/* log_dir gets <id>.log. Unfinished rows of an earlier run become failed ("the daemon stopped while
 * …"), but for those that had done what they were asked for. */
MUST_CHECK bool tasks_open(struct db *db, const char *log_dir, struct tasks **ret, struct err *e);
/* From now on no new task; builds and pulls end, with `all` the others too. Returns at once. */
void tasks_stop(struct tasks *ts, bool all);
/* Cancels what runs, waits for its threads. */
void tasks_free(struct tasks *ts);

#define TASK_ID_SIZE 17
MUST_CHECK bool tasks_submit(struct tasks *ts, const struct task_spec *spec,
			     char ret_id[static TASK_ID_SIZE], struct err *e);
/* A row that is already finished with success: for what needed no work (the document's client
 * always polls). */
MUST_CHECK bool tasks_record_done(struct tasks *ts, const struct task_spec *spec,
				  char ret_id[static TASK_ID_SIZE], struct err *e);
/* Current snapshot: a running task's from memory, else its row. */
MUST_CHECK bool tasks_get(struct tasks *ts, const char *id, struct db_task *ret, struct err *e);
MUST_CHECK bool tasks_list(struct tasks *ts, const char *state, const char *model, int limit,
			   struct db_task **ret_list, size_t *ret_count, struct err *e);
/* Does such a task wait or run? */
bool tasks_has_live(struct tasks *ts, const char *kind, const char *environment);
/* ERR_NOT_FOUND, or ERR_CONFLICT when it is finished already. Returns at once; the task ends soon.
 */
MUST_CHECK bool tasks_cancel(struct tasks *ts, const char *id, struct err *e);
/* Has it done what it was asked for? Extra steps may still run. */
bool tasks_is_done(const struct db_task *t);
/* Waits until the task has done so or ended otherwise, or timeout_ms, or `gone` says that nobody
 * waits any more (asked each 200 ms; may be NULL). Gives the last snapshot in any case; look at its
 * state. */
MUST_CHECK bool tasks_wait(struct tasks *ts, const char *id, int timeout_ms, bool (*gone)(void *),
			   void *arg, struct db_task *ret, struct err *e);
/* For live events: a number that grows with each change of any task. Waits until it is not `seen`
 * or timeout_ms. */
uint64_t tasks_wait_change(struct tasks *ts, uint64_t seen, int timeout_ms);
/* Someone else's change (model state, worker) that live viewers should see. */
void tasks_touch(struct tasks *ts);
/* Path of a task's log, caller frees. Only for ids of the right form (else NULL). */
char *tasks_log_path(const struct tasks *ts, const char *id);

/* --- for the steps, in the task's thread -------------------------------- */

const char *task_id(const struct task *t);
bool task_cancelled(void *task); /* takes a struct task *; fits the `cancelled` callbacks of base */
/* Fraction 0 … 1 of the current step. */
void task_progress(struct task *t, double fraction);
/* The title of the current step says more: "Compiling (37/412)". printf-like */
void task_title(struct task *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void task_message(struct task *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* One line into the log; takes a struct task *, fits proc_run's on_line. */
void task_log_line(void *task, const char *line);
void task_logf(struct task *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* JSON object for the row's result. */
void task_result(struct task *t, const char *json);
