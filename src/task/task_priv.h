/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside task/: the runner, its lanes, and tasks that are not finished. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "task/task.h"

#define LANE_THREADS 8 /* of the widest lane */

struct task {
	struct task *next;
	struct tasks *owner;
	/* set once */
	enum task_lane lane;
	const struct task_step *steps;
	int step_count, extra_count;
	void *arg;
	void (*free_arg)(void *arg);
	void (*on_end)(void *arg, const struct err *outcome);
	int weight; /* of all steps */
	/* the task's own thread */
	FILE *log; /* NULL: could not be opened, or not running yet */
	int step;  /* index; guarded by tasks->lock for others */
	/* guarded by tasks->lock */
	struct db_task row; /* the newest snapshot */
	bool taken;         /* by a thread of its lane */
	bool over;          /* ended, but the row could not be saved: shown from here until it is */
	int64_t saved_at;   /* monotonic ms of the row's last write */
	int weight_done;    /* of the steps before this one */
	atomic_bool cancel;
};

struct lane {
	struct tasks *owner;
	enum task_lane id;
	int limit, started, idle;
	bool stopping; /* guarded by tasks->lock: its threads end */
	pthread_t threads[LANE_THREADS];
};

struct tasks {
	struct db *db;
	char *log_dir;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a snapshot, or what live viewers see */
	pthread_cond_t work;    /* a task was queued, or the end */
	/* guarded by lock */
	struct task *live; /* queued and running, in order of submission */
	struct lane lanes[TASK_LANE_COUNT];
	uint64_t changes, last_id;
	unsigned int ended; /* tasks since the start, for the sweeping */
	bool stopping;      /* no new tasks */
};

/* Lock held. Writes the row; a failure is logged, the snapshot in memory goes on. */
void task_save(struct task *t);
/* Lock held. Wakes who watches. */
void tasks_changed(struct tasks *ts);
/* Lock held. The live task of that id, or NULL; may be over. */
struct task *tasks_live(struct tasks *ts, const char *id);
/* Lock not held. Ends the task: final row, on_end, out of the list, freed. Viewers see it finished
 * only after on_end, so that who waited for it finds the world as it says. */
void task_finish(struct task *t, const struct err *outcome);
/* Lock held, after a task was queued. Starts a thread of the lane when fewer are idle than tasks
 * wait and it may have more. */
MUST_CHECK bool lane_wake(struct lane *lane, struct err *e);
/* Waits for all threads; stopping is set. */
void lane_join(struct lane *lane);
